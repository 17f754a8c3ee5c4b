/* links: sink_exec worker base */
/* The frames of exec/1: each form, every truncation, every limit. */
#include "connector-worker/sinks/exec_frame.h"

#include "ipc/pack.h"

#include <criterion/criterion.h>

static struct buf body;

static void
put_text(const char *s)
{
	pack_str(&body, strlen(s));
	pack_str_body(&body, s, strlen(s));
}

static void
begin(const char *name, size_t count)
{
	buf_clear(&body);
	pack_array(&body, count);
	put_text(name);
}

static void
put_answer(uint64_t index, const char *outcome, const char *reason)
{
	pack_array(&body, 3);
	pack_uint64(&body, index);
	put_text(outcome);
	if (reason == NULL)
		pack_nil(&body);
	else
		put_text(reason);
}

/* Whole it is well; each part of it, and one byte more, is a fault. */
static void
check(struct exec_frame *f)
{
	struct slice all;

	for (size_t n = 0; n < buf_len(&body); n++)
		cr_assert_not_null(
		    exec_frame_get(slice_of(buf_data(&body), n), f));
	buf_add_u8(&body, 0xc0);
	all = buf_slice(&body);
	cr_assert_not_null(exec_frame_get(all, f));
	all.len--;
	cr_assert_null(exec_frame_get(all, f));
}

static void
refuse(void)
{
	struct exec_frame f;

	cr_assert_not_null(exec_frame_get(buf_slice(&body), &f));
}

static void
put_long(size_t len)
{
	pack_str(&body, len);
	for (size_t i = 0; i < len; i++)
		buf_add_u8(&body, 'x');
}

Test(exec_frame, hello)
{
	struct exec_frame f;

	begin("hello", 3);
	pack_uint64(&body, 1);
	put_text("mine");
	check(&f);
	cr_assert_eq(f.kind, EXEC_HELLO);
	cr_assert_eq(f.number, 1);
	cr_assert(slice_is(f.name, "mine"));
	begin("hello", 3);
	pack_uint64(&body, 1);
	put_long(EXEC_NAME_MAX);
	cr_assert_null(exec_frame_get(buf_slice(&body), &f));
	begin("hello", 3);
	pack_uint64(&body, 1);
	put_long(EXEC_NAME_MAX + 1);
	refuse();
}

Test(exec_frame, opened_and_probed)
{
	struct exec_frame f;

	begin("opened", 2);
	pack_nil(&body);
	check(&f);
	cr_assert_eq(f.kind, EXEC_OPENED);
	cr_assert(slice_is_null(f.reason));
	begin("opened", 2);
	put_text("");
	check(&f);
	cr_assert(!slice_is_null(f.reason));
	begin("probed", 3);
	pack_uint64(&body, UINT64_MAX);
	put_long(EXEC_REASON_MAX);
	cr_assert_null(exec_frame_get(buf_slice(&body), &f));
	cr_assert_eq(f.kind, EXEC_PROBED);
	cr_assert_eq(f.number, UINT64_MAX);
	cr_assert_eq(f.reason.len, EXEC_REASON_MAX);
	begin("probed", 3);
	pack_uint64(&body, 1);
	put_long(EXEC_REASON_MAX + 1);
	refuse();
}

Test(exec_frame, answers)
{
	static const char *const names[] = {"delivered", "retryable",
	    "refused", "unavailable", "unsure", "held"};
	struct exec_frame f;
	struct exec_answer a;

	begin("answers", 3);
	pack_uint64(&body, 77);
	pack_array(&body, 6);
	for (unsigned i = 0; i < 6; i++)
		put_answer(i * 1000, names[i], i == 0 ? NULL : names[i]);
	check(&f);
	cr_assert_eq(f.kind, EXEC_ANSWERS);
	cr_assert_eq(f.number, 77);
	for (unsigned i = 0; i < 6; i++) {
		cr_assert(exec_answer_take(&f, &a));
		cr_assert_eq(a.index, i * 1000);
		cr_assert_eq(a.outcome, (enum sink_outcome)i);
		cr_assert_eq(slice_is_null(a.reason), i == 0);
	}
	cr_assert(!exec_answer_take(&f, &a));
	begin("answers", 3);
	pack_uint64(&body, 1);
	pack_array(&body, 1);
	put_answer(0, "fine", NULL);
	refuse();
	begin("answers", 3);
	pack_uint64(&body, 1);
	pack_array(&body, 1);
	put_answer(UINT64_C(1) << 32, "held", NULL);
	refuse();
	/* A count that no body holds. */
	begin("answers", 3);
	pack_uint64(&body, 1);
	pack_array(&body, UINT32_MAX);
	refuse();
}

Test(exec_frame, unknown)
{
	begin("nonsense", 1);
	refuse();
	begin("hello", 1);
	refuse();
	buf_clear(&body);
	pack_array(&body, 0);
	refuse();
	buf_clear(&body);
	pack_nil(&body);
	refuse();
}

Test(exec_frame, length)
{
	static const uint8_t zero[4], long_[4] = {0, 0x10, 0, 1},
	    whole[6] = {0, 0, 0, 1, 0xc0, 9};
	struct slice b;

	cr_assert_eq(exec_body_peek(slice_of(zero, 4), &b), EXEC_GARBAGE);
	cr_assert_eq(exec_body_peek(slice_of(long_, 4), &b), EXEC_GARBAGE);
	for (size_t n = 0; n < 5; n++)
		cr_assert_eq(exec_body_peek(slice_of(whole, n), &b),
		    EXEC_MORE);
	cr_assert_eq(exec_body_peek(slice_of(whole, 6), &b), EXEC_WHOLE);
	cr_assert_eq(b.len, 1);
	cr_assert_eq(b.p, whole + 4);
}

/* What we send: its lengths are right, the identifier is in it. */
Test(exec_frame, batch)
{
	static const struct record_header headers[] = {
	    {SLICE_LIT("a"), SLICE_LIT("\xff")}};
	struct record rec = {.stream = SLICE_LIT("s"), .incarnation = 3,
	    .partition = 1, .offset = 9, .topic = SLICE_LIT("t/\xff"),
	    .key = SLICE_LIT("t"), .payload = SLICE_LIT("x"), .qos = 1,
	    .retain = true, .headers = headers, .headers_len = 1};
	struct sink_record r = {.rec = &rec, .order = 5}, *all[] = {&r, &r};
	static const char *const names[] = {"batch", "probe", "close", "hello"};
	static const uint32_t counts[] = {3, 2, 1, 4};
	struct slice b, name;
	struct cursor c;
	struct buf out;
	uint32_t count;

	buf_init(&out);
	buf_add_str(&out, "before");
	exec_put_batch(&out, 12, all, 2);
	exec_put_probe(&out, 13);
	exec_put_close(&out);
	exec_put_hello(&out, "c", "s");
	buf_consume(&out, 6);
	for (int i = 0; i < 4; i++) {
		cr_assert_eq(exec_body_peek(buf_slice(&out), &b), EXEC_WHOLE);
		c = (struct cursor){b.p, b.p + b.len};
		cr_assert(cursor_get_array(&c, &count));
		cr_assert_eq(count, counts[i]);
		cr_assert(cursor_get_str(&c, &name, 1, 10));
		cr_assert(slice_is(name, names[i]));
		if (i == 0)
			cr_assert_not_null(
			    memmem(b.p, b.len, "\xa7s.3-1-9", 8));
		buf_consume(&out, EXEC_HEADER + b.len);
	}
	cr_assert_eq(buf_len(&out), 0);
	buf_fini(&out);
}
