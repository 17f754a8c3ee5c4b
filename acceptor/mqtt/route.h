/*
 * route - where the messages of a topic go, remembered.
 *
 * A route is the outcome of checking a topic and matching it against the
 * local subscriptions and what is wanted outside. It holds while both stay
 * as they are; a publisher that keeps to its topics costs one hash.
 * The table is direct-mapped: a topic may push out another.
 */
#ifndef ACCEPTOR_MQTT_ROUTE_H
#define ACCEPTOR_MQTT_ROUTE_H

#include "acceptor/mqtt/subs.h"
#include "acceptor/mqtt/wanted.h"

struct route {
	uint64_t hash;
	uint64_t generation;	/* of the subscriptions, 0: nothing here */
	uint64_t changes;	/* of what is wanted */
	uint64_t serial;	/* of the topic: no other ever has it */
	uint8_t *topic;
	uint32_t topic_len;
	uint32_t count;
	/* Sorted by client, so that one client's stand together. */
	struct subscription **subs;
	uint32_t cap;
	uint32_t group_count, group_cap;
	struct group **groups;	/* each of which one member gets it */
	bool is_wanted;		/* outside */
};

struct routes {
	struct subs *subs;
	struct wanted *wanted;
	struct route *slots;
	size_t bytes;
	uint64_t serials;
};

void routes_init(struct routes *r, struct subs *subs, struct wanted *wanted);
void routes_fini(struct routes *r);
/*
 * The route of a topic; NULL when it is no topic that may be published to.
 * Valid until the next change of a subscription or the next find.
 */
const struct route *route_find(struct routes *r, struct slice topic);

#endif
