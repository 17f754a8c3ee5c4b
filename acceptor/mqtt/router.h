/*
 * router - our side of the link with the router.
 *
 * The link may be away for a moment. Until there is one that has welcomed
 * us, what is asked here waits: connects, subscriptions and messages are
 * sent when it has, in the order that architecture section 5 has. Messages
 * and settlements are numbered and kept until they are taken.
 */
#ifndef ACCEPTOR_MQTT_ROUTER_H
#define ACCEPTOR_MQTT_ROUTER_H

#include "acceptor/mqtt/mqtt.h"
#include "ipc/messages.h"

enum settle_kind {
	SETTLE_PUBACK = 0,
	SETTLE_PUBREC = 1,
	SETTLE_PUBCOMP = 2,
	SETTLE_RELEASE = 3,	/* an inbound PUBREL */
};

void router_init(void);
/* A new link; takes fd. */
void router_link(const char *name, int fd);
/* Handlers by message, of handle.c. */
struct link_ops;
extern const struct link_ops router_ops;

/* Does the router take messages just now? */
bool router_is_open(void);
/*
 * Hands a message over: its number. Where the router takes no more, c is
 * not read from until it does. must: the sender waits to be told.
 */
uint64_t router_publish(struct client *c, const struct ipc_publish_item *item,
    bool must);
void router_settle(uint64_t session, uint64_t seq, enum settle_kind kind);

void router_connect(struct client *c);
/* False: there is no router; the client is to be kept until there is. */
bool router_disconnect(struct client *c);
void router_subscribe(uint64_t conn, uint64_t seq,
    const struct ipc_batch *subs);
void router_unsubscribe(uint64_t conn, uint64_t seq,
    const struct ipc_batch *filters);
void router_retained_get(uint64_t conn, uint64_t seq, struct slice filter);

/* First and last subscription of a filter. */
void router_interest_add(struct filter *f);
void router_interest_remove(struct filter *f);
/* Was the interest that has this number confirmed? */
bool router_has_interest(uint64_t interest);

/* The router's messages, called by handle.c. */
void router_welcomed(uint64_t generation);
void router_interest_ok(uint64_t seq);
void router_taken(const struct ipc_taken *m);
void router_space(bool is_full);
void router_closed(void);

/* The end of a turn: what was gathered is put into the link. */
void router_prepare(void);
/* Is everything that must not be lost taken? */
bool router_is_settled(void);

#endif
