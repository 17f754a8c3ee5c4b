/*
 * subscribe - SUBSCRIBE and UNSUBSCRIBE, from the request to its answer.
 *
 * A SUBACK leaves when the router has said that messages of others will
 * come (for the filters we serve) and, for a persistent session, that the
 * subscription is committed. The replay of retained messages is asked for
 * at once; until its end live messages of that subscription are held.
 */
#ifndef ACCEPTOR_MQTT_SUBSCRIBE_H
#define ACCEPTOR_MQTT_SUBSCRIBE_H

#include "acceptor/mqtt/mqtt.h"
#include "ipc/messages.h"

void subscribe(struct client *c, const struct mqtt_subscribe *s);
void unsubscribe(struct client *c, const struct mqtt_subscribe *s);

/* The subscriptions of a persistent session that is resumed. */
void subscriptions_restore(struct client *c, struct ipc_list subs);
/* The rules changed: those that it may no longer have end. */
void subscriptions_check(struct client *c);
/* A client ends: what it asked for is forgotten. */
void requests_drop(struct client *c);

/* The router's answers. */
void requests_interest(uint64_t confirmed);
void requests_subscribed(struct client *c, uint64_t seq,
    struct ipc_list results);
void requests_retained(struct client *c, uint64_t seq,
    struct ipc_list items, bool is_done);
/* A new router: what is not answered is asked again. */
void requests_again(void);

#endif
