/* links: proto_ws base crypto */
#include "proto/ws/frame.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* A masked frame as a client sends it. */
static size_t
frame(uint8_t *out, uint8_t head, const char *payload, size_t n)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	size_t at = 2;

	out[0] = head;
	if (n < 126) {
		out[1] = (uint8_t)(0x80 | n);
	} else {
		out[1] = 0x80 | 126;
		out[2] = (uint8_t)(n >> 8);
		out[3] = (uint8_t)n;
		at = 4;
	}
	memcpy(out + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < n; i++)
		out[at + i] = (uint8_t)payload[i] ^ mask[i % 4];
	return at + n;
}

static enum ws_answer
read_one(struct ws_reader *r, uint8_t *p, size_t n, struct ws_event *e)
{
	size_t used;

	return ws_read(r, p, n, &used, e);
}

Test(ws, the_example_of_the_specification)
{
	/* RFC 6455, 5.7: a single-frame masked text message, "Hello" */
	uint8_t in[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d,
	    0x51, 0x58};
	struct ws_reader r;
	struct ws_event e;

	ws_reader_init(&r, 0);
	cr_assert_eq(read_one(&r, in, sizeof(in), &e), WS_DATA);
	cr_assert_eq(e.opcode, WS_TEXT);
	cr_assert(slice_is(e.payload, "Hello"));
	cr_assert(e.is_message_end);
}

Test(ws, the_accept_key_of_the_specification)
{
	char out[29];

	cr_assert(ws_accept(slice_str("dGhlIHNhbXBsZSBub25jZQ=="), out));
	cr_assert_str_eq(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	cr_assert_not(ws_accept(slice_str("short"), out));
}

Test(ws, any_cut_gives_the_same_message)
{
	char text[300];
	uint8_t in[700], copy[700];
	size_t n;

	memset(text, 'a', sizeof(text));
	text[299] = 'z';
	n = frame(in, 0x02, text, 200);
	n += frame(in + n, 0x89, "ping", 4);
	n += frame(in + n, 0x80, text + 200, 100);
	for (size_t cut = 0; cut <= n; cut++) {
		struct ws_reader r;
		struct ws_event e;
		struct buf got = {0};
		size_t at = 0, used, pings = 0, ends = 0, limit = cut;

		memcpy(copy, in, n);
		ws_reader_init(&r, 300);
		for (int pass = 0; pass < 2; pass++, limit = n)
			for (;;) {
				enum ws_answer a = ws_read(&r, copy + at,
				    limit - at, &used, &e);

				at += used;
				cr_assert_neq(a, WS_ERROR);
				if (a == WS_MORE)
					break;
				if (a == WS_CONTROL) {
					cr_assert(slice_is(e.payload, "ping"));
					pings++;
					continue;
				}
				buf_add_slice(&got, e.payload);
				ends += e.is_message_end;
			}
		cr_assert_eq(buf_len(&got), 300, "cut %zu", cut);
		cr_assert_arr_eq(buf_data(&got), text, 300);
		cr_assert_eq(pings, 1);
		cr_assert_eq(ends, 1);
		buf_fini(&got);
	}
}

static void
expect_error(uint8_t *in, size_t n, uint64_t max, enum ws_status status)
{
	struct ws_reader r;
	struct ws_event e;
	size_t used, at = 0;
	enum ws_answer a;

	ws_reader_init(&r, max);
	do {
		a = ws_read(&r, in + at, n - at, &used, &e);
		at += used;
	} while (a == WS_DATA || (a == WS_CONTROL && at < n));
	cr_assert_eq(a, WS_ERROR);
	cr_assert_eq(e.status, status);
}

Test(ws, rules_that_end_a_connection)
{
	uint8_t in[400];
	char big[200] = {0};
	size_t n;

	expect_error((uint8_t[]){0x82, 0x01, 'x', 0, 0, 0}, 6, 0,
	    WS_PROTOCOL_ERROR);	/* not masked */
	n = frame(in, 0xc2, "x", 1);	/* a reserved bit */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x83, "x", 1);	/* a reserved opcode */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x80, "x", 1);	/* continues nothing */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x02, "x", 1);	/* a message inside another */
	n += frame(in + n, 0x82, "y", 1);
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x09, "x", 1);	/* a fragmented ping */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x89, big, 126);	/* a long ping */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x82, big, 101);
	expect_error(in, n, 100, WS_TOO_BIG);
	n = frame(in, 0x02, big, 60);
	n += frame(in + n, 0x80, big, 60);
	expect_error(in, n, 100, WS_TOO_BIG);
	n = frame(in, 0x88, "\x03\xec", 2);	/* 1004 may not be sent */
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	n = frame(in, 0x88, "\x03", 1);
	expect_error(in, n, 0, WS_PROTOCOL_ERROR);
	/* a length that a shorter form could hold */
	memcpy(in, "\x82\xfe\x00\x05\0\0\0\0hello", 13);
	expect_error(in, 13, 0, WS_PROTOCOL_ERROR);
}

Test(ws, nothing_follows_a_close)
{
	uint8_t in[64];
	struct ws_reader r;
	struct ws_event e;
	size_t n = frame(in, 0x88, "\x03\xe8", 2), used;

	n += frame(in + n, 0x82, "x", 1);
	ws_reader_init(&r, 0);
	cr_assert_eq(ws_read(&r, in, n, &used, &e), WS_CONTROL);
	cr_assert_eq(e.opcode, WS_CLOSE);
	cr_assert_eq(e.status, WS_NORMAL);
	cr_assert_eq(ws_read(&r, in + used, n - used, &used, &e), WS_MORE);
}

Test(ws, headers_that_a_server_writes)
{
	uint8_t p[WS_HEADER_MAX];

	cr_assert_eq(ws_put_header(p, WS_BINARY, 125), 2);
	cr_assert_eq(p[0], 0x82);
	cr_assert_eq(p[1], 125);
	cr_assert_eq(ws_put_header(p, WS_BINARY, 126), 4);
	cr_assert_eq(ws_put_header(p, WS_BINARY, 65536), 10);
	cr_assert_eq(p[1], 127);
	cr_assert_eq(p[7], 1);
}
