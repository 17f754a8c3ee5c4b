/*
 * log_reader - reads the records of one partition from the descriptors of
 * its segments, up to the high watermark and never beyond it.
 *
 * pread in chunks, never mmap; every batch's CRC is checked. Damage is
 * skipped and reported with its offsets. Gaps of offsets between segments
 * are normal and not reported: count records, not offsets.
 *
 * The caller adds a segment before it tells a watermark beyond the segment's
 * base offset, and tells log start when it moves. What next() lends is valid
 * until the next call of any function of the same reader.
 *
 * Not for several threads. No clock, no log.
 */
#ifndef BASE_LOG_READER_H
#define BASE_LOG_READER_H

#include "base/record.h"

struct log_reader;

enum log_reader_answer {
	LOG_READER_RECORD,	/* *record is the next one */
	LOG_READER_END,		/* all that is below the watermark was read */
	LOG_READER_NEED_SEGMENT,/* none that was added holds range->first */
	LOG_READER_DAMAGED,	/* skipped: range; records: at most so many */
	LOG_READER_TRIMMED,	/* range was removed by retention, unread */
	LOG_READER_FAILED,	/* range->error; the position stays */
};

struct log_range {
	uint64_t first, last;	/* offsets, both inclusive */
	uint64_t records;	/* what the damaged batch says it held, or the
				   number of offsets */
	int error;		/* errno */
};

/* The stream's name is copied. */
struct log_reader *log_reader_new(const char *stream, uint64_t incarnation,
    uint32_t partition);
void log_reader_free(struct log_reader *r);

/* Takes fd over; a second one of the same base offset replaces the first. */
void log_reader_add_segment(struct log_reader *r, uint64_t base_offset,
    int fd);
/* Retention removed the segment: closes the descriptor. */
void log_reader_remove_segment(struct log_reader *r, uint64_t base_offset);
void log_reader_set_bounds(struct log_reader *r, uint64_t log_start,
    uint64_t high_watermark);
/*
 * Segments that end at or below offset are closed and forgotten. The reader
 * itself keeps all that it was given: a reader that goes on for ever calls
 * this now and then with its committed offset.
 */
void log_reader_forget(struct log_reader *r, uint64_t offset);

/* The next record will be the first one at or after offset. */
void log_reader_seek(struct log_reader *r, uint64_t offset);
/*
 * Seeks to the first record, from the log start on, whose batch holds a
 * timestamp at or after ms; to the high watermark when there is none. Reads
 * the headers of all batches before it. 0, or -1 with errno.
 */
int log_reader_seek_time(struct log_reader *r, int64_t ms);
/* The offset at which the next record will be looked for. */
uint64_t log_reader_offset(const struct log_reader *r);
uint64_t log_reader_high_watermark(const struct log_reader *r);

enum log_reader_answer log_reader_next(struct log_reader *r,
    struct record *record, struct log_range *range);

/* Gives the chunk's memory back while there is nothing to read. */
void log_reader_trim(struct log_reader *r);

#endif
