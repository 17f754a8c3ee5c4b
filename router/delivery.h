/*
 * delivery - messages into the queues of persistent sessions and out to
 * their connections.
 *
 * A message is one record of $queue, whatever the number of its sessions. A
 * connection that waits for nothing gets it from memory with the commit; all
 * else is read back from the log when the window, the link's credit and the
 * commit allow. Always in queue order.
 *
 * Architecture, section 4; MQTT 5, 4.4, 4.6, 4.9.
 */
#ifndef ROUTER_DELIVERY_H
#define ROUTER_DELIVERY_H

#include "ipc/messages.h"
#include "router/route.h"

struct conn;
struct sender;
struct session;

struct delivery_limits {
	uint32_t messages;	/* per session */
	uint64_t bytes;		/* per session */
};

struct delivery_stats {
	uint64_t queued, sent, dropped, expired, lost;
};

enum delivery {
	DELIVERY_NONE,		/* nobody's queue wanted it */
	DELIVERY_QUEUED,	/* capture stands in offset */
	DELIVERY_DUPLICATE,
	DELIVERY_NO_SPACE,
	DELIVERY_TOO_LARGE,
};

void delivery_init(void);
void delivery_set_limits(const struct delivery_limits *limits);
const struct delivery_stats *delivery_stats(void);

/*
 * The sender's message to all sessions of the route; sender 0, number 0:
 * the router's own.
 */
enum delivery delivery_add(const struct route *r,
    const struct ipc_publish_item *m, uint64_t sender, uint64_t number,
    uint64_t *offset);
/* A retained message for a new subscription. */
void delivery_add_retained(
    const struct sub *sub, const struct ipc_publish_item *m);

/* There may be something to send. */
void delivery_ready(struct session *s);
/* The same for all sessions that are connected there. */
void delivery_ready_all(struct sender *home);
/* The session has (again) a connection: repeats, then goes on. */
void delivery_attach(struct session *s);
void delivery_detach(struct session *s);
/* The session is about to be deleted. */
void delivery_forget(struct session *s);
/* The watermark of $queue moved. */
void delivery_committed(void);
/* Positions that never came to be. */
void delivery_refused(uint64_t first, uint64_t end);
/* Sends what can be sent; at the end of a turn. */
void delivery_flush(void);

#endif
