/*
 * compact - gives $queue's space back: what lies before the oldest live
 * message goes; a segment that is hardly live any more is copied forward.
 *
 * Architecture, section 4.
 */
#ifndef ROUTER_COMPACT_H
#define ROUTER_COMPACT_H

#include <stdint.h>

/* Looks for something to do; every second. */
void compact_run(void);
/* Does a part of it; at each tick. */
void compact_step(void);
/* Positions of $queue that never came to be, copies perhaps among them. */
void compact_refused(uint64_t first, uint64_t end);

#endif
