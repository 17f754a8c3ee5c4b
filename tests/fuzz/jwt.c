/* links: acceptor_auth base */
#include "acceptor/auth/jwt.h"
#include "acceptor/auth/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwt_key *k;
	struct json_object *claims;
	struct scram s;

	if (k == NULL)
		k = jwt_key_secret(
		    "HS256", slice_str("0123456789abcdef0123456789abcdef"));
	jwt_verify(k, slice_of(data, size), 0, 0, false, &claims);
	json_object_put(claims);
	scram_init(&s);
	scram_client_first(&s, slice_of(data, size));
	scram_fini(&s);
	return 0;
}
