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
		{200, SINK_DELIVERED}, {202, SINK_DELIVERED},
		{204, SINK_DELIVERED}, {299, SINK_DELIVERED},
		{400, SINK_REFUSED}, {413, SINK_REFUSED},
		{415, SINK_REFUSED}, {422, SINK_REFUSED},
		{401, SINK_UNAVAILABLE}, {403, SINK_UNAVAILABLE},
		{407, SINK_UNAVAILABLE}, {429, SINK_UNAVAILABLE},
		{503, SINK_UNAVAILABLE}, {404, SINK_RETRYABLE},
		{409, SINK_RETRYABLE}, {408, SINK_UNSURE},
		{425, SINK_RETRYABLE}, {500, SINK_UNSURE},
		{502, SINK_UNSURE}, {504, SINK_UNSURE},
		{599, SINK_UNSURE}, {100, SINK_UNSURE},
		{302, SINK_UNSURE}, {0, SINK_UNSURE},
		{-1, SINK_UNSURE}, {600, SINK_UNSURE},
		{999999, SINK_UNSURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(http_answer_outcome(rows[i].status),
		    rows[i].outcome, "status %ld", rows[i].status);
}

Test(http_answer, fields)
{
	struct slice name, value;

	cr_assert(http_answer_field(slice_str("Retry-After:  7 \r\n"),
	    &name, &value));
	cr_assert(http_answer_name_is(name, "retry-after"));
	cr_assert_not(http_answer_name_is(name, "retry-afte"));
	cr_assert_not(http_answer_name_is(name, "retry-afteR"));
	cr_assert(slice_is(value, "7"));
	cr_assert(http_answer_field(slice_str("X:"), &name, &value));
	cr_assert_eq(value.len, 0);
	cr_assert_not(http_answer_field(slice_str("HTTP/1.1 200 OK\r\n"),
	    &name, &value));
	cr_assert_not(http_answer_field(slice_str("\r\n"), &name, &value));
	cr_assert_not(http_answer_field(SLICE_NULL, &name, &value));
	cr_assert_not(http_answer_field(slice_str(": x"), &name, &value));
	cr_assert_not(http_answer_field(slice_str("a b: x"), &name, &value));
	cr_assert_not(http_answer_field(slice_str("\xff: x"), &name, &value));
}

Test(http_answer, retry_after)
{
	const uint64_t now = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
	static const struct {
		const char *value;
		uint64_t ms;
	} rows[] = {
		{"0", 0}, {"1", 1000}, {" 120 ", 120000},
		{"99999999999999999999999999", HTTP_RETRY_AFTER_MAX_MS},
		{"Sun, 06 Nov 1994 08:49:47 GMT", 10000},
		{"Sunday, 06-Nov-94 08:49:47 GMT", 10000},
		{"Sun Nov  6 08:49:47 1994", 10000},
		{"Sun, 06 Nov 1994 08:49:37 GMT", 0},
		{"Sun, 06 Nov 1994 08:49:27 GMT", 0},
		{"Sun, 06 Nov 1994 23:49:27 GMT", HTTP_RETRY_AFTER_MAX_MS},
		{"Thu, 01 Jan 1920 00:00:00 GMT", 0},
		{"-5", 0}, {"1.5", 0}, {"soon", 0}, {"", 0}, {"1 2", 0},
		{"12345678901234567890123456789012345678901234567890"
		 "12345678901234567890", 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(http_answer_retry_after(
		    slice_str(rows[i].value), now), rows[i].ms,
		    "%s", rows[i].value);
	cr_assert_eq(http_answer_retry_after(SLICE_NULL, now), 0);
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
