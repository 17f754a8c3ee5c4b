/*
 * outbound - messages to clients, and what they answer.
 *
 * To a clean session a message at QoS 1 or 2 is put into its window, or
 * waits for room there, encoded. Nothing is kept for a repetition: such a
 * session ends with its connection. The messages of a persistent session
 * come from the router, which keeps them, with their sequence numbers; its
 * answers are reported.
 *
 * Limits: output that the kernel does not take, and messages that wait, are
 * bounded per client. Beyond them QoS 0 is dropped and counted, and a client
 * with QoS 1 or 2 is disconnected (architecture, section 2).
 */
#ifndef ACCEPTOR_MQTT_OUTBOUND_H
#define ACCEPTOR_MQTT_OUTBOUND_H

#include "acceptor/mqtt/mqtt.h"
#include "ipc/messages.h"

/* A message on its way to clients. */
struct message {
	struct slice topic;
	struct slice payload;
	struct slice properties;	/* of MQTT 5, without those of a hop */
	uint32_t expiry_at;	/* in properties */
	uint32_t expiry;	/* seconds left */
	uint64_t expires_ms;	/* wall clock, 0: never */
	uint8_t qos;
	bool retain;
	const struct client *publisher;	/* here, or NULL */
	struct slice publisher_id;	/* elsewhere */
};

/*
 * A message in the form of the links; false when it has expired. The loan
 * of its properties ends with the next call.
 */
bool outbound_message(struct message *m, const struct ipc_deliver_item *item);

/* To all that subscribed. */
void outbound_fan(const struct route *route, const struct message *m);
/* Can a member of a shared group take one of that QoS now? */
bool outbound_may_take(const struct subscription *sub, uint8_t qos);
/*
 * To that member. True when the client has to acknowledge it: by the number
 * *seq of its window.
 */
bool outbound_shared(struct subscription *sub, const struct message *m,
    bool is_dup, uint64_t *seq);
/* A retained message for one subscription. */
void outbound_retained(struct subscription *sub, const struct message *m);
/* The replay is over: what came meanwhile follows. */
void outbound_replayed(struct subscription *sub);
/* One of a persistent session's queue. */
void outbound_queue(struct client *c, const struct ipc_queue_item *item);
/* The router has committed a PUBREC. */
void outbound_release(struct client *c, uint64_t seq);

void outbound_puback(struct client *c, uint16_t id);
void outbound_pubrec(struct client *c, uint16_t id, uint8_t reason);
void outbound_pubcomp(struct client *c, uint16_t id);

#endif
