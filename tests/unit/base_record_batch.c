#include "base/crc32c.h"
#include "base/record.h"
#include "base/record_batch.h"

#include <criterion/criterion.h>

TestSuite(record_batch);

static struct slice
batch_of(struct buf *b, uint64_t base, int n)
{
	struct record_batch_writer w;

	record_batch_begin(&w, b, base, RECORD_PRODUCER_OURS | 7);
	for (int i = 0; i < n; i++)
		record_batch_put(&w, 1000 + i, slice_str("key"),
		    slice_str("value"));
	w.sequence = 99;
	return record_batch_end(&w);
}

Test(record_batch, crc_is_castagnoli)
{
	cr_assert_eq(crc32c(slice_str("123456789")), 0xe3069283u);
	cr_assert_eq(crc32c(SLICE_EMPTY), 0);
}

Test(record_batch, bytes_are_as_published)
{
	/* base offset 5, one record: key "k", null value. */
	static const uint8_t want[] = {0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 57, 0,
		0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3,
		0xe8, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0x40, 0, 0, 0, 0, 0, 0, 7, 0,
		0, 0, 0, 0, 1, 0, 0, 0, 1, 14, 0, 0, 0, 2, 'k', 1, 0};
	struct record_batch_writer w;
	struct buf b;
	struct slice s;

	buf_init(&b);
	record_batch_begin(&w, &b, 5, RECORD_PRODUCER_OURS | 7);
	record_batch_put(&w, 1000, slice_str("k"), SLICE_NULL);
	w.sequence = 1;
	s = record_batch_end(&w);
	cr_assert_eq(s.len, sizeof(want));
	memset(b.p + 17, 0, 4); /* the CRC */
	cr_assert(memcmp(s.p, want, s.len) == 0);
	buf_fini(&b);
}

Test(record_batch, round_trip)
{
	struct record_batch batch;
	struct record_cursor c;
	struct record_raw raw;
	struct buf b;
	struct slice s;

	buf_init(&b);
	s = batch_of(&b, 1234567, 300);
	cr_assert(record_batch_get(s, &batch) == RECORD_OK);
	cr_assert(record_batch_check(&batch) == NULL);
	cr_assert(record_batch_is_ours(&batch));
	cr_assert_eq(batch.base_offset, 1234567);
	cr_assert_eq(batch.base_sequence, 99);
	cr_assert_eq(batch.max_timestamp, 1299);
	record_cursor_init(&c, &batch);
	for (int i = 0; i < 300; i++) {
		cr_assert(record_cursor_next(&c, &raw) == RECORD_OK);
		cr_assert_eq(raw.offset, 1234567 + i);
		cr_assert_eq(raw.timestamp_ms, 1000 + i);
		cr_assert(slice_is(raw.key, "key"));
		cr_assert(slice_is(raw.value, "value"));
	}
	cr_assert(record_cursor_next(&c, &raw) == RECORD_MORE);
	buf_fini(&b);
}

Test(record_batch, base_offset_is_not_in_the_crc)
{
	struct record_batch batch;
	struct buf b;
	struct slice s;

	buf_init(&b);
	s = batch_of(&b, 0, 3);
	record_batch_set_base_offset(b.p, 77);
	record_batch_set_leader_epoch(b.p, 4);
	cr_assert(record_batch_get(s, &batch) == RECORD_OK);
	cr_assert_eq(record_batch_last_offset(&batch), 79);
	cr_assert_eq(batch.leader_epoch, 4);
	buf_fini(&b);
}

Test(record_batch, every_truncation_asks_for_more)
{
	struct record_batch batch;
	struct buf b;
	struct slice s;

	buf_init(&b);
	s = batch_of(&b, 0, 3);
	for (size_t n = 0; n < s.len; n++)
		cr_assert(record_batch_get(slice_of(s.p, n), &batch) ==
		    RECORD_MORE);
	buf_fini(&b);
}

Test(record_batch, every_flipped_bit_is_seen)
{
	struct record_batch batch;
	struct buf b;
	struct slice s;

	buf_init(&b);
	s = batch_of(&b, 5, 3);
	for (size_t i = 0; i < s.len * 8; i++) {
		enum record_answer answer;

		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
		answer = record_batch_get(s, &batch);
		/* Base offset and epoch are checked by the chain of offsets. */
		if (i / 8 >= 16)
			cr_assert(answer != RECORD_OK);
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	buf_fini(&b);
}

/* A batch with these bytes as records and a CRC that is right. */
static const char *
check_of(const void *p, size_t n, uint32_t count, uint32_t last_delta)
{
	struct record_batch batch = {.count = count,
		.last_offset_delta = last_delta,
		.records = slice_of(p, n)};

	return record_batch_check(&batch);
}

Test(record_batch, bad_records_are_refused)
{
	static const uint8_t good[] = {16, 0, 0, 0, 2, 'k', 2, 'v', 0};
	static const uint8_t two[] = {12, 0, 0, 0, 1, 1, 0,
		12, 0, 0, 0, 1, 1, 0};
	uint8_t bad[sizeof(good)];

	memcpy(bad, good, sizeof(good));
	cr_assert(check_of(good, 9, 1, 0) == NULL);
	cr_assert(check_of(good, 8, 1, 0) != NULL, "cut");
	bad[0] = 18;
	cr_assert(check_of(bad, 9, 1, 0) != NULL, "longer than there is");
	bad[0] = 14;
	cr_assert(check_of(bad, 9, 1, 0) != NULL, "cut inside");
	bad[0] = 16;
	bad[4] = 20;
	cr_assert(check_of(bad, 9, 1, 0) != NULL, "key beyond the record");
	bad[4] = 2;
	bad[8] = 2;
	cr_assert(check_of(bad, 9, 1, 0) != NULL, "a header that is not there");
	cr_assert(check_of(two, sizeof(two), 2, 1) != NULL, "same delta");
	cr_assert(check_of(two, sizeof(two), 1, 0) != NULL, "bytes left");
	cr_assert(check_of(two, 7, 1, 0) == NULL);
	cr_assert(check_of(two, 7, 1, 1) != NULL, "another last delta");
	cr_assert(check_of(two, 7, 0, 0) != NULL, "no records");
	cr_assert(check_of(two, 7, 2, 0) != NULL, "fewer than said");
}

Test(record_batch, varints_keep_every_width)
{
	static const int64_t values[] = {0, -1, 1, 63, 64, -64, -65, 8191,
		8192, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		uint8_t bytes[10];
		const uint8_t *p = bytes;
		uint8_t *end = varint_put(bytes, values[i]);
		int64_t got;

		cr_assert_eq((size_t)(end - bytes),
		    varint_size(values[i]));
		cr_assert(varint_get(&p, end, &got));
		cr_assert_eq(got, values[i]);
		for (const uint8_t *cut = bytes; cut < end; cut++) {
			p = bytes;
			cr_assert(!varint_get(&p, cut, &got));
		}
	}
	static const uint8_t endless[] = {255, 255, 255, 255, 255, 255, 255,
		255, 255, 2};
	const uint8_t *p = endless;
	int64_t got;
	cr_assert(!varint_get(&p, endless + sizeof(endless), &got));
}
