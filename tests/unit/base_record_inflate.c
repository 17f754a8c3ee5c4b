#include "base/record_batch.h"
#include "base/snappy.h"

#include <criterion/criterion.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

TestSuite(record_inflate);

/* Written by Google's library: 2000 bytes of repeats, 100 of a literal. */
static const uint8_t repeats[] = {
	208, 15, 32, 98, 98, 99, 100, 101, 102, 103, 104, 97, 254, 8, 0, 94,
	8, 0, 0, 99, 254, 96, 0, 122, 96, 0, 4, 98, 100, 254, 192, 0,
	118, 192, 0, 8, 98, 99, 101, 254, 32, 1, 114, 32, 1, 12, 98, 99,
	100, 102, 254, 128, 1, 110, 128, 1, 33, 216, 0, 103, 254, 224, 1, 106,
	224, 1, 1, 96, 4, 102, 104, 254, 64, 2, 102, 64, 2, 5, 96, 4,
	103, 105, 13, 8, 254, 104, 0, 98, 104, 0, 254, 8, 3, 254, 8, 3,
	254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254,
	8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8,
	3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3, 254, 8, 3,
	254, 8, 3, 113, 8,
};
static const uint8_t literal[] = {
	100, 240, 99, 11, 48, 85, 122, 159, 196, 233, 14, 51, 88, 125, 162, 199,
	236, 17, 54, 91, 128, 165, 202, 239, 20, 57, 94, 131, 168, 205, 242, 23,
	60, 97, 134, 171, 208, 245, 26, 63, 100, 137, 174, 211, 248, 29, 66, 103,
	140, 177, 214, 251, 32, 69, 106, 143, 180, 217, 254, 35, 72, 109, 146, 183,
	220, 1, 38, 75, 112, 149, 186, 223, 4, 41, 78, 115, 152, 189, 226, 7,
	44, 81, 118, 155, 192, 229, 10, 47, 84, 121, 158, 195, 232, 13, 50, 87,
	124, 161, 198, 235, 16, 53, 90,
};

static void
repeats_put(uint8_t *p)
{
	for (int i = 0; i < 2000; i++)
		p[i] = (uint8_t)("abcdefgh"[i % 8] + (i % 97 == 0));
}

static void
literal_put(uint8_t *p)
{
	for (int i = 0; i < 100; i++)
		p[i] = (uint8_t)(i * 37 + 11);
}

Test(record_inflate, snappy_blocks)
{
	uint8_t want[2000];
	struct buf b;

	buf_init(&b);
	repeats_put(want);
	cr_assert(snappy_inflate(slice_of(repeats, sizeof(repeats)), 2000,
	    &b));
	cr_assert(slice_eq(buf_slice(&b), slice_of(want, 2000)));
	cr_assert(!snappy_inflate(slice_of(repeats, sizeof(repeats)), 1999,
	    &b));
	buf_clear(&b);
	literal_put(want);
	cr_assert(snappy_inflate(slice_of(literal, sizeof(literal)), 2000,
	    &b));
	cr_assert(slice_eq(buf_slice(&b), slice_of(want, 100)));
	for (size_t n = 0; n < sizeof(repeats); n++)
		cr_assert(!snappy_inflate(slice_of(repeats, n), 4000, &b));
	for (size_t n = 0; n < sizeof(literal); n++)
		cr_assert(!snappy_inflate(slice_of(literal, n), 4000, &b));
	buf_fini(&b);
}

Test(record_inflate, snappy_elements)
{
	static const uint8_t run[] = {10, 0, 'a', 0x15, 1};
	static const uint8_t far[] = {5, 0, 'a', 0x01, 2};
	static const uint8_t zero[] = {5, 0, 'a', 0x01, 0};
	static const uint8_t far_4[] = {9, 0, 'a', 0x1f, 1, 0, 0, 0};
	static const uint8_t long_length[] = {255, 255, 255, 255, 255, 1};
	struct buf b;

	buf_init(&b);
	cr_assert(snappy_inflate(slice_of(run, 5), 100, &b));
	cr_assert(slice_is(buf_slice(&b), "aaaaaaaaaa"));
	buf_clear(&b);
	cr_assert(snappy_inflate(slice_of(far_4, 8), 100, &b));
	cr_assert(slice_is(buf_slice(&b), "aaaaaaaaa"));
	cr_assert(!snappy_inflate(slice_of(far, 5), 100, &b));
	cr_assert(!snappy_inflate(slice_of(zero, 5), 100, &b));
	cr_assert(!snappy_inflate(slice_of(long_length, 6), SIZE_MAX, &b));
	buf_fini(&b);
}

Test(record_inflate, snappy_in_xerials_frame)
{
	static const uint8_t frame[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
		0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 2, 4, 'a', 'b', 0, 0, 0,
		3, 1, 0, 'c'};
	struct buf b;

	buf_init(&b);
	cr_assert(snappy_inflate(slice_of(frame, sizeof(frame)), 3, &b));
	cr_assert(slice_is(buf_slice(&b), "abc"));
	buf_clear(&b);
	cr_assert(!snappy_inflate(slice_of(frame, sizeof(frame)), 2, &b));
	cr_assert(!snappy_inflate(slice_of(frame, sizeof(frame) - 1), 9, &b));
	cr_assert(!snappy_inflate(slice_of(frame, 26), 9, &b));
	buf_fini(&b);
}

/* ---- whole batches ------------------------------------------------------ */

#define RECORDS 5000

static size_t
compress_as(enum record_compression type, struct slice in, uint8_t *out,
    size_t cap)
{
	z_stream z = {0};

	switch (type) {
	case RECORD_GZIP:
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8,
		    Z_DEFAULT_STRATEGY);
		z.next_in = (Bytef *)(uintptr_t)in.p;
		z.avail_in = (uInt)in.len;
		z.next_out = out;
		z.avail_out = (uInt)cap;
		cr_assert(deflate(&z, Z_FINISH) == Z_STREAM_END);
		deflateEnd(&z);
		return z.total_out;
	case RECORD_LZ4:
		return LZ4F_compressFrame(out, cap, in.p, in.len, NULL);
	case RECORD_ZSTD:
		return ZSTD_compress(out, cap, in.p, in.len, 3);
	case RECORD_SNAPPY:
	case RECORD_PLAIN:
		break;
	}
	return 0;
}

static void
inflate_of(enum record_compression type)
{
	static uint8_t packed[1 << 20];
	struct record_batch_writer w;
	struct record_batch plain, b;
	struct buf bytes, out;
	size_t n;

	buf_init(&bytes);
	buf_init(&out);
	record_batch_begin(&w, &bytes, 0, 5);
	for (int i = 0; i < RECORDS; i++)
		record_batch_put(&w, i, SLICE_NULL,
		    slice_str("some text that repeats itself"));
	cr_assert(record_batch_get(record_batch_end(&w), &plain) ==
	    RECORD_OK);
	n = compress_as(type, plain.records, packed, sizeof(packed));
	cr_assert(n > 0 && n < plain.records.len);
	b = plain;
	b.attributes = (uint16_t)type;
	b.records = slice_of(packed, n);
	cr_assert(record_batch_check(&b) != NULL);
	cr_assert(record_batch_inflate(&b, plain.records.len + 1, &out) ==
	    RECORD_OK);
	cr_assert(slice_eq(b.records, plain.records));
	cr_assert(record_batch_check(&b) == NULL);
	/* Too large for the bound, and cut short. */
	b.attributes = (uint16_t)type;
	b.records = slice_of(packed, n);
	cr_assert(record_batch_inflate(&b, plain.records.len - 1, &out) ==
	    RECORD_BAD);
	for (size_t cut = 0; cut < n; cut += n / 50 + 1) {
		b.attributes = (uint16_t)type;
		b.records = slice_of(packed, cut);
		cr_assert(record_batch_inflate(&b, plain.records.len + 1,
		    &out) == RECORD_BAD, "cut at %zu", cut);
	}
	buf_fini(&bytes);
	buf_fini(&out);
}

Test(record_inflate, gzip)
{
	inflate_of(RECORD_GZIP);
}

Test(record_inflate, lz4)
{
	inflate_of(RECORD_LZ4);
}

Test(record_inflate, zstd)
{
	inflate_of(RECORD_ZSTD);
}

Test(record_inflate, what_is_unknown_is_bad)
{
	struct record_batch b = {.attributes = 5, .records = SLICE_EMPTY};
	struct buf out;

	buf_init(&out);
	cr_assert(record_batch_inflate(&b, 100, &out) == RECORD_BAD);
	b.attributes = 7;
	cr_assert(record_batch_inflate(&b, 100, &out) == RECORD_BAD);
	b.attributes = RECORD_PLAIN;
	cr_assert(record_batch_inflate(&b, 100, &out) == RECORD_OK);
	buf_fini(&out);
}
