#include "proto/mqtt/property.h"

#include <assert.h>
#include <stddef.h>

#define IN(packet) (1u << MQTT_##packet)
#define ONCE 0u
#define MANY UINT32_MAX
#define MANY_IN_PUBLISH IN(PUBLISH)

#define NO_FIELD SIZE_MAX
#define OFFSET_BYTE(field) offsetof(struct mqtt_properties, field)
#define OFFSET_TWO(field) offsetof(struct mqtt_properties, field)
#define OFFSET_FOUR(field) offsetof(struct mqtt_properties, field)
#define OFFSET_VARINT(field) offsetof(struct mqtt_properties, field)
#define OFFSET_STRING(field) offsetof(struct mqtt_properties, field)
#define OFFSET_BINARY(field) offsetof(struct mqtt_properties, field)
#define OFFSET_PAIR(field) NO_FIELD

struct descriptor {
	uint32_t packets;	/* where it may stand */
	uint32_t many;		/* where it may stand more than once */
	uint32_t min, max;
	size_t offset;		/* of its field, or NO_FIELD */
	uint8_t type;
};

#define PROPERTY(NAME, field, id, type, many, min, max, packets) \
	[id] = {packets, many, min, max, OFFSET_##type(field), \
	    MQTT_TYPE_##type},
static const struct descriptor descriptors[] = {
#include "proto/mqtt/properties.def"
};
#undef PROPERTY
#define DESCRIPTORS (sizeof(descriptors) / sizeof(descriptors[0]))

static const uint8_t identifiers[] = {
#define PROPERTY(NAME, field, id, type, many, min, max, packets) id,
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

static bool
value_get(struct slice *raw, struct mqtt_property *p)
{
	uint8_t one;
	uint16_t two;

	switch ((enum mqtt_property_type)p->type) {
	case MQTT_TYPE_NONE:
		return false;
	case MQTT_TYPE_BYTE:
		if (!wire_get_u8(raw, &one))
			return false;
		p->number = one;
		return true;
	case MQTT_TYPE_TWO:
		if (!wire_get_u16(raw, &two))
			return false;
		p->number = two;
		return true;
	case MQTT_TYPE_FOUR:
		return wire_get_u32(raw, &p->number);
	case MQTT_TYPE_VARINT:
		return wire_get_varint(raw, &p->number);
	case MQTT_TYPE_STRING:
		return wire_get_string(raw, &p->text);
	case MQTT_TYPE_BINARY:
		return wire_get_bytes(raw, &p->text);
	case MQTT_TYPE_PAIR:
		return wire_get_string(raw, &p->text) &&
		    wire_get_string(raw, &p->value);
	}
	return false;
}

bool
mqtt_property_next(struct slice *raw, struct mqtt_property *p)
{
	const uint8_t *start = raw->p;

	*p = (struct mqtt_property){0};
	/* Every identifier so far is one byte, as a variable byte integer. */
	if (!wire_get_u8(raw, &p->id) || p->id >= DESCRIPTORS)
		return false;
	p->type = descriptors[p->id].type;
	if (!value_get(raw, p))
		return false;
	p->whole = slice_of(start, (size_t)(raw->p - start));
	return true;
}

static bool
is_number(uint8_t type)
{
	return type >= MQTT_TYPE_BYTE && type <= MQTT_TYPE_VARINT;
}

static enum mqtt_reason
property_check(const struct mqtt_property *p, enum mqtt_packet packet,
    uint64_t seen)
{
	const struct descriptor *d = &descriptors[p->id];

	if ((d->packets >> packet & 1) == 0)
		return MQTT_PROTOCOL_ERROR;
	if ((seen >> p->id & 1) != 0 && (d->many >> packet & 1) == 0)
		return MQTT_PROTOCOL_ERROR;
	if (is_number(p->type) && (p->number < d->min || p->number > d->max))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

static void
property_keep(struct mqtt_properties *out, const struct mqtt_property *p)
{
	const struct descriptor *d = &descriptors[p->id];
	uint8_t *field;

	if (d->offset == NO_FIELD)
		return;
	field = (uint8_t *)out + d->offset;
	if (is_number(p->type))
		memcpy(field, &p->number, sizeof(p->number));
	else
		memcpy(field, &p->text, sizeof(p->text));
}

enum mqtt_reason
mqtt_properties_get(struct slice *s, enum mqtt_packet packet,
    struct mqtt_properties *out)
{
	struct mqtt_property p;
	enum mqtt_reason reason;
	struct slice rest;
	uint64_t seen = 0;
	uint32_t len;

	if (!wire_get_varint(s, &len) || len > s->len)
		return MQTT_MALFORMED_PACKET;
	rest = slice_of(s->p, len);
	s->p += len;
	s->len -= len;
	if (out != NULL) {
		*out = (struct mqtt_properties){0};
		out->raw = rest;
	}
	while (rest.len > 0) {
		if (!mqtt_property_next(&rest, &p))
			return MQTT_MALFORMED_PACKET;
		reason = property_check(&p, packet, seen);
		if (reason != MQTT_SUCCESS)
			return reason;
		seen |= 1ull << p.id;
		if (out != NULL)
			property_keep(out, &p);
	}
	if (out != NULL)
		out->set = seen;
	return MQTT_SUCCESS;
}

static uint32_t
field_number(const struct mqtt_properties *p, const struct descriptor *d)
{
	uint32_t v;

	memcpy(&v, (const uint8_t *)p + d->offset, sizeof(v));
	return v;
}

static struct slice
field_slice(const struct mqtt_properties *p, const struct descriptor *d)
{
	struct slice v;

	memcpy(&v, (const uint8_t *)p + d->offset, sizeof(v));
	return v;
}

static size_t
field_size(const struct mqtt_properties *p, const struct descriptor *d)
{
	switch ((enum mqtt_property_type)d->type) {
	case MQTT_TYPE_BYTE:
		return 1 + 1;
	case MQTT_TYPE_TWO:
		return 1 + 2;
	case MQTT_TYPE_FOUR:
		return 1 + 4;
	case MQTT_TYPE_VARINT:
		return 1 + wire_varint_size(field_number(p, d));
	case MQTT_TYPE_STRING:
	case MQTT_TYPE_BINARY:
		return 1 + 2 + field_slice(p, d).len;
	case MQTT_TYPE_NONE:
	case MQTT_TYPE_PAIR:
		break;
	}
	return 0;
}

size_t
mqtt_properties_size(const struct mqtt_properties *p)
{
	size_t i, n;

	if (p == NULL)
		return 0;
	n = p->raw.len;
	if (p->set == 0)
		return n;
	for (i = 0; i < sizeof(identifiers); i++) {
		if (mqtt_has(p, identifiers[i]))
			n += field_size(p, &descriptors[identifiers[i]]);
	}
	return n;
}

static void
field_add(struct buf *b, const struct mqtt_properties *p, uint8_t id)
{
	const struct descriptor *d = &descriptors[id];

	switch ((enum mqtt_property_type)d->type) {
	case MQTT_TYPE_BYTE:
		buf_add_u8(b, id);
		buf_add_u8(b, (uint8_t)field_number(p, d));
		break;
	case MQTT_TYPE_TWO:
		buf_add_u8(b, id);
		buf_add_be16(b, (uint16_t)field_number(p, d));
		break;
	case MQTT_TYPE_FOUR:
		buf_add_u8(b, id);
		buf_add_be32(b, field_number(p, d));
		break;
	case MQTT_TYPE_VARINT:
		buf_add_u8(b, id);
		wire_add_varint(b, field_number(p, d));
		break;
	case MQTT_TYPE_STRING:
	case MQTT_TYPE_BINARY:
		buf_add_u8(b, id);
		wire_add_bytes(b, field_slice(p, d));
		break;
	case MQTT_TYPE_NONE:
	case MQTT_TYPE_PAIR:
		break;
	}
}

void
mqtt_properties_add(struct buf *b, const struct mqtt_properties *p)
{
	size_t i, n = mqtt_properties_size(p);

	assert(n <= MQTT_VARINT_MAX);
	wire_add_varint(b, (uint32_t)n);
	if (n == 0)
		return;
	for (i = 0; p->set != 0 && i < sizeof(identifiers); i++) {
		if (mqtt_has(p, identifiers[i]))
			field_add(b, p, identifiers[i]);
	}
	buf_add_slice(b, p->raw);
}

void
mqtt_user_add(struct buf *b, struct slice name, struct slice value)
{
	buf_add_u8(b, MQTT_PROP_USER_PROPERTY);
	wire_add_bytes(b, name);
	wire_add_bytes(b, value);
}
