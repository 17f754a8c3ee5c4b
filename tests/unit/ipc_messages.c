/* links: ipc base */
#include "ipc/cursor.h"
#include "ipc/messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct slice
body_of(const struct buf *b)
{
	return slice_of(buf_data(b) + IPC_HEADER_LEN, buf_len(b) - IPC_HEADER_LEN);
}

Test(messages, hello_round_trip)
{
	struct ipc_hello out = {.table_hash = UINT64_MAX,
	    .name = slice_str("router"), .kind = 1, .incarnation = 7}, in;
	struct buf b = {0};

	ipc_put_hello(&b, &out);
	cr_assert_eq(buf_data(&b)[4], IPC_HELLO);
	cr_assert_eq(buf_data(&b)[3], buf_len(&b) - IPC_HEADER_LEN);
	cr_assert(ipc_get_hello(body_of(&b), &in));
	cr_assert_eq(in.table_hash, out.table_hash);
	cr_assert(slice_is(in.name, "router"));
	cr_assert_eq(in.incarnation, 7);
	buf_fini(&b);
}

Test(messages, every_truncation_is_refused)
{
	struct ipc_publish m = {.number = 300}, in;
	struct ipc_publish_item item = {.topic = slice_str("a/b"),
	    .payload = slice_str("xyz"), .client_id = slice_str("c"),
	    .username = SLICE_NULL, .protocol = slice_str("mqtt"),
	    .props = SLICE_NULL}, got;
	struct ipc_batch batch = {0};
	struct buf b = {0};
	struct slice body;

	ipc_add_publish_item(&batch, &item);
	ipc_add_publish_item(&batch, &item);
	m.items = ipc_batch_list(&batch);
	ipc_put_publish(&b, &m);
	body = body_of(&b);
	for (size_t n = 0; n < body.len; n++) {
		/* a copy, so that reading past its end is seen */
		uint8_t *copy = malloc(n + 1);
		int rc = 1;

		memcpy(copy, body.p, n);
		if (ipc_get_publish(slice_of(copy, n), &in))
			while ((rc = ipc_next_publish_item(&in.items, &got)) == 1)
				;
		else
			rc = -1;
		cr_assert_eq(rc, -1, "truncated at %zu", n);
		free(copy);
	}
	cr_assert(ipc_get_publish(body, &in));
	cr_assert_eq(ipc_next_publish_item(&in.items, &got), 1);
	cr_assert(slice_is(got.topic, "a/b"));
	cr_assert(slice_is_null(got.username));
	cr_assert_eq(ipc_next_publish_item(&in.items, &got), 1);
	cr_assert_eq(ipc_next_publish_item(&in.items, &got), 0);
	buf_fini(&b);
	buf_fini(&batch.bytes);
}

Test(messages, bounds_are_checked)
{
	struct ipc_pong in;
	struct ipc_setup setup = {.name = SLICE_EMPTY,
	    .config = slice_str("{}"), .watchdog_ms = 100}, got;
	struct buf b = {0};
	static const uint8_t too_many[] = {0xdd, 0xff, 0xff, 0xff, 0xff};

	ipc_put_setup(&b, &setup);
	cr_assert_not(ipc_get_setup(body_of(&b), &got), "an empty name");
	cr_assert_not(ipc_get_pong(slice_of(too_many, 5), &in));
	buf_fini(&b);
}

Test(messages, secrets_are_not_printed)
{
	union ipc_any m = {.setup = {.name = slice_str("x"),
	    .config = slice_str("{\"password\":\"geheim\"}"),
	    .watchdog_ms = 100}};
	struct buf b = {0};

	ipc_info(IPC_SETUP)->print(&b, &m);
	cr_assert(strstr(buf_cstr(&b), "geheim") == NULL);
	cr_assert(strstr(buf_cstr(&b), "config=***") != NULL);
	buf_fini(&b);
}

Test(messages, permissions_follow_the_table)
{
	cr_assert(ipc_is_permitted(
	    ipc_info(IPC_PUBLISH), KIND_ACCEPTOR, KIND_ROUTER));
	cr_assert_not(ipc_is_permitted(
	    ipc_info(IPC_PUBLISH), KIND_ROUTER, KIND_ACCEPTOR));
	cr_assert_not(ipc_is_permitted(
	    ipc_info(IPC_SETUP), KIND_WORKER, KIND_ROUTER));
	cr_assert_null(ipc_info(0));
	cr_assert_null(ipc_info(255));
}

Test(cursor, integers_of_every_width)
{
	static const struct {
		uint8_t bytes[9];
		size_t len;
		uint64_t value;
	} cases[] = {
	    {{0x7f}, 1, 127},
	    {{0xcc, 0xff}, 2, 255},
	    {{0xcd, 1, 0}, 3, 256},
	    {{0xce, 1, 0, 0, 0}, 5, 1u << 24},
	    {{0xcf, 0, 0, 0, 1, 0, 0, 0, 0}, 9, (uint64_t)1 << 32},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct cursor c = {cases[i].bytes, cases[i].bytes + cases[i].len};
		uint64_t v;

		cr_assert(cursor_get_uint(&c, &v, 0, UINT64_MAX));
		cr_assert_eq(v, cases[i].value);
		cr_assert_eq(c.p, c.end);
		for (size_t n = 0; n < cases[i].len; n++) {
			c = (struct cursor){cases[i].bytes, cases[i].bytes + n};
			cr_assert_not(cursor_get_uint(&c, &v, 0, UINT64_MAX));
		}
	}
}

Test(cursor, signed_integers)
{
	static const uint8_t minus_one[] = {0xff}, wide[] = {0xd1, 0xff, 0x00},
	    widest[] = {0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0};
	struct cursor c = {minus_one, minus_one + 1};
	int64_t v;

	cr_assert(cursor_get_int(&c, &v, INT64_MIN, INT64_MAX));
	cr_assert_eq(v, -1);
	c = (struct cursor){wide, wide + 3};
	cr_assert(cursor_get_int(&c, &v, INT64_MIN, INT64_MAX));
	cr_assert_eq(v, -256);
	c = (struct cursor){widest, widest + 9};
	cr_assert(cursor_get_int(&c, &v, INT64_MIN, INT64_MAX));
	cr_assert_eq(v, INT64_MIN);
}
