/*
 * part - what one commit writes to one partition, on a thread of the pool.
 *
 * Holds all that the writing needs, so that the loop's partition is not
 * touched. In: where the active segment stands and the bytes. Out: where it
 * stands afterwards and which segments were begun. A part is written whole
 * or refused whole; a refused one leaves the segment as long as it was.
 */
#ifndef ROUTER_LOG_PART_H
#define ROUTER_LOG_PART_H

#include "base/slice.h"
#include "router/log/io.h"

struct part_limits {
	const struct log_io *io;
	void *io_arg;
	uint64_t segment_bytes, allocate_bytes, keep_free_bytes;
	int dirfd;		/* some directory of the file system */
};

/* A segment that the part wrote to; the last one is active. */
struct part_segment {
	uint64_t base_offset;
	uint64_t bytes;		/* its length */
	uint64_t allocated;	/* room up to here, at least bytes */
};

#define PART_SEGMENTS 3		/* active, rolled to, begun after a failure */

struct part {
	struct log_partition *partition;	/* not touched by threads */
	int dirfd;		/* of the partition */
	struct slice bytes;	/* whole batches, may be empty */
	uint64_t first, end;	/* their offsets; equal when there are none */
	bool must_roll;		/* begin a segment at `first` before writing */
	bool must_sync;
	bool has_unsynced;	/* earlier commits of a weaker mode left bytes */

	int fd;			/* of the active segment; -1 there is none */
	struct part_segment segments[PART_SEGMENTS];
	size_t segments_len;
	bool has_unrolled;	/* segments[0] was there before */
	bool has_replaced;	/* the active one, empty, by a new file */

	int error;		/* refused: errno */
	unsigned syncs, sync_failures;
};

/* The file system is full, or our share of it; not a failing disk. */
bool part_is_no_space(int error);
void part_write(struct part *part, const struct part_limits *limits);

#endif
