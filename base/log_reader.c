#include "base/log_reader.h"

#include "base/log_layout.h"
#include "base/mem.h"
#include "base/segment_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct segment {
	uint64_t base_offset;
	int fd;
};

struct log_reader {
	char *stream;
	struct slice topic;	/* of batches that are not ours */
	uint64_t incarnation;
	uint32_t partition;
	uint64_t log_start, high_watermark;

	struct segment *segments;	/* by base offset, rising */
	size_t segments_len, segments_cap;

	uint64_t next;		/* the record that is wanted next */

	/* Where the scan stands: before the batch at offset `expected` of the
	 * segment that has the base offset `open`. */
	struct segment_scan scan;
	bool is_open;
	bool is_lost;	/* headers alone do not lead to `next` */
	uint64_t open, expected;
	/* What was read when the watermark was here is good up to it: bytes
	 * beyond it may have been half written. */
	uint64_t good_until;

	/* The batch that is being read, if any. */
	bool has_batch;
	struct record_batch batch;
	struct record_cursor cursor;
	struct buf inflated;
	struct record_space space;
};

struct log_reader *
log_reader_new(const char *stream, uint64_t incarnation, uint32_t partition)
{
	struct log_reader *r = mem_zalloc(1, sizeof(*r));
	size_t len = strlen(stream);
	char *topic = mem_strdup(stream);

	for (size_t i = 0; i < len; i++)
		if (topic[i] == '.')
			topic[i] = '/';
	r->stream = mem_strdup(stream);
	r->topic = slice_of(topic, len);
	r->incarnation = incarnation;
	r->partition = partition;
	segment_scan_init(&r->scan);
	buf_init(&r->inflated);
	return r;
}

void
log_reader_free(struct log_reader *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->segments_len; i++)
		close(r->segments[i].fd);
	free(r->segments);
	segment_scan_fini(&r->scan);
	buf_fini(&r->inflated);
	record_space_fini(&r->space);
	free((void *)(uintptr_t)r->topic.p);
	free(r->stream);
	free(r);
}

/* ---- segments ----------------------------------------------------------- */

/* The number of segments whose base offset is at or below offset. */
static size_t
segments_below(const struct log_reader *r, uint64_t offset)
{
	size_t low = 0, high = r->segments_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->segments[middle].base_offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
scan_close(struct log_reader *r)
{
	r->has_batch = false;
	r->is_open = false;
	segment_scan_open(&r->scan, -1, 0);
}

void
log_reader_add_segment(struct log_reader *r, uint64_t base_offset, int fd)
{
	size_t at = segments_below(r, base_offset);

	if (at > 0 && r->segments[at - 1].base_offset == base_offset) {
		if (r->is_open && r->open == base_offset)
			scan_close(r);
		close(r->segments[at - 1].fd);
		r->segments[at - 1].fd = fd;
		return;
	}
	if (r->segments_len == r->segments_cap) {
		r->segments_cap = r->segments_cap == 0 ? 8
						       : r->segments_cap * 2;
		r->segments = mem_realloc(r->segments,
		    r->segments_cap * sizeof(*r->segments));
	}
	memmove(r->segments + at + 1, r->segments + at,
	    (r->segments_len - at) * sizeof(*r->segments));
	r->segments[at] = (struct segment){base_offset, fd};
	r->segments_len++;
}

static void
segment_close(struct log_reader *r, size_t at)
{
	if (r->is_open && r->open == r->segments[at].base_offset)
		scan_close(r);
	close(r->segments[at].fd);
	r->segments_len--;
	memmove(r->segments + at, r->segments + at + 1,
	    (r->segments_len - at) * sizeof(*r->segments));
}

void
log_reader_remove_segment(struct log_reader *r, uint64_t base_offset)
{
	size_t at = segments_below(r, base_offset);

	if (at > 0 && r->segments[at - 1].base_offset == base_offset)
		segment_close(r, at - 1);
}

void
log_reader_forget(struct log_reader *r, uint64_t offset)
{
	while (r->segments_len > 1 && r->segments[1].base_offset <= offset &&
	    !(r->is_open && r->open == r->segments[0].base_offset))
		segment_close(r, 0);
}

void
log_reader_set_bounds(struct log_reader *r, uint64_t log_start,
    uint64_t high_watermark)
{
	r->log_start = log_start;
	r->high_watermark = high_watermark;
}

uint64_t
log_reader_offset(const struct log_reader *r)
{
	return r->next;
}

uint64_t
log_reader_high_watermark(const struct log_reader *r)
{
	return r->high_watermark;
}

void
log_reader_trim(struct log_reader *r)
{
	if (r->has_batch)
		return;
	segment_scan_trim(&r->scan);
	buf_trim(&r->inflated, 0);
}

/* ---- where to read ------------------------------------------------------ */

static void
scan_open(struct log_reader *r, const struct segment *segment)
{
	segment_scan_open(&r->scan, segment->fd, 0);
	r->is_open = true;
	r->open = r->expected = segment->base_offset;
	r->good_until = r->high_watermark;
	r->is_lost = false;
	r->has_batch = false;
}

void
log_reader_seek(struct log_reader *r, uint64_t offset)
{
	r->has_batch = false;
	r->next = offset;
	/* A scan that stands at or before the offset goes on from there. */
	if (r->is_open && r->expected > offset)
		scan_close(r);
}

/* The segment behind the one that is open, or NULL. */
static const struct segment *
segment_behind(const struct log_reader *r)
{
	size_t at = segments_below(r, r->open);

	return at < r->segments_len ? &r->segments[at] : NULL;
}

/*
 * Opens the segment that holds r->next unless it is open. False: there is
 * none.
 */
static bool
scan_locate(struct log_reader *r)
{
	size_t below = segments_below(r, r->next);
	const struct segment *segment;

	if (below == 0)
		return false;
	segment = &r->segments[below - 1];
	if (!r->is_open || r->open < segment->base_offset ||
	    r->expected > r->next)
		scan_open(r, segment);
	return true;
}

/* Where the records of the open segment must end. */
static uint64_t
scan_end(const struct log_reader *r)
{
	const struct segment *behind = segment_behind(r);

	if (behind != NULL && behind->base_offset < r->good_until)
		return behind->base_offset;
	return r->good_until;
}

/*
 * Goes on to the batch that holds r->next by headers alone. Where a header
 * cannot be true it goes back to the segment's beginning: then each batch is
 * checked on the way.
 */
static int
scan_skip(struct log_reader *r)
{
	uint64_t at = r->scan.at, expected = r->expected;
	struct record_batch b;

	while (r->expected < r->next && !r->is_lost) {
		at = r->scan.at;
		expected = r->expected;
		switch (segment_scan_skip(&r->scan, r->expected, &b)) {
		case SEGMENT_BATCH:
			r->expected = record_batch_last_offset(&b) + 1;
			break;
		case SEGMENT_FAILED:
			return -1;
		case SEGMENT_TAIL:
		case SEGMENT_DAMAGE:
			r->is_lost = true;
			break;
		}
	}
	if (r->is_lost) {
		segment_scan_open(&r->scan, r->scan.fd, 0);
		r->expected = r->open;
		return 0;
	}
	if (r->expected > r->next) {
		/* Back in front of the batch that holds it. */
		segment_scan_open(&r->scan, r->scan.fd, at);
		r->expected = expected;
	}
	return 0;
}

/* ---- batches ------------------------------------------------------------ */

/* Lost: offsets [first, end) and what the damaged batch says it held. */
static enum log_reader_answer
on_damage(struct log_reader *r, uint64_t first, uint64_t end,
    struct log_range *range)
{
	uint64_t from = first > r->next ? first : r->next;

	r->expected = end;
	if (from >= end)
		return LOG_READER_RECORD; /* below what is wanted: no matter */
	r->next = end;
	range->first = from;
	range->last = end - 1;
	range->records = end - from;
	return LOG_READER_DAMAGED;
}

/*
 * The segment ends at r->expected, cleanly or not, and the watermark is
 * beyond it.
 */
static enum log_reader_answer
on_tail(struct log_reader *r, struct log_range *range)
{
	const struct segment *behind = segment_behind(r);
	uint64_t from = r->expected, end;
	enum log_reader_answer answer = LOG_READER_RECORD;
	bool is_gap;

	if (behind == NULL || behind->base_offset > r->good_until) {
		/* Segments come before watermarks: so this one was longer.
		 * The scan stays where the next whole batch may come. */
		return on_damage(r, from, r->good_until, range);
	}
	/* What lies in the gap was never written. */
	is_gap = behind->base_offset % LOG_GAP_ALIGN == 0;
	end = !is_gap ? behind->base_offset : r->scan.damage == 0
	    ? from : segment_scan_tail_end(&r->scan, from);
	if (from < behind->base_offset && from < end)
		answer = on_damage(r, from, end, range);
	if (r->next < behind->base_offset)
		r->next = behind->base_offset;
	scan_open(r, behind);
	return answer;
}

/* A whole batch was read: RECORD when it can be walked. */
static enum log_reader_answer
on_batch(struct log_reader *r, struct log_range *range)
{
	struct record_batch *b = &r->batch;
	uint64_t first = b->base_offset;
	uint64_t end = record_batch_last_offset(b) + 1;

	r->expected = end;
	if (end <= r->next)
		return LOG_READER_RECORD;
	if ((b->attributes & RECORD_CONTROL) != 0) {
		r->next = end;
		return LOG_READER_RECORD;
	}
	if ((b->attributes & RECORD_COMPRESSION) != 0 &&
	    record_batch_inflate(b, RECORD_INFLATED_MAX, &r->inflated) !=
		RECORD_OK)
		return on_damage(r, first, end, range);
	record_cursor_init(&r->cursor, b);
	r->has_batch = true;
	return LOG_READER_RECORD;
}

/* Reads the next batch. RECORD: go on, there may be one now. */
static enum log_reader_answer
batch_next(struct log_reader *r, struct log_range *range)
{
	enum segment_answer answer;

	if (!scan_locate(r)) {
		range->first = range->last = r->next;
		return LOG_READER_NEED_SEGMENT;
	}
	if (r->next >= r->good_until) {
		segment_scan_drop(&r->scan);
		r->good_until = r->high_watermark;
	}
	if (r->expected < r->next && !r->is_lost && scan_skip(r) == -1) {
		range->error = errno;
		return LOG_READER_FAILED;
	}
	answer = segment_scan_next(&r->scan, r->expected, scan_end(r),
	    &r->batch);
	switch (answer) {
	case SEGMENT_BATCH:
		return on_batch(r, range);
	case SEGMENT_DAMAGE:
		return on_damage(r, r->expected, r->batch.base_offset, range);
	case SEGMENT_TAIL:
		return on_tail(r, range);
	case SEGMENT_FAILED:
		break;
	}
	range->error = errno;
	return LOG_READER_FAILED;
}

/* The next record of the batch at hand. END: it has no more. */
static enum log_reader_answer
record_next(struct log_reader *r, struct record *record,
    struct log_range *range)
{
	uint64_t end = record_batch_last_offset(&r->batch) + 1;
	struct record_raw raw;
	enum record_answer answer;

	while ((answer = record_cursor_next(&r->cursor, &raw)) == RECORD_OK) {
		if (raw.offset < r->next)
			continue;
		if (raw.offset >= end || record_get(&r->batch, &raw, r->topic,
			&r->space, record) != RECORD_OK) {
			answer = RECORD_BAD;
			break;
		}
		r->next = raw.offset + 1;
		record->stream = slice_str(r->stream);
		record->incarnation = r->incarnation;
		record->partition = r->partition;
		return LOG_READER_RECORD;
	}
	r->has_batch = false;
	if (answer == RECORD_BAD)
		return on_damage(r, r->next, end, range) ==
			LOG_READER_DAMAGED ? LOG_READER_DAMAGED
					   : LOG_READER_END;
	if (r->next < end)
		r->next = end;
	return LOG_READER_END;
}

enum log_reader_answer
log_reader_next(struct log_reader *r, struct record *record,
    struct log_range *range)
{
	enum log_reader_answer answer;

	*range = (struct log_range){0};
	for (;;) {
		if (r->has_batch) {
			answer = record_next(r, record, range);
			if (answer != LOG_READER_END)
				return answer;
		}
		if (r->next < r->log_start) {
			range->first = r->next;
			range->last = r->log_start - 1;
			range->records = r->log_start - r->next;
			log_reader_seek(r, r->log_start);
			return LOG_READER_TRIMMED;
		}
		if (r->next >= r->high_watermark) {
			segment_scan_drop(&r->scan);
			return LOG_READER_END;
		}
		answer = batch_next(r, range);
		if (answer != LOG_READER_RECORD)
			return answer;
	}
}

/* ---- by time ------------------------------------------------------------ */

/* The next batch's header in *b, damage left out; 0: none in this segment. */
static int
header_next(struct log_reader *r, struct record_batch *b)
{
	enum segment_answer answer;

	while (r->expected < r->high_watermark) {
		answer = segment_scan_skip(&r->scan, r->expected, b);
		if (answer == SEGMENT_BATCH) {
			r->expected = record_batch_last_offset(b) + 1;
			return 1;
		}
		if (answer != SEGMENT_FAILED)
			answer = segment_scan_next(&r->scan, r->expected,
			    r->high_watermark, b);
		if (answer == SEGMENT_FAILED)
			return -1;
		if (answer == SEGMENT_TAIL)
			return 0;
		r->expected = b->base_offset;
	}
	return 0;
}

int
log_reader_seek_time(struct log_reader *r, int64_t ms)
{
	struct record_batch b;
	uint64_t from = r->log_start;
	int answer;

	for (size_t i = 0; i < r->segments_len; i++) {
		scan_open(r, &r->segments[i]);
		while ((answer = header_next(r, &b)) == 1) {
			if (r->expected <= from || b.max_timestamp < ms)
				continue;
			log_reader_seek(r, b.base_offset > from
			    ? b.base_offset : from);
			return 0;
		}
		if (answer == -1)
			return -1;
	}
	log_reader_seek(r, r->high_watermark);
	return 0;
}
