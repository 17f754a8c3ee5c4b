/*
 * segment_scan - walks the batches of one segment file, in chunks, by pread.
 *
 * Batches of a segment follow each other without a gap of offsets; whoever
 * walks says which offset must come next. What does not fit is damage: the
 * scan looks for the next whole batch behind it and tells what lies between.
 * Used by readers and by recovery, so both see the same log.
 *
 * The descriptor is a loan. What a batch lends is valid until the next call.
 */
#ifndef BASE_SEGMENT_SCAN_H
#define BASE_SEGMENT_SCAN_H

#include "base/record_batch.h"

enum segment_answer {
	SEGMENT_BATCH,	/* *batch; the scan stands behind it */
	SEGMENT_DAMAGE,	/* `damage` bytes at `at` are no batch; behind them is
			   *batch, whole: the scan stands before it */
	SEGMENT_TAIL,	/* no whole batch from `at` to the end: `damage` bytes
			   are left, 0 at a clean end */
	SEGMENT_FAILED,	/* errno */
};

struct segment_scan {
	int fd;
	uint64_t at;		/* position of the next batch in the file */
	uint64_t damage;
	/* The chunk: bytes [chunk_at, chunk_at + len) of the file. */
	uint8_t *chunk;
	uint64_t chunk_at;
	size_t len, cap;
};

void segment_scan_init(struct segment_scan *s);
void segment_scan_fini(struct segment_scan *s);
/* Stands before the batch at this position; forgets what it has read. */
void segment_scan_open(struct segment_scan *s, int fd, uint64_t at);
/* Stands somewhere else in the same file; keeps what it has read. */
static inline void
segment_scan_seek(struct segment_scan *s, uint64_t at)
{
	s->at = at;
}
/* Forgets what it has read: the file may have grown. */
void segment_scan_drop(struct segment_scan *s);
/* The same, and gives the memory back. */
void segment_scan_trim(struct segment_scan *s);

/*
 * The next batch, which must begin at offset `expected`; one that is found
 * behind damage begins there or later, and below `end`.
 */
enum segment_answer segment_scan_next(struct segment_scan *s,
    uint64_t expected, uint64_t end, struct record_batch *batch);
/*
 * After TAIL with damage, where offsets go on behind a gap: the offset at
 * which the damaged batch ends as far as its header tells, at least
 * expected + 1.
 */
uint64_t segment_scan_tail_end(struct segment_scan *s, uint64_t expected);
/*
 * Only the header of the next batch, without its CRC, and stands behind it:
 * for skipping. TAIL also where the header cannot be true; then go back and
 * use segment_scan_next.
 */
enum segment_answer segment_scan_skip(struct segment_scan *s,
    uint64_t expected, struct record_batch *batch);

#endif
