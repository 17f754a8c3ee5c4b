#include "base/segment_scan.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK ((size_t)256 << 10)
#define SKIP_CHUNK ((size_t)16 << 10)

void
segment_scan_init(struct segment_scan *s)
{
	*s = (struct segment_scan){.fd = -1};
}

void
segment_scan_fini(struct segment_scan *s)
{
	free(s->chunk);
	segment_scan_init(s);
}

void
segment_scan_open(struct segment_scan *s, int fd, uint64_t at)
{
	s->fd = fd;
	s->at = at;
	s->damage = 0;
	segment_scan_drop(s);
}

void
segment_scan_drop(struct segment_scan *s)
{
	s->len = 0;
}

void
segment_scan_trim(struct segment_scan *s)
{
	free(s->chunk);
	s->chunk = NULL;
	s->len = s->cap = 0;
}

/* pread until n bytes or the end; -1 with errno. */
static ssize_t
read_full(int fd, uint8_t *p, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = pread(fd, p + done, n - done,
		    (off_t)(at + done));

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return -1;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/*
 * Makes the chunk hold at least n bytes from `at` on, fewer only at the end
 * of the file; reads in units of `unit`. -1 with errno, else *have tells.
 */
static int
chunk_fill(struct segment_scan *s, uint64_t at, size_t n, size_t unit,
    struct slice *have)
{
	size_t skip = 0, want = n > unit ? n : unit;
	ssize_t got;

	if (at >= s->chunk_at && at - s->chunk_at < s->len)
		skip = (size_t)(at - s->chunk_at);
	else
		s->len = 0;
	if (s->len - skip < n || s->len == 0) {
		if (skip > 0)
			memmove(s->chunk, s->chunk + skip, s->len - skip);
		s->len -= skip;
		s->chunk_at = at;
		skip = 0;
		if (s->cap < want || (s->cap > CHUNK && want <= CHUNK &&
			s->len <= want)) {
			s->cap = want < CHUNK ? CHUNK : want;
			s->chunk = mem_realloc(s->chunk, s->cap);
		}
		got = read_full(s->fd, s->chunk + s->len, want - s->len,
		    at + s->len);
		if (got == -1)
			return -1;
		s->len += (size_t)got;
	}
	*have = slice_of(s->chunk + skip, s->len - skip);
	return 0;
}

/* The whole batch at position `at`, checked. FAILED, or BATCH or TAIL. */
static enum segment_answer
batch_at(struct segment_scan *s, uint64_t at, struct record_batch *b)
{
	struct slice in;
	size_t size;

	if (chunk_fill(s, at, RECORD_BATCH_HEADER, CHUNK, &in) == -1)
		return SEGMENT_FAILED;
	if (record_batch_size(in, &size) != RECORD_OK)
		return SEGMENT_TAIL;
	if (size > in.len && chunk_fill(s, at, size, CHUNK, &in) == -1)
		return SEGMENT_FAILED;
	return record_batch_get(in, b) == RECORD_OK ? SEGMENT_BATCH
						    : SEGMENT_TAIL;
}

/* Whether the batch behind b begins where b ends, or nothing is behind it. */
static bool
is_followed(struct segment_scan *s, uint64_t at, uint64_t end,
    const struct record_batch *b)
{
	uint64_t next = record_batch_last_offset(b) + 1, behind = at + b->size;
	struct record_batch header;
	struct slice in;

	if (chunk_fill(s, behind, RECORD_BATCH_HEADER, CHUNK, &in) == -1)
		return false;
	return in.len == 0 || next == end ||
	    (record_batch_get_header(in, &header) == RECORD_OK &&
		header.base_offset == next);
}

/*
 * The first whole batch behind a damaged one at s->at. Where the damaged
 * one's length leads to one, that is it; else every byte is tried, and only
 * a batch that has its place in a chain is believed: a payload may hold the
 * image of a batch.
 */
static enum segment_answer
resync(struct segment_scan *s, uint64_t expected, uint64_t end,
    struct record_batch *b, uint64_t *found)
{
	enum segment_answer answer;
	struct slice in;
	uint64_t at;
	size_t size;

	if (chunk_fill(s, s->at, RECORD_BATCH_HEADER, CHUNK, &in) == -1)
		return SEGMENT_FAILED;
	if (in.len == 0)
		return SEGMENT_TAIL;
	if (record_batch_size(in, &size) == RECORD_OK) {
		answer = batch_at(s, s->at + size, b);
		if (answer == SEGMENT_FAILED)
			return answer;
		if (answer == SEGMENT_BATCH && b->base_offset >= expected &&
		    b->base_offset < end) {
			*found = s->at + size;
			return SEGMENT_BATCH;
		}
	}
	for (at = s->at + 1;; at++) {
		if (chunk_fill(s, at, RECORD_BATCH_HEADER, CHUNK, &in) == -1)
			return SEGMENT_FAILED;
		if (in.len < RECORD_BATCH_HEADER) {
			s->damage = at + in.len - s->at;
			return SEGMENT_TAIL;
		}
		if (record_batch_get_header(in, b) != RECORD_OK ||
		    b->base_offset < expected || b->base_offset >= end ||
		    b->count > b->size)
			continue;
		answer = batch_at(s, at, b);
		if (answer == SEGMENT_FAILED)
			return answer;
		if (answer == SEGMENT_BATCH && is_followed(s, at, end, b)) {
			*found = at;
			return SEGMENT_BATCH;
		}
	}
}

enum segment_answer
segment_scan_next(struct segment_scan *s, uint64_t expected, uint64_t end,
    struct record_batch *b)
{
	enum segment_answer answer = batch_at(s, s->at, b);
	uint64_t found;

	s->damage = 0;
	if (answer == SEGMENT_FAILED)
		return answer;
	if (answer == SEGMENT_BATCH && b->base_offset == expected) {
		s->at += b->size;
		return SEGMENT_BATCH;
	}
	answer = resync(s, expected, end, b, &found);
	if (answer != SEGMENT_BATCH)
		return answer;
	/* A second look: the search may have moved the chunk. */
	answer = batch_at(s, found, b);
	if (answer != SEGMENT_BATCH)
		return answer;
	s->damage = found - s->at;
	s->at = found;
	return SEGMENT_DAMAGE;
}

uint64_t
segment_scan_tail_end(struct segment_scan *s, uint64_t expected)
{
	struct record_batch b;
	struct slice in;

	if (chunk_fill(s, s->at, RECORD_BATCH_HEADER, CHUNK, &in) == -1 ||
	    record_batch_get_header(in, &b) != RECORD_OK ||
	    b.base_offset != expected ||
	    b.last_offset_delta > b.size / RECORD_SIZE_MIN)
		return expected + 1;
	return record_batch_last_offset(&b) + 1;
}

enum segment_answer
segment_scan_skip(struct segment_scan *s, uint64_t expected,
    struct record_batch *b)
{
	struct slice in;

	if (chunk_fill(s, s->at, RECORD_BATCH_HEADER, SKIP_CHUNK, &in) == -1)
		return SEGMENT_FAILED;
	if (record_batch_get_header(in, b) != RECORD_OK ||
	    b->base_offset != expected)
		return SEGMENT_TAIL;
	s->at += b->size;
	return SEGMENT_BATCH;
}
