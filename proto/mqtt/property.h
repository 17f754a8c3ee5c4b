/*
 * property - the properties of MQTT 5 packets.
 *
 * Implements MQTT 5, 2.2.2 from properties.def. A decoded set lends from
 * the packet: numbers and strings are fields, valid where their bit in
 * `set` says so; user properties (and all others, in their order) are read
 * from `raw` with mqtt_property_next. To encode, set what is wanted with
 * the mqtt_set_FIELD functions and put already encoded ones (user
 * properties, see mqtt_user_add) into `raw`, which is added after them.
 */
#ifndef PROTO_MQTT_PROPERTY_H
#define PROTO_MQTT_PROPERTY_H

#include "base/buf.h"
#include "proto/mqtt/reason.h"
#include "proto/mqtt/wire.h"

enum mqtt_property_id {
#define PROPERTY(NAME, field, id, type, many, min, max, packets) \
	MQTT_PROP_##NAME = (id),
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

enum mqtt_property_type {
	MQTT_TYPE_NONE = 0,
	MQTT_TYPE_BYTE,
	MQTT_TYPE_TWO,
	MQTT_TYPE_FOUR,
	MQTT_TYPE_VARINT,
	MQTT_TYPE_STRING,
	MQTT_TYPE_BINARY,
	MQTT_TYPE_PAIR,
};

#define MQTT_FIELD_BYTE(field) uint32_t field;
#define MQTT_FIELD_TWO(field) uint32_t field;
#define MQTT_FIELD_FOUR(field) uint32_t field;
#define MQTT_FIELD_VARINT(field) uint32_t field;
#define MQTT_FIELD_STRING(field) struct slice field;
#define MQTT_FIELD_BINARY(field) struct slice field;
#define MQTT_FIELD_PAIR(field)

struct mqtt_properties {
	uint64_t set;		/* bit n: property n is there */
	struct slice raw;	/* encoded, without their length */
#define PROPERTY(NAME, field, id, type, many, min, max, packets) \
	MQTT_FIELD_##type(field)
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

static inline bool
mqtt_has(const struct mqtt_properties *p, enum mqtt_property_id id)
{
	return (p->set >> id & 1) != 0;
}

#define MQTT_SETTER_NUMBER(field, id) \
static inline void \
mqtt_set_##field(struct mqtt_properties *p, uint32_t v) \
{ \
	p->field = v; \
	p->set |= 1ull << (id); \
}
#define MQTT_SETTER_SLICE(field, id) \
static inline void \
mqtt_set_##field(struct mqtt_properties *p, struct slice v) \
{ \
	p->field = v; \
	p->set |= 1ull << (id); \
}
#define MQTT_SETTER_BYTE(field, id) MQTT_SETTER_NUMBER(field, id)
#define MQTT_SETTER_TWO(field, id) MQTT_SETTER_NUMBER(field, id)
#define MQTT_SETTER_FOUR(field, id) MQTT_SETTER_NUMBER(field, id)
#define MQTT_SETTER_VARINT(field, id) MQTT_SETTER_NUMBER(field, id)
#define MQTT_SETTER_STRING(field, id) MQTT_SETTER_SLICE(field, id)
#define MQTT_SETTER_BINARY(field, id) MQTT_SETTER_SLICE(field, id)
#define MQTT_SETTER_PAIR(field, id)
#define PROPERTY(NAME, field, id, type, many, min, max, packets) \
	MQTT_SETTER_##type(field, id)
#include "proto/mqtt/properties.def"
#undef PROPERTY

/* One property of an encoded run. */
struct mqtt_property {
	uint8_t id;
	uint8_t type;		/* enum mqtt_property_type */
	uint32_t number;	/* of a numeric one */
	struct slice text;	/* a string, binary data, a pair's name */
	struct slice value;	/* a pair's value */
	struct slice whole;	/* as encoded, identifier and all */
};

/*
 * Takes the first property off an encoded run. False at its end and where
 * it is not well formed (in a checked run: at its end only).
 */
bool mqtt_property_next(struct slice *raw, struct mqtt_property *p);

/*
 * Reads the length and the properties at the front of *s and checks each
 * against the table for that packet. MALFORMED_PACKET or PROTOCOL_ERROR
 * otherwise. out may be NULL.
 */
enum mqtt_reason mqtt_properties_get(struct slice *s,
    enum mqtt_packet packet, struct mqtt_properties *out);

/* The encoded length, without the length's own bytes. NULL is none. */
size_t mqtt_properties_size(const struct mqtt_properties *p);
/* Adds length and properties; NULL adds a length of zero. */
void mqtt_properties_add(struct buf *b, const struct mqtt_properties *p);

/* Adds one encoded user property to a run. */
void mqtt_user_add(struct buf *b, struct slice name, struct slice value);

#endif
