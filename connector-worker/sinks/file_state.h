/*
 * file_state - what the database holds of each file: which one it is, how
 * much of it is committed, and the step of a rotation. Pure text.
 */
#ifndef SINKS_FILE_STATE_H
#define SINKS_FILE_STATE_H

#include "connector-worker/position.h"

#include <sys/types.h>

#define FILE_POSITIONS_MAX 64
#define FILE_NAME_MAX 256

struct file_state {
	uint64_t device, inode;
	uint64_t generation;	/* random: points of another mean nothing */
	uint64_t length;
	uint64_t period;	/* of its first record: hours or days, or 0 */
	uint64_t used_ms;	/* wall clock, of the last commit */
	/* Its name where the path's own was another's; empty: the path's. */
	char name[FILE_NAME_MAX];
	/* Not empty: it is being renamed to this name. */
	char rotating_to[FILE_NAME_MAX];
	/*
	 * Everything of these partitions below these offsets that belongs
	 * into the file is in it.
	 */
	struct position upto[FILE_POSITIONS_MAX];
	size_t upto_count;
};

void file_state_put(const struct file_state *s, struct buf *out);
bool file_state_get(struct slice text, struct file_state *s);

void file_state_advance(struct file_state *s, uint64_t incarnation,
    uint32_t partition, uint64_t offset);
bool file_state_has(const struct file_state *s, uint64_t incarnation,
    uint32_t partition, uint64_t offset);

#endif
