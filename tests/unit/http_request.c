/* links: proto_http base */
#include "proto/http/request.h"
#include "proto/http/response.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Feeds text in pieces of step bytes; ends at WHOLE or BAD. */
static enum http_progress
feed(struct http_parser *p, const char *text, size_t step, size_t *taken)
{
	size_t len = strlen(text), at = 0, n, used;
	enum http_progress got = REQUEST_MORE;

	http_parser_init(p);
	for (;;) {
		n = len - at < step ? len - at : step;
		got = http_parser_feed(p, slice_of(text + at, n), &used);
		cr_assert_leq(used, n);
		at += used;
		*taken = at;
		if (got == REQUEST_HEAD)
			p->body_max = 100;
		else if (got != REQUEST_MORE)
			return got;
		else if (at == len)
			return got;
	}
}

static enum http_progress
feed_whole(struct http_parser *p, const char *text)
{
	size_t taken;

	return feed(p, text, SIZE_MAX, &taken);
}

#define GET "GET /a/b%20c?x=1&y HTTP/1.1\r\nHost: h\r\n"

Test(http, a_get_is_whole_at_its_empty_line)
{
	struct http_parser p;
	size_t taken;

	for (size_t step = 1; step < 60; step++) {
		cr_assert_eq(feed(&p, GET "\r\nGET /next", step, &taken),
		    REQUEST_WHOLE, "step %zu: %s", step, p.error);
		cr_assert_eq(taken, strlen(GET) + 2, "step %zu", step);
		cr_assert_eq(p.request.method, METHOD_GET);
		cr_assert(slice_is(p.request.path, "/a/b%20c"));
		cr_assert(slice_is(p.request.query, "x=1&y"));
		cr_assert(slice_is(http_request_header(&p.request, "HOST"), "h"));
		cr_assert(p.request.keep_alive);
		http_parser_fini(&p);
	}
}

Test(http, a_body_comes_by_length_or_in_chunks)
{
	static const char *const texts[] = {
	    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloX",
	    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\nX"};
	struct http_parser p;
	size_t taken;

	for (size_t i = 0; i < 2; i++)
		for (size_t step = 1; step < 120; step++) {
			cr_assert_eq(feed(&p, texts[i], step, &taken),
			    REQUEST_WHOLE, "%zu step %zu: %s", i, step, p.error);
			cr_assert_eq(taken, strlen(texts[i]) - 1);
			cr_assert(slice_is(p.request.body, "hello"));
			http_parser_fini(&p);
		}
}

Test(http, every_truncation_wants_more)
{
	static const char text[] =
	    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
	struct http_parser p;
	char cut[sizeof(text)];

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		snprintf(cut, sizeof(cut), "%.*s", (int)n, text);
		cr_assert_eq(feed_whole(&p, cut), REQUEST_MORE, "%zu", n);
		http_parser_fini(&p);
	}
}

Test(http, what_smuggles_is_refused)
{
	static const struct {
		const char *text;
		unsigned status;
	} cases[] = {
		{GET "A : b\r\n\r\n", 400},
		{GET "A: b\r\n folded\r\n\r\n", 400},
		{GET ": b\r\n\r\n", 400},
		{GET "Host: again\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\nHost: h\n\n", 400},
		{GET "A: b\rc\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		 "Content-Length: 3\r\n\r\nabc", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
		 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: "
		 "99999999999999999999\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked"
		 "\r\n\r\nzz\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", 413},
		{"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nHost: h\r\nExpect: gold\r\n\r\n", 417},
		{"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		{"\x16\x03\x01\n", 400},
	};
	struct http_parser p;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(feed_whole(&p, cases[i].text), REQUEST_BAD,
		    "case %zu", i);
		cr_assert_not_null(p.error);
		if (cases[i].status != 0)
			cr_assert_eq(p.error_status, cases[i].status,
			    "case %zu: %u %s", i, p.error_status, p.error);
		http_parser_fini(&p);
	}
}

Test(http, chunks_count_against_the_limit)
{
	struct http_parser p;
	struct buf b;
	size_t used;

	buf_init(&b);
	buf_add_str(&b, "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 11; i++)
		buf_add_str(&b, "a\r\n0123456789\r\n");
	cr_assert_eq(feed_whole(&p, buf_cstr(&b)), REQUEST_BAD);
	cr_assert_eq(p.error_status, 413);
	http_parser_fini(&p);
	(void)used;
	buf_fini(&b);
}

Test(http, a_head_has_a_limit)
{
	struct http_parser p;
	struct buf b;

	buf_init(&b);
	buf_add_str(&b, GET);
	for (int i = 0; i < 2000; i++)
		buf_addf(&b, "Header-%d: value\r\n", i);
	cr_assert_eq(feed_whole(&p, buf_cstr(&b)), REQUEST_BAD);
	cr_assert_eq(p.error_status, 431);
	http_parser_fini(&p);
	buf_clear(&b);
	buf_add_str(&b, GET);
	for (int i = 0; i < 70; i++)
		buf_addf(&b, "H%d: v\r\n", i);
	buf_add_str(&b, "\r\n");
	cr_assert_eq(feed_whole(&p, buf_cstr(&b)), REQUEST_BAD);
	cr_assert_eq(p.error_status, 431);
	http_parser_fini(&p);
	buf_fini(&b);
}

Test(http, keep_alive_is_as_the_version_says)
{
	struct http_parser p;

	cr_assert_eq(feed_whole(&p, "GET / HTTP/1.0\r\n\r\n"), REQUEST_WHOLE);
	cr_assert_not(p.request.keep_alive);
	http_parser_fini(&p);
	cr_assert_eq(feed_whole(&p, GET "Connection: close\r\n\r\n"),
	    REQUEST_WHOLE);
	cr_assert_not(p.request.keep_alive);
	http_parser_fini(&p);
	cr_assert_eq(feed_whole(&p, GET "Connection: Upgrade\r\n"
	    "Upgrade: h2c\r\n\r\n"), REQUEST_WHOLE);
	http_parser_fini(&p);
}

Test(http, escapes)
{
	static const char *const bad[] = {"%", "%1", "%zz", "%00", "a%2"};
	struct buf b;

	buf_init(&b);
	cr_assert(http_unescape(SLICE_LIT("a%2Fb+c%C3%A9"), true, &b));
	cr_assert_str_eq(buf_cstr(&b), "a/b c\xc3\xa9");
	buf_clear(&b);
	cr_assert(http_unescape(SLICE_LIT("a+b"), false, &b));
	cr_assert_str_eq(buf_cstr(&b), "a+b");
	for (size_t i = 0; i < 5; i++)
		cr_assert_not(http_unescape(slice_str(bad[i]), true, &b));
	buf_fini(&b);
}

Test(http, a_query_is_taken_pair_by_pair)
{
	struct slice q = SLICE_LIT("&a=1&&b&c==2"), n, v;

	cr_assert(http_query_next(&q, &n, &v));
	cr_assert(slice_is(n, "a") && slice_is(v, "1"));
	cr_assert(http_query_next(&q, &n, &v));
	cr_assert(slice_is(n, "b") && slice_is(v, ""));
	cr_assert(http_query_next(&q, &n, &v));
	cr_assert(slice_is(n, "c") && slice_is(v, "=2"));
	cr_assert_not(http_query_next(&q, &n, &v));
}

Test(http, a_response_has_length_or_chunks)
{
	struct http_response r = {.status = 405, .content_type = "text/plain",
	    .length = 2, .closes = true, .allow = "GET"};
	struct buf b;

	buf_init(&b);
	http_put_head(&b, &r);
	cr_assert_not_null(strstr(buf_cstr(&b), "HTTP/1.1 405 Method Not"));
	cr_assert_not_null(strstr(buf_cstr(&b), "Content-Length: 2\r\n"));
	cr_assert_not_null(strstr(buf_cstr(&b), "Connection: close\r\n"));
	cr_assert_not_null(strstr(buf_cstr(&b), "Allow: GET\r\n"));
	buf_clear(&b);
	http_put_chunk(&b, SLICE_LIT("0123456789abcdef"));
	http_put_last_chunk(&b);
	cr_assert_str_eq(buf_cstr(&b),
	    "10\r\n0123456789abcdef\r\n0\r\n\r\n");
	buf_fini(&b);
}
