/*
 * compact - gives $queue's space back: what lies before the oldest live
 * message goes; a segment that is hardly live any more is copied forward.
 *
 * Architecture, section 4.
 */
#ifndef ROUTER_COMPACT_H
#define ROUTER_COMPACT_H

/* Every few seconds. */
void compact_run(void);

#endif
