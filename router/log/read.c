#include "router/log/store.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void
read_close(struct read_state *r)
{
	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
	r->has_batch = false;
	segment_scan_open(&r->scan, -1, 0);
}

void
read_fini(struct read_state *r)
{
	read_close(r);
	segment_scan_fini(&r->scan);
	buf_fini(&r->inflated);
}

/* ---- records of a batch ------------------------------------------------- */

/*
 * Moves the cursor to offset, back to the batch's beginning where it must;
 * *next is the offset that the cursor gives next.
 */
static enum log_read
cursor_read(struct log_partition *p, const struct record_batch *b,
    struct record_cursor *cursor, uint64_t *next, uint64_t offset,
    struct record *record)
{
	struct log_store *s = p->stream->store;
	struct record_raw raw;
	enum record_answer answer;

	if (offset < *next) {
		record_cursor_init(cursor, b);
		*next = b->base_offset;
	}
	while ((answer = record_cursor_next(cursor, &raw)) == RECORD_OK) {
		*next = raw.offset + 1;
		if (raw.offset >= offset)
			break;
	}
	if (answer == RECORD_MORE ||
	    (answer == RECORD_OK && raw.offset != offset)) {
		*next = UINT64_MAX;
		return LOG_READ_NONE;
	}
	if (answer != RECORD_OK || record_get(b, &raw, p->stream->topic,
		&s->space, record) != RECORD_OK) {
		*next = UINT64_MAX;
		errno = EBADMSG;
		return LOG_READ_FAILED;
	}
	record->stream = slice_str(p->stream->name);
	record->incarnation = p->stream->incarnation;
	record->partition = p->index;
	return LOG_READ_OK;
}

static bool
batch_has(const struct record_batch *b, uint64_t offset)
{
	return offset >= b->base_offset &&
	    offset <= record_batch_last_offset(b);
}

/* ---- from memory -------------------------------------------------------- */

/* A batch in a gather: whole and ours, so there is no need to check it. */
static enum log_read
gather_read(struct log_partition *p, const struct gather *g, uint64_t offset,
    struct record *record)
{
	struct read_state *r = &p->read;
	struct slice in;

	/* Only what is in the cache stands still. */
	if (r->gather != g || g->partition == NULL ||
	    !batch_has(&r->cached, offset)) {
		gather_find(g, offset, &in);
		if (record_batch_get_header(in, &r->cached) != RECORD_OK) {
			errno = EBADMSG;
			return LOG_READ_FAILED;
		}
		r->cached.records = slice_of(in.p + RECORD_BATCH_HEADER,
		    in.len - RECORD_BATCH_HEADER);
		if ((r->cached.attributes & RECORD_COMPRESSION) != 0 &&
		    record_batch_inflate(&r->cached, RECORD_INFLATED_MAX,
			&r->inflated) != RECORD_OK) {
			errno = EBADMSG;
			return LOG_READ_FAILED;
		}
		r->cached_next = UINT64_MAX;
		r->gather = g->partition != NULL &&
			(r->cached.attributes & RECORD_COMPRESSION) == 0
		    ? g : NULL;
	}
	return cursor_read(p, &r->cached, &r->cached_cursor, &r->cached_next,
	    offset, record);
}

static const struct gather *
cache_find(const struct log_partition *p, uint64_t offset)
{
	size_t low = 0, high = p->cached_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->cached[middle]->first <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || offset >= p->cached[low - 1]->end)
		return NULL;
	return p->cached[low - 1];
}

static const struct gather *
memory_find(struct log_partition *p, uint64_t offset)
{
	if (p->open != NULL && offset >= p->open->first) {
		if (p->has_writer)
			record_batch_sync(&p->writer);
		return offset < p->open->end ? p->open : NULL;
	}
	if (p->flying != NULL && offset >= p->flying->first)
		return offset < p->flying->end ? p->flying : NULL;
	return cache_find(p, offset);
}

/* ---- from the segments -------------------------------------------------- */

static bool
read_open(struct log_partition *p, const struct segment *segment)
{
	struct read_state *r = &p->read;

	if (r->fd != -1 && r->base_offset == segment->base_offset)
		return true;
	read_close(r);
	r->fd = log_segment_open(p, segment->base_offset);
	r->base_offset = segment->base_offset;
	segment_scan_open(&r->scan, r->fd, 0);
	return r->fd != -1;
}

/* Where to begin to look for the batch that holds offset. */
static uint64_t
read_begin(struct read_state *r, const struct segment *segment,
    uint64_t offset)
{
	uint64_t expected, at, behind;

	segment_seek(segment, offset, &expected, &at);
	if (r->has_batch) {
		behind = record_batch_last_offset(&r->batch) + 1;
		if (behind > expected && behind <= offset)
			return behind;
	}
	segment_scan_seek(&r->scan, at);
	return expected;
}

static void
read_damage(struct log_partition *p, const struct segment *segment,
    uint64_t first, uint64_t end)
{
	struct log_damage damage = {first, end - 1, segment->base_offset,
		p->read.scan.at - p->read.scan.damage, p->read.scan.damage};

	if (end > first)
		partition_add_damage(p, &damage);
	errno = EBADMSG;
}

/* Stands before the batch that should hold offset; its base in *expected. */
static enum segment_answer
read_hop(struct segment *segment, struct read_state *r, uint64_t offset,
    uint64_t *expected)
{
	struct record_batch b;
	enum segment_answer answer;

	for (;;) {
		uint64_t at = r->scan.at;

		answer = segment_scan_skip(&r->scan, *expected, &b);
		if (answer != SEGMENT_BATCH)
			return answer;
		segment_mark(segment, *expected, at,
		    record_batch_last_offset(&b) + 1, r->scan.at);
		if (record_batch_last_offset(&b) >= offset) {
			segment_scan_seek(&r->scan, at);
			return SEGMENT_BATCH;
		}
		*expected = record_batch_last_offset(&b) + 1;
	}
}

/* Reads the batch that holds offset into r->batch. */
static enum log_read
read_batch(struct log_partition *p, struct segment *segment, uint64_t offset,
    uint64_t end)
{
	struct read_state *r = &p->read;
	uint64_t expected = read_begin(r, segment, offset);

	r->has_batch = false;
	while (expected <= offset) {
		/* Headers first; where they end, batch by batch. */
		enum segment_answer answer = read_hop(segment, r, offset,
		    &expected);

		if (answer != SEGMENT_FAILED)
			answer = segment_scan_next(&r->scan, expected, end,
			    &r->batch);
		if (answer == SEGMENT_FAILED)
			return LOG_READ_FAILED;
		if (answer == SEGMENT_TAIL) {
			read_damage(p, segment, expected, end);
			return LOG_READ_FAILED;
		}
		if (answer == SEGMENT_DAMAGE)
			read_damage(p, segment, expected,
			    r->batch.base_offset);
		else if (batch_has(&r->batch, offset))
			return LOG_READ_OK;
		expected = answer == SEGMENT_DAMAGE
		    ? r->batch.base_offset
		    : record_batch_last_offset(&r->batch) + 1;
	}
	errno = EBADMSG;
	return LOG_READ_FAILED;
}

static enum log_read
segment_read(struct log_partition *p, uint64_t offset, struct record *record)
{
	struct segment *segment = segment_find(p, offset);
	struct read_state *r = &p->read;
	uint64_t end;

	if (segment == NULL || offset >= p->written_end)
		return LOG_READ_NONE;
	end = segment == segment_active(p) ? p->written_end
					   : segment[1].base_offset;
	if (segment->end_offset != UINT64_MAX && segment->end_offset < end)
		end = segment->end_offset;
	if (offset >= end)
		return LOG_READ_NONE;
	if (!read_open(p, segment))
		return LOG_READ_FAILED;
	if (!r->has_batch || !batch_has(&r->batch, offset)) {
		/* What was read before may be older than the batch. */
		if (segment == segment_active(p))
			segment_scan_drop(&r->scan);
		if (read_batch(p, segment, offset, end) != LOG_READ_OK)
			return LOG_READ_FAILED;
		if ((r->batch.attributes & RECORD_COMPRESSION) != 0 &&
		    record_batch_inflate(&r->batch, RECORD_INFLATED_MAX,
			&r->inflated) != RECORD_OK) {
			errno = EBADMSG;
			return LOG_READ_FAILED;
		}
		r->has_batch = true;
		r->next = UINT64_MAX;
	}
	return cursor_read(p, &r->batch, &r->cursor, &r->next, offset,
	    record);
}

enum log_read
log_read(struct log_partition *p, uint64_t offset, struct record *record)
{
	const struct gather *g;

	if (offset < p->log_start || offset >= p->next_offset)
		return LOG_READ_NONE;
	g = memory_find(p, offset);
	if (g != NULL)
		return gather_read(p, g, offset, record);
	return segment_read(p, offset, record);
}

/* ---- headers alone ------------------------------------------------------ */

int64_t
segment_first_ms(struct log_partition *p, struct segment *segment)
{
	struct segment_scan scan;
	struct record_batch b;
	int fd;

	if (segment->first_ms != INT64_MIN || segment->bytes == 0)
		return segment->first_ms;
	fd = log_segment_open(p, segment->base_offset);
	if (fd == -1)
		return INT64_MIN;
	segment_scan_init(&scan);
	segment_scan_open(&scan, fd, 0);
	if (segment_scan_skip(&scan, segment->base_offset, &b) ==
	    SEGMENT_BATCH)
		segment->first_ms = b.base_timestamp;
	segment_scan_fini(&scan);
	close(fd);
	return segment->first_ms;
}

/* Walks the headers of a segment: its end, or the first batch that is not
 * older than ms. */
static uint64_t
segment_walk(struct log_partition *p, struct segment *segment, int64_t ms,
    bool *is_found)
{
	uint64_t expected = segment->base_offset, at;
	struct segment_scan scan;
	struct record_batch b;
	int fd = log_segment_open(p, segment->base_offset);

	*is_found = false;
	if (fd == -1)
		return expected;
	segment_scan_init(&scan);
	segment_scan_open(&scan, fd, 0);
	for (;;) {
		enum segment_answer answer;

		at = scan.at;
		answer = segment_scan_skip(&scan, expected, &b);
		if (answer == SEGMENT_TAIL)
			answer = segment_scan_next(&scan, expected,
			    p->written_end, &b);
		if (answer == SEGMENT_DAMAGE)
			expected = b.base_offset;
		if (answer == SEGMENT_FAILED || answer == SEGMENT_TAIL)
			break;
		if (answer == SEGMENT_DAMAGE)
			continue;
		segment_mark(segment, b.base_offset, at,
		    record_batch_last_offset(&b) + 1, scan.at);
		if (b.max_timestamp >= ms) {
			*is_found = true;
			break;
		}
		expected = record_batch_last_offset(&b) + 1;
	}
	segment_scan_fini(&scan);
	close(fd);
	return expected;
}

uint64_t
log_find_time(struct log_partition *p, int64_t ms)
{
	for (size_t i = 0; i < p->segments_len; i++) {
		bool is_last = i + 1 == p->segments_len, is_found;
		uint64_t offset;

		if (!is_last && p->segments[i + 1].bytes > 0 &&
		    segment_first_ms(p, &p->segments[i + 1]) < ms)
			continue;
		offset = segment_walk(p, &p->segments[i], ms, &is_found);
		if (!is_found)
			continue;
		if (offset >= p->high_watermark)
			break;
		return offset > p->log_start ? offset : p->log_start;
	}
	return p->high_watermark;
}

bool
log_segment_get(struct log_partition *p, size_t i, struct log_segment *to)
{
	struct segment *from;
	bool is_found;

	if (i >= p->segments_len)
		return false;
	from = &p->segments[i];
	/* Behind it is a gap, and it was not read since the start. */
	if (from->end_offset == UINT64_MAX)
		from->end_offset = segment_walk(p, from, INT64_MAX,
		    &is_found);
	*to = (struct log_segment){
		.base_offset = from->base_offset,
		.end_offset = from->end_offset,
		.bytes = from->bytes,
		.is_active = i + 1 == p->segments_len,
	};
	return true;
}
