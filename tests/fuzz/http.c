/* links: proto_http base */
#include "proto/http/request.h"

#include <stdlib.h>

/*
 * The first byte says how large the pieces are; whole and in pieces a
 * request must come to the same end.
 */
static enum http_progress
run(struct slice in, size_t step, struct http_parser *p, size_t *taken)
{
	enum http_progress got = REQUEST_MORE;
	size_t used, n;

	http_parser_init(p);
	*taken = 0;
	do {
		n = in.len - *taken < step ? in.len - *taken : step;
		got = http_parser_feed(p, slice_of(in.p + *taken, n), &used);
		if (used > n)
			abort();
		*taken += used;
		if (got == REQUEST_HEAD)
			p->body_max = 4096;
	} while (got == REQUEST_HEAD ||
	    (got == REQUEST_MORE && *taken < in.len));
	return got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_parser a, b;
	struct slice in, query, name, value;
	size_t taken_a, taken_b;
	enum http_progress got;
	struct buf out;

	if (size == 0)
		return 0;
	in = slice_of(data + 1, size - 1);
	got = run(in, SIZE_MAX, &a, &taken_a);
	if (run(in, (size_t)data[0] + 1, &b, &taken_b) != got)
		abort();
	if (got == REQUEST_WHOLE) {
		if (taken_a != taken_b ||
		    !slice_eq(a.request.body, b.request.body))
			abort();
		buf_init(&out);
		query = a.request.query;
		while (http_query_next(&query, &name, &value))
			http_unescape(value, true, &out);
		http_unescape(a.request.path, false, &out);
		buf_fini(&out);
	}
	http_parser_fini(&a);
	http_parser_fini(&b);
	return 0;
}
