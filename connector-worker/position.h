/*
 * position - offsets of partitions as a short text: "INC:PART:OFFSET ..."
 * with the incarnation in hexadecimal. Pure.
 */
#ifndef CONNECTOR_WORKER_POSITION_H
#define CONNECTOR_WORKER_POSITION_H

#include "base/buf.h"

struct position {
	uint64_t incarnation;
	uint32_t partition;
	uint64_t offset;
};

void position_add(struct buf *out, const struct position *p);
/* Takes the first one off *text. 1, 0 at the end, -1 malformed. */
int position_next(struct slice *text, struct position *p);

#endif
