/*
 * publish - one message to all that want it: streams, sessions, the retained
 * store, the other processes.
 *
 * Architecture, section 5.
 */
#ifndef ROUTER_PUBLISH_H
#define ROUTER_PUBLISH_H

#include "ipc/messages.h"

struct capture;
struct sender;

struct publish_stats {
	uint64_t received, forwarded, captured, duplicates, refused, dropped;
};

/* The sender's message of this number; it is counted as processed. */
void publish_take(
    struct sender *s, uint64_t number, const struct ipc_publish_item *m);
/* The router's own: a will. */
void publish_own(const struct ipc_publish_item *m);
/* A capture that did not come to be: takes back what depends on it. */
void publish_refused(struct sender *s, const struct capture *c);
const struct publish_stats *publish_stats(void);

#endif
