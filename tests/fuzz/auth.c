/* links: acceptor_auth base */
#include "acceptor/acl.h"
#include "acceptor/auth/password.h"
#include "acceptor/auth/rules_json.h"
#include "acceptor/auth/users.h"
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses what the rest is. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data + 1, size - 1);
	struct json_object *o;
	struct buf lines = {0};
	struct acl *a;
	char why[128], *text;

	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		users_free(users_parse(rest, why, sizeof(why)));
		break;
	case 1:
		text = slice_dup(rest);
		password_hash_check(text);
		free(text);
		break;
	case 2:
		o = json_parse(rest);
		rules_json_get(o, &lines);
		json_object_put(o);
		buf_fini(&lines);
		break;
	default:
		a = acl_new(false);
		acl_add_line(a, rest);
		acl_may_publish(a, &(struct acl_who){.client_id =
		    SLICE_LIT("c"), .username = SLICE_LIT("u")},
		    SLICE_LIT("a/b"));
		acl_may_subscribe(a, &(struct acl_who){.client_id =
		    SLICE_LIT("c"), .username = SLICE_LIT("u")},
		    SLICE_LIT("a/+/#"));
		acl_free(a);
	}
	return 0;
}
