/*
 * count - reads stretches of the stream again and counts what matches, in
 * small steps beside the work, with readers of its own.
 */
#ifndef CONNECTOR_WORKER_COUNT_H
#define CONNECTOR_WORKER_COUNT_H

#include "connector-worker/worker.h"

struct count_range {
	uint64_t incarnation;
	uint32_t partition;
	uint64_t from, to;		/* to UINT64_MAX: the high watermark */
	struct topics *topics;		/* loan */
	/* The answer. */
	bool is_known;			/* the stream and partition exist */
	uint64_t log_start;
	uint64_t high_watermark;
	uint64_t readable;		/* records that match */
	uint64_t damaged;		/* records in damaged batches */
	uint64_t damage_first, damage_last;	/* offsets about them */
};

struct count;

/*
 * Counts each range above its log start; done is called once, then frees
 * the count. The ranges are the caller's and stay until then. fault: NULL,
 * or why it could not be done.
 */
struct count *count_start(struct count_range *ranges, size_t n,
    void (*done)(void *arg, const char *fault), void *arg);

#endif
