#include "proto/mqtt/packet.h"

#include "proto/mqtt/topic.h"

#define OPTION_QOS 0x03
#define OPTION_NO_LOCAL 0x04
#define OPTION_RETAIN_AS_PUBLISHED 0x08
#define OPTION_RETAIN_HANDLING(o) ((o) >> 4 & 3)
#define OPTION_RESERVED 0xc0

/* Packet identifier and properties, which both packets begin with. */
static enum mqtt_reason
head_get(const struct mqtt_frame *f, int version, struct mqtt_subscribe *s)
{
	enum mqtt_reason reason;

	s->filters = f->body;
	s->properties = (struct mqtt_properties){0};
	if (!wire_get_u16(&s->filters, &s->id))
		return MQTT_MALFORMED_PACKET;
	/* [MQTT-2.2.1-3] */
	if (s->id == 0)
		return MQTT_PROTOCOL_ERROR;
	if (version >= MQTT_V5) {
		reason = mqtt_properties_get(&s->filters, f->type,
		    &s->properties);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	/* [MQTT-3.8.3-2], [MQTT-3.10.3-2] */
	return s->filters.len > 0 ? MQTT_SUCCESS : MQTT_PROTOCOL_ERROR;
}

static enum mqtt_reason
options_check(uint8_t options, int version, struct slice filter)
{
	struct slice group;

	if ((options & OPTION_QOS) == 3)
		return version < MQTT_V5 ? MQTT_MALFORMED_PACKET :
		    MQTT_PROTOCOL_ERROR;
	/* 3.1.1 [MQTT-3.8.3-4]; 3.1 says nothing of the upper six bits */
	if (version < MQTT_V5)
		return version == MQTT_V311 && options > 2 ?
		    MQTT_MALFORMED_PACKET : MQTT_SUCCESS;
	/* [MQTT-3.8.3-5], [MQTT-3.8.3-4] */
	if ((options & OPTION_RESERVED) != 0)
		return MQTT_MALFORMED_PACKET;
	if (OPTION_RETAIN_HANDLING(options) == 3)
		return MQTT_PROTOCOL_ERROR;
	if ((options & OPTION_NO_LOCAL) != 0 &&
	    mqtt_filter_share(&filter, &group))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_subscribe_get(const struct mqtt_frame *f, int version,
    struct mqtt_subscribe *s)
{
	enum mqtt_reason reason = head_get(f, version, s);
	struct slice rest = s->filters, filter;
	uint8_t options;

	while (reason == MQTT_SUCCESS && rest.len > 0) {
		if (!wire_get_bytes(&rest, &filter) ||
		    !wire_get_u8(&rest, &options))
			return MQTT_MALFORMED_PACKET;
		reason = mqtt_filter_check(filter);
		if (reason == MQTT_SUCCESS)
			reason = options_check(options, version, filter);
	}
	return reason;
}

bool
mqtt_filter_next(struct slice *filters, struct mqtt_filter *filter)
{
	uint8_t options;

	if (!wire_get_bytes(filters, &filter->filter) ||
	    !wire_get_u8(filters, &options))
		return false;
	filter->qos = options & OPTION_QOS;
	filter->no_local = (options & OPTION_NO_LOCAL) != 0;
	filter->retain_as_published =
	    (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
	filter->retain_handling = OPTION_RETAIN_HANDLING(options);
	return true;
}

enum mqtt_reason
mqtt_unsubscribe_get(const struct mqtt_frame *f, int version,
    struct mqtt_subscribe *s)
{
	enum mqtt_reason reason = head_get(f, version, s);
	struct slice rest = s->filters, filter;

	while (reason == MQTT_SUCCESS && rest.len > 0) {
		if (!wire_get_bytes(&rest, &filter))
			return MQTT_MALFORMED_PACKET;
		reason = mqtt_filter_check(filter);
	}
	return reason;
}

bool
mqtt_unfilter_next(struct slice *filters, struct slice *filter)
{
	return wire_get_bytes(filters, filter);
}

static uint8_t
options_of(const struct mqtt_filter *f, int version)
{
	unsigned o = f->qos;

	if (version < MQTT_V5)
		return (uint8_t)o;
	if (f->no_local)
		o |= OPTION_NO_LOCAL;
	if (f->retain_as_published)
		o |= OPTION_RETAIN_AS_PUBLISHED;
	return (uint8_t)(o | (unsigned)f->retain_handling << 4);
}

/* Fixed header, packet identifier, properties. */
static void
head_add(struct buf *b, int version, uint8_t first, uint16_t id,
    const struct mqtt_properties *p, size_t payload)
{
	size_t n = mqtt_properties_size(p);

	if (version >= MQTT_V5)
		payload += wire_varint_size((uint32_t)n) + n;
	wire_add_header(b, first, 2 + payload);
	buf_add_be16(b, id);
	if (version >= MQTT_V5)
		mqtt_properties_add(b, p);
}

void
mqtt_subscribe_add(struct buf *b, int version, uint16_t id,
    const struct mqtt_properties *p, const struct mqtt_filter *filters,
    size_t n)
{
	size_t i, payload = 0;

	for (i = 0; i < n; i++)
		payload += 2 + filters[i].filter.len + 1;
	head_add(b, version, MQTT_SUBSCRIBE << 4 | 2, id, p, payload);
	for (i = 0; i < n; i++) {
		wire_add_bytes(b, filters[i].filter);
		buf_add_u8(b, options_of(&filters[i], version));
	}
}

void
mqtt_unsubscribe_add(struct buf *b, int version, uint16_t id,
    const struct mqtt_properties *p, const struct slice *filters, size_t n)
{
	size_t i, payload = 0;

	for (i = 0; i < n; i++)
		payload += 2 + filters[i].len;
	head_add(b, version, MQTT_UNSUBSCRIBE << 4 | 2, id, p, payload);
	for (i = 0; i < n; i++)
		wire_add_bytes(b, filters[i]);
}

static bool
code_check(uint8_t code, int version, uint8_t type)
{
	if (version >= MQTT_V5)
		return mqtt_reason_check(code, type);
	return code <= 2 || code == 0x80;
}

enum mqtt_reason
mqtt_suback_get(const struct mqtt_frame *f, int version,
    struct mqtt_suback *s)
{
	enum mqtt_reason reason;
	size_t i;

	s->reasons = f->body;
	s->properties = (struct mqtt_properties){0};
	if (!wire_get_u16(&s->reasons, &s->id))
		return MQTT_MALFORMED_PACKET;
	if (s->id == 0)
		return MQTT_PROTOCOL_ERROR;
	if (version < MQTT_V5 && f->type == MQTT_UNSUBACK)
		return s->reasons.len == 0 ? MQTT_SUCCESS :
		    MQTT_MALFORMED_PACKET;
	if (version >= MQTT_V5) {
		reason = mqtt_properties_get(&s->reasons, f->type,
		    &s->properties);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	for (i = 0; i < s->reasons.len; i++) {
		if (!code_check(s->reasons.p[i], version, f->type))
			return MQTT_PROTOCOL_ERROR;
	}
	return s->reasons.len > 0 ? MQTT_SUCCESS : MQTT_PROTOCOL_ERROR;
}

void
mqtt_suback_add(struct buf *b, int version, enum mqtt_packet type,
    const struct mqtt_suback *s)
{
	bool has_codes = version >= MQTT_V5 || type == MQTT_SUBACK;
	size_t i;

	head_add(b, version, (uint8_t)(type << 4), s->id, &s->properties,
	    has_codes ? s->reasons.len : 0);
	if (version >= MQTT_V5) {
		buf_add_slice(b, s->reasons);
		return;
	}
	for (i = 0; has_codes && i < s->reasons.len; i++)
		buf_add_u8(b, s->reasons.p[i] < 0x80 ? s->reasons.p[i] :
		    0x80);
}
