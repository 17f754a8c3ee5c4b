/* links: sink_redis worker base */
#include "connector-worker/sinks/redis_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a server or a definition may hold as text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis_server servers[4], s;
	struct slice args[8], in = slice_of(data, size);
	char *text = slice_dup(in);
	size_t count = 0, at;
	unsigned slot;
	bool is_ask;

	if (redis_redirect_parse(text, "same", &is_ask, &slot, &s) &&
	    (slot >= REDIS_SLOTS || s.port == 0 || s.host[0] == '\0'))
		abort();
	if (redis_servers_parse(text, 6379, servers, 4) > 4)
		abort();
	redis_error_outcome(text);
	if (redis_key_slot(in) >= REDIS_SLOTS)
		abort();
	/* Words, as the arguments of an XADD. */
	while (count < 8 && in.len > 0) {
		const uint8_t *space = memchr(in.p, ' ', in.len);
		size_t n = space == NULL ? in.len : (size_t)(space - in.p);

		args[count++] = slice_of(in.p, n);
		n += space != NULL;
		in = slice_of(in.p + n, in.len - n);
	}
	at = count == 0 ? 0 : redis_xadd_id(args, count);
	if (at >= count && at != 0)
		abort();
	free(text);
	return 0;
}
