/* links: worker base */
#include "connector-worker/excerpt.h"
#include "connector-worker/http_answer.h"

#include <criterion/criterion.h>

Test(http_answer, statuses)
{
	static const struct {
		long status;
		enum sink_outcome outcome;
	} rows[] = {
	    {200, SINK_DELIVERED},
	    {202, SINK_DELIVERED},
	    {204, SINK_DELIVERED},
	    {299, SINK_DELIVERED},
	    {400, SINK_REFUSED},
	    {413, SINK_REFUSED},
	    {415, SINK_REFUSED},
	    {422, SINK_REFUSED},
	    {401, SINK_UNAVAILABLE},
	    {403, SINK_UNAVAILABLE},
	    {407, SINK_UNAVAILABLE},
	    {429, SINK_UNAVAILABLE},
	    {503, SINK_UNAVAILABLE},
	    {404, SINK_RETRYABLE},
	    {409, SINK_RETRYABLE},
	    {408, SINK_RETRYABLE},
	    {425, SINK_RETRYABLE},
	    {500, SINK_RETRYABLE},
	    {502, SINK_UNSURE},
	    {504, SINK_UNSURE},
	    {599, SINK_RETRYABLE},
	    {100, SINK_UNSURE},
	    {302, SINK_UNSURE},
	    {0, SINK_UNSURE},
	    {-1, SINK_UNSURE},
	    {600, SINK_UNSURE},
	    {999999, SINK_UNSURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(http_answer_outcome(rows[i].status),
		    rows[i].outcome, "status %ld", rows[i].status);
}

Test(http_answer, probe)
{
	static const long up[] = {200, 204, 301, 400, 401, 404, 405, 500, 501};
	static const long down[] = {0, 100, 429, 502, 503, 504};

	for (size_t i = 0; i < sizeof(up) / sizeof(*up); i++)
		cr_assert(http_answer_is_up(up[i]), "%ld", up[i]);
	for (size_t i = 0; i < sizeof(down) / sizeof(*down); i++)
		cr_assert_not(http_answer_is_up(down[i]), "%ld", down[i]);
}

Test(http_answer, excerpt)
{
	static const struct {
		const char *body, *text;
		size_t max;
	} rows[] = {
	    {"  no such\r\nthing  ", "no such  thing", 99},
	    {"a\x01\x7f\xff z", "a... z", 99},
	    {"caf\xc3\xa9!", "caf\xc3\xa9!", 99},
	    {"caf\xc3\xa9!", "caf", 4},
	    {"\xc3", ".", 99},
	    {"", "", 99},
	    {"abcdef", "abc", 3},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct buf b;

		buf_init(&b);
		excerpt_add(&b, slice_str(rows[i].body), rows[i].max);
		cr_assert_str_eq(buf_cstr(&b), rows[i].text);
		buf_fini(&b);
	}
}
