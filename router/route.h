/*
 * route - where a topic's messages go: processes, partitions, sessions.
 *
 * Matches are kept per topic and used while nothing changed in the interest
 * (its version); the memory for them is bounded, all are dropped when it is
 * used up. A route is valid until the next route_find or change of interest.
 */
#ifndef ROUTER_ROUTE_H
#define ROUTER_ROUTE_H

#include "router/interest.h"

struct log_partition;

/*
 * One message for one session. Its overlapping subscriptions are one, at the
 * highest QoS, with all their identifiers (MQTT 5, 3.3.4). For what the
 * session itself published those with no local do not count: they are left
 * out of own_options, and their identifiers are marked.
 */
struct route_sub {
	struct session *session;
	uint8_t options;	/* the highest QoS, and AS_PUBLISHED */
	uint8_t own_options;	/* or SUB_NONE */
	uint32_t ids_at;	/* in the route's ids */
	uint32_t ids_len;
};

#define SUB_NONE 0x80u
#define SUB_ID_NO_LOCAL UINT32_C(0x80000000)
#define SUB_QOS 0x03u
#define SUB_NO_LOCAL 0x04u
#define SUB_AS_PUBLISHED 0x08u
#define SUB_HANDLING(options) ((options) >> 4 & 3)

struct route {
	uint64_t version;
	uint64_t slots;		/* bit set of processes */
	struct log_partition **partitions;
	uint32_t partitions_len;
	uint32_t subs_len;
	struct route_sub *subs;
	uint32_t *ids;
	size_t size;		/* of this allocation */
	uint32_t topic_len;
	char topic[];
};

void routes_init(const struct interest *interest);
const struct route *route_find(struct slice topic);

#endif
