/*
 * publish - PUBLISH, the packet all the work is in.
 *
 * Implements MQTT 5, 3.3. Decoding lends from the packet. The topic's
 * characters are the caller's to check (mqtt_topic_check), who may know the
 * topic from the packet before; properties are checked on the way and stay
 * encoded, the few that the broker acts on are picked out.
 */
#ifndef PROTO_MQTT_PUBLISH_H
#define PROTO_MQTT_PUBLISH_H

#include "proto/mqtt/packet.h"

/* No position: there is no such property. */
#define MQTT_NOWHERE UINT32_MAX

struct mqtt_publish {
	struct slice topic;		/* empty: by alias */
	struct slice payload;
	struct slice properties;	/* encoded, without their length */
	uint32_t expiry_at;	/* of the expiry's four bytes, in properties */
	uint32_t expiry;	/* seconds, where expiry_at is somewhere */
	uint16_t id;		/* 0 at QoS 0 */
	uint16_t alias;		/* 0: none */
	uint8_t qos;
	bool dup;
	bool retain;
	bool is_text;		/* payload format indicator 1 */
	/* There are properties that do not travel on: alias, identifiers. */
	bool has_hop_properties;
	bool has_subscription_identifier;
};

enum mqtt_reason mqtt_publish_get(const struct mqtt_frame *f, int version,
    struct mqtt_publish *p);

/*
 * The properties that go on to a subscriber: all but topic alias and
 * subscription identifiers (MQTT 5, 3.3.2.3). Lends p->properties itself
 * where nothing is to be taken out, else builds them in scratch, which it
 * clears; *expiry_at is where the expiry is in the result.
 */
struct slice mqtt_publish_travel(const struct mqtt_publish *p,
    struct buf *scratch, uint32_t *expiry_at);

/* Finds the expiry in checked properties: its position and seconds. */
uint32_t mqtt_expiry_find(struct slice properties, uint32_t *seconds);

/* A PUBLISH to write. */
struct mqtt_delivery {
	struct slice topic;
	struct slice payload;
	struct slice properties;	/* encoded; version 5 only */
	uint32_t expiry_at;	/* where in them to write... */
	uint32_t expiry;	/* ...these seconds */
	const uint32_t *identifiers;	/* subscription identifiers */
	size_t identifier_count;
	uint16_t id;
	uint16_t alias;		/* 0: none */
	uint8_t qos;
	bool dup;
	bool retain;
	/* Set by mqtt_delivery_size, used by mqtt_delivery_put: */
	uint32_t remaining;
	uint32_t properties_len;
};

/*
 * The size of the whole packet; d is then ready to be put. 0 when it is
 * more than a packet can be.
 */
size_t mqtt_delivery_size(struct mqtt_delivery *d, int version);
/* Writes it, and answers where it ends. */
uint8_t *mqtt_delivery_put(uint8_t *p, const struct mqtt_delivery *d,
    int version);
/* Where the packet identifier is in what was put (QoS 1 and 2). */
static inline size_t
mqtt_delivery_id_at(const struct mqtt_delivery *d)
{
	return 1 + wire_varint_size(d->remaining) + 2 + d->topic.len;
}
/* Appends it to a buf (sizes it first). */
void mqtt_delivery_add(struct buf *b, struct mqtt_delivery *d, int version);

#endif
