/*
 * shared - shared subscriptions whose members are all ours (MQTT 5, 4.8.2).
 *
 * Each message of a group goes to one member that can take it: at QoS 1 and
 * 2 to one with room in its window, so that a slow member hoards nothing. What
 * nobody can take waits with the group, bounded by max_queued and
 * max_queued_bytes. A QoS 1 message that a member did not acknowledge before
 * its end goes to another; at QoS 2 it must not [MQTT-4.8.2-5].
 *
 * Architecture, section 4.
 */
#ifndef ACCEPTOR_MQTT_SHARED_H
#define ACCEPTOR_MQTT_SHARED_H

#include "acceptor/mqtt/outbound.h"

/* How a group chooses; as in the option mqtt.shared_strategy. */
enum shared_strategy {
	SHARED_ROUND_ROBIN,
	SHARED_RANDOM,
	SHARED_STICKY,		/* one, as long as it can */
	SHARED_HASH_CLIENT,	/* by the publisher */
	SHARED_HASH_TOPIC,
};

enum shared_strategy shared_strategy_parse(const char *name);

/*
 * The groups of a route, before anybody is sent anything: the route may
 * change, and clients end, while the others get the message.
 */
void shared_hold(const struct route *route);
/* To one member of each that is held. */
void shared_fan(const struct message *m);
/* The client answered a delivery to its end: there is room for others. */
void shared_answered(struct client *c, uint64_t seq);
/* The client came as a member, or may take messages again. */
void shared_resume(struct client *c);
/* The client's subscriptions are gone: what it did not answer goes on. */
void shared_left(struct client *c);
/* For subs: the group's last member went, and what waited with it. */
void shared_drop(struct group *g);

#endif
