#include "base/log_layout.h"
#include "base/log_reader.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(log_reader);

/* A segment in memory; the reader gets a duplicate of the descriptor. */
struct file {
	int fd;
	uint64_t end;	/* offset of the next record */
	off_t at[64];	/* where the batches begin */
	int batches;
};

static struct file
file_new(uint64_t base)
{
	struct file f = {.fd = memfd_create("segment", MFD_CLOEXEC),
		.end = base};

	cr_assert(f.fd >= 0);
	return f;
}

/* n records in one batch; the payload is the offset in decimal. */
static void
file_add(struct file *f, int n, int64_t ms)
{
	struct record_batch_writer w;
	struct slice s;
	struct buf b;
	char text[32];

	buf_init(&b);
	record_batch_begin(&w, &b, f->end, RECORD_PRODUCER_OURS);
	for (int i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "%llu",
		    (unsigned long long)f->end++);
		record_put(&w, &(struct record){.topic = SLICE_LIT("t"),
			.payload = slice_str(text), .timestamp_ms = ms});
	}
	s = record_batch_end(&w);
	f->at[f->batches++] = lseek(f->fd, 0, SEEK_END);
	cr_assert(write(f->fd, s.p, s.len) == (ssize_t)s.len);
	buf_fini(&b);
}

static void
file_flip(struct file *f, off_t at)
{
	uint8_t byte;

	cr_assert(pread(f->fd, &byte, 1, at) == 1);
	byte ^= 0x10;
	cr_assert(pwrite(f->fd, &byte, 1, at) == 1);
}

static void
give(struct log_reader *r, const struct file *f, uint64_t base)
{
	log_reader_add_segment(r, base, dup(f->fd));
}

/* Reads until END; records must be [first, end) without a hole. */
static void
expect_records(struct log_reader *r, uint64_t first, uint64_t end)
{
	struct record record;
	struct log_range range;
	char text[32];

	for (uint64_t o = first; o < end; o++) {
		enum log_reader_answer answer = log_reader_next(r, &record,
		    &range);

		cr_assert(answer == LOG_READER_RECORD, "answer %d at %lu",
		    answer, o);
		cr_assert(record.offset == o, "%lu is not %lu",
		    record.offset, o);
		snprintf(text, sizeof(text), "%lu", o);
		cr_assert(slice_is(record.payload, text));
		cr_assert(log_reader_offset(r) == o + 1);
	}
}

static void
expect_end(struct log_reader *r)
{
	struct record record;
	struct log_range range;

	cr_assert(log_reader_next(r, &record, &range) == LOG_READER_END);
}

static void
expect_range(struct log_reader *r, enum log_reader_answer want,
    uint64_t first, uint64_t last)
{
	struct record record;
	struct log_range range;
	enum log_reader_answer answer = log_reader_next(r, &record, &range);

	cr_assert(answer == want, "answer %d", answer);
	cr_assert(range.first == first && range.last == last, "%lu..%lu",
	    range.first, range.last);
}

Test(log_reader, reads_to_the_watermark_and_no_further)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file f = file_new(0);

	file_add(&f, 3, 1);
	file_add(&f, 2, 1);
	give(r, &f, 0);
	expect_end(r);
	log_reader_set_bounds(r, 0, 3);
	expect_records(r, 0, 3);
	expect_end(r);
	log_reader_set_bounds(r, 0, 5);
	expect_records(r, 3, 5);
	expect_end(r);
	file_add(&f, 1, 1);
	log_reader_set_bounds(r, 0, 6);
	expect_records(r, 5, 6);
	expect_end(r);
	log_reader_free(r);
}

Test(log_reader, half_written_bytes_beyond_the_watermark_do_no_harm)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file f = file_new(0), whole = file_new(0);
	uint8_t bytes[4096];
	ssize_t n;

	file_add(&f, 3, 1);
	whole.end = 3;
	file_add(&whole, 5, 1);
	n = pread(whole.fd, bytes, sizeof(bytes), 0);
	cr_assert(write(f.fd, bytes, 100) == 100);
	give(r, &f, 0);
	log_reader_set_bounds(r, 0, 3);
	/* One record only, so that the reader holds a stale chunk. */
	expect_records(r, 0, 1);
	cr_assert(write(f.fd, bytes + 100, (size_t)n - 100) == n - 100);
	log_reader_set_bounds(r, 0, 8);
	expect_records(r, 1, 8);
	expect_end(r);
	log_reader_free(r);
}

Test(log_reader, crosses_segments_and_gaps)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file a = file_new(0), b = file_new(10),
		    c = file_new(LOG_GAP_ALIGN * 3);

	file_add(&a, 10, 1);
	file_add(&b, 2, 1);
	file_add(&c, 4, 1);
	give(r, &c, LOG_GAP_ALIGN * 3);
	give(r, &a, 0);
	give(r, &b, 10);
	give(r, &b, 10);
	log_reader_set_bounds(r, 0, 12);
	expect_records(r, 0, 12);
	expect_end(r);
	log_reader_set_bounds(r, 0, LOG_GAP_ALIGN * 3 + 4);
	expect_records(r, LOG_GAP_ALIGN * 3, LOG_GAP_ALIGN * 3 + 4);
	expect_end(r);
	log_reader_seek(r, 11);
	expect_records(r, 11, 12);
	expect_records(r, LOG_GAP_ALIGN * 3, LOG_GAP_ALIGN * 3 + 4);
	log_reader_seek(r, 500);
	expect_records(r, LOG_GAP_ALIGN * 3, LOG_GAP_ALIGN * 3 + 4);
	log_reader_seek(r, 0);
	expect_records(r, 0, 12);
	log_reader_free(r);
}

/* A router that was killed between a new segment and its first batch. */
Test(log_reader, a_watermark_at_an_empty_segment_is_no_damage)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file f = file_new(0), g = file_new(4 * LOG_GAP_ALIGN);

	file_add(&f, 3, 1);
	give(r, &f, 0);
	log_reader_set_bounds(r, 0, 3);
	expect_records(r, 0, 3);
	give(r, &g, 4 * LOG_GAP_ALIGN);
	log_reader_set_bounds(r, 0, 4 * LOG_GAP_ALIGN);
	expect_end(r);
	file_add(&g, 2, 1);
	log_reader_set_bounds(r, 0, g.end);
	expect_records(r, 4 * LOG_GAP_ALIGN, g.end);
	expect_end(r);
	log_reader_free(r);
	close(f.fd);
	close(g.fd);
}

Test(log_reader, seeks_into_the_middle_of_a_batch)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file f = file_new(100);

	for (int i = 0; i < 10; i++)
		file_add(&f, 7, i);
	give(r, &f, 100);
	log_reader_set_bounds(r, 100, 170);
	for (uint64_t from = 100; from < 170; from++) {
		log_reader_seek(r, from);
		expect_records(r, from, 170);
		expect_end(r);
	}
	log_reader_free(r);
}

Test(log_reader, a_flipped_byte_costs_one_batch)
{
	for (int batch = 0; batch < 5; batch++) {
		struct file f = file_new(0);
		off_t end;

		for (int i = 0; i < 5; i++)
			file_add(&f, 3, 1);
		end = batch < 4 ? f.at[batch + 1]
				: lseek(f.fd, 0, SEEK_END);
		for (off_t at = f.at[batch]; at < end; at++) {
			struct log_reader *r;
			uint64_t first = (uint64_t)batch * 3;

			if (at >= f.at[batch] + 12 && at < f.at[batch] + 16)
				continue; /* the leader epoch says nothing */
			r = log_reader_new("s", 1, 0);
			file_flip(&f, at);
			give(r, &f, 0);
			log_reader_set_bounds(r, 0, 15);
			expect_records(r, 0, first);
			expect_range(r, LOG_READER_DAMAGED, first, first + 2);
			expect_records(r, first + 3, 15);
			expect_end(r);
			file_flip(&f, at);
			log_reader_free(r);
		}
		close(f.fd);
	}
}

Test(log_reader, a_missing_byte_costs_one_batch)
{
	struct file f = file_new(0);
	uint8_t bytes[8192];
	size_t n;

	for (int i = 0; i < 5; i++)
		file_add(&f, 3, 1);
	n = (size_t)pread(f.fd, bytes, sizeof(bytes), 0);
	/* The last byte is a 0 as the next batch's first: it cannot be told
	 * which of them is missing. */
	for (size_t cut = (size_t)f.at[2]; cut < (size_t)f.at[3] - 1; cut++) {
		struct log_reader *r = log_reader_new("s", 1, 0);
		struct file g = file_new(0);

		cr_assert(write(g.fd, bytes, cut) == (ssize_t)cut);
		cr_assert(write(g.fd, bytes + cut + 1, n - cut - 1) ==
		    (ssize_t)(n - cut - 1));
		give(r, &g, 0);
		log_reader_set_bounds(r, 0, 15);
		expect_records(r, 0, 6);
		expect_range(r, LOG_READER_DAMAGED, 6, 8);
		expect_records(r, 9, 15);
		expect_end(r);
		/* Also when it has to seek past the damage. */
		log_reader_seek(r, 13);
		expect_records(r, 13, 15);
		log_reader_free(r);
		close(g.fd);
	}
}

Test(log_reader, a_truncated_segment_is_damage_not_a_gap)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file a = file_new(0), b = file_new(9);

	for (int i = 0; i < 3; i++)
		file_add(&a, 3, 1);
	file_add(&b, 3, 1);
	cr_assert(ftruncate(a.fd, a.at[2]) == 0);
	give(r, &a, 0);
	give(r, &b, 9);
	log_reader_set_bounds(r, 0, 12);
	expect_records(r, 0, 6);
	expect_range(r, LOG_READER_DAMAGED, 6, 8);
	expect_records(r, 9, 12);
	log_reader_free(r);

	/* The last one: damage up to the watermark, and then it goes on. */
	r = log_reader_new("s", 1, 0);
	a = file_new(0);
	for (int i = 0; i < 3; i++)
		file_add(&a, 3, 1);
	cr_assert(ftruncate(a.fd, a.at[2] + 20) == 0);
	give(r, &a, 0);
	log_reader_set_bounds(r, 0, 9);
	expect_records(r, 0, 6);
	expect_range(r, LOG_READER_DAMAGED, 6, 8);
	expect_end(r);
	file_add(&a, 3, 1);
	log_reader_set_bounds(r, 0, 12);
	expect_records(r, 9, 12);
	expect_end(r);
	log_reader_free(r);
}

Test(log_reader, a_batch_inside_a_payload_is_not_believed)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file inner = file_new(1), f = file_new(0);
	struct record_batch_writer w;
	uint8_t bytes[1024];
	struct slice s;
	struct buf b;
	size_t n;

	file_add(&inner, 1, 1);
	n = (size_t)pread(inner.fd, bytes, sizeof(bytes), 0);
	buf_init(&b);
	record_batch_begin(&w, &b, 0, RECORD_PRODUCER_OURS);
	record_batch_put(&w, 1, slice_str("t"), slice_of(bytes, n));
	s = record_batch_end(&w);
	cr_assert(write(f.fd, s.p, s.len) == (ssize_t)s.len);
	f.end = 1;
	file_add(&f, 2, 1);
	file_flip(&f, 10); /* the length: every byte is tried */
	give(r, &f, 0);
	log_reader_set_bounds(r, 0, 3);
	expect_range(r, LOG_READER_DAMAGED, 0, 0);
	expect_records(r, 1, 3);
	buf_fini(&b);
	log_reader_free(r);
}

Test(log_reader, tells_what_retention_took)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file a = file_new(0), b = file_new(6);

	file_add(&a, 6, 1);
	file_add(&b, 6, 1);
	give(r, &a, 0);
	give(r, &b, 6);
	log_reader_set_bounds(r, 0, 12);
	expect_records(r, 0, 1);
	log_reader_remove_segment(r, 0);
	log_reader_set_bounds(r, 6, 12);
	expect_range(r, LOG_READER_TRIMMED, 1, 5);
	expect_records(r, 6, 12);
	log_reader_seek(r, 2);
	log_reader_set_bounds(r, 0, 12);
	expect_range(r, LOG_READER_NEED_SEGMENT, 2, 2);
	log_reader_free(r);
}

Test(log_reader, finds_a_time)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file a = file_new(0), b = file_new(6);

	file_add(&a, 3, 100);
	file_add(&a, 3, 200);
	file_add(&b, 6, 300);
	give(r, &a, 0);
	give(r, &b, 6);
	log_reader_set_bounds(r, 0, 12);
	cr_assert(log_reader_seek_time(r, 0) == 0);
	expect_records(r, 0, 2);
	cr_assert(log_reader_seek_time(r, 200) == 0);
	expect_records(r, 3, 12);
	cr_assert(log_reader_seek_time(r, 201) == 0);
	expect_records(r, 6, 12);
	cr_assert(log_reader_seek_time(r, 301) == 0);
	cr_assert(log_reader_offset(r) == 12);
	expect_end(r);
	/* A damaged header on the way does not hide what is behind it. */
	file_flip(&a, a.at[0] + 16);
	cr_assert(log_reader_seek_time(r, 150) == 0);
	expect_records(r, 3, 12);
	log_reader_free(r);
}

Test(log_reader, forgets_what_is_behind)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file a = file_new(0), b = file_new(6);

	file_add(&a, 6, 1);
	file_add(&b, 6, 1);
	give(r, &a, 0);
	give(r, &b, 6);
	log_reader_set_bounds(r, 0, 12);
	expect_records(r, 0, 8);
	log_reader_forget(r, 8);
	log_reader_trim(r);
	expect_records(r, 8, 12);
	log_reader_trim(r);
	log_reader_seek(r, 3);
	expect_range(r, LOG_READER_NEED_SEGMENT, 3, 3);
	log_reader_free(r);
}

Test(log_reader, reads_batches_larger_than_its_chunk)
{
	struct log_reader *r = log_reader_new("s", 1, 0);
	struct file f = file_new(0);
	uint8_t *big = calloc(1, 3 << 20);
	struct record record;
	struct log_range range;
	struct buf b;

	buf_init(&b);
	for (uint64_t i = 0; i < 4; i++) {
		struct record_batch_writer w;
		struct slice s;

		record_batch_begin(&w, &b, i, RECORD_PRODUCER_OURS);
		record_batch_put(&w, 1, slice_str("t"),
		    slice_of(big, i % 2 == 0 ? 3 << 20 : 10));
		s = record_batch_end(&w);
		cr_assert(write(f.fd, s.p, s.len) == (ssize_t)s.len);
		buf_clear(&b);
	}
	give(r, &f, 0);
	log_reader_set_bounds(r, 0, 4);
	for (uint64_t i = 0; i < 4; i++) {
		cr_assert(log_reader_next(r, &record, &range) ==
		    LOG_READER_RECORD);
		cr_assert_eq(record.payload.len, i % 2 == 0 ? 3 << 20 : 10);
	}
	expect_end(r);
	buf_fini(&b);
	free(big);
	log_reader_free(r);
}
