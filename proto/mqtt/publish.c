#include "proto/mqtt/publish.h"

#include "proto/mqtt/topic.h"

#include <assert.h>

static void
properties_pick(struct mqtt_publish *p, const struct mqtt_properties *props)
{
	if (mqtt_has(props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL))
		p->expiry_at = mqtt_expiry_find(p->properties, &p->expiry);
	p->is_text = mqtt_has(props, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR) &&
	    props->payload_format_indicator == 1;
	p->has_subscription_identifier =
	    mqtt_has(props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER);
	p->has_hop_properties = p->has_subscription_identifier;
	if (mqtt_has(props, MQTT_PROP_TOPIC_ALIAS)) {
		p->alias = (uint16_t)props->topic_alias;
		p->has_hop_properties = true;
	}
}

static enum mqtt_reason
properties_get(struct slice *s, struct mqtt_publish *p)
{
	struct mqtt_properties props;
	enum mqtt_reason reason;

	/* Most messages have none. */
	if (s->len > 0 && s->p[0] == 0) {
		s->p++;
		s->len--;
		return MQTT_SUCCESS;
	}
	reason = mqtt_properties_get(s, MQTT_PUBLISH, &props);
	if (reason != MQTT_SUCCESS)
		return reason;
	p->properties = props.raw;
	properties_pick(p, &props);
	/* [MQTT-3.3.2-8] */
	if (mqtt_has(&props, MQTT_PROP_TOPIC_ALIAS) && p->alias == 0)
		return MQTT_TOPIC_ALIAS_INVALID;
	/* [MQTT-3.3.2-14] */
	if (mqtt_has(&props, MQTT_PROP_RESPONSE_TOPIC))
		return mqtt_topic_check(props.response_topic);
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_publish_get(const struct mqtt_frame *f, int version,
    struct mqtt_publish *p)
{
	struct slice s = f->body;
	enum mqtt_reason reason;

	*p = (struct mqtt_publish){
	    .expiry_at = MQTT_NOWHERE,
	    .properties = SLICE_EMPTY,
	    .qos = f->flags >> 1 & 3,
	    .dup = (f->flags & 8) != 0,
	    .retain = (f->flags & 1) != 0,
	};
	if (!wire_get_bytes(&s, &p->topic))
		return MQTT_MALFORMED_PACKET;
	if (p->qos > 0) {
		if (!wire_get_u16(&s, &p->id))
			return MQTT_MALFORMED_PACKET;
		/* [MQTT-2.2.1-4] */
		if (p->id == 0)
			return MQTT_PROTOCOL_ERROR;
	}
	if (version >= MQTT_V5) {
		reason = properties_get(&s, p);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	/* 3.3.2.1: a Protocol Error without an alias */
	if (p->topic.len == 0 && p->alias == 0)
		return version >= MQTT_V5 ? MQTT_PROTOCOL_ERROR :
		    MQTT_TOPIC_NAME_INVALID;
	p->payload = s;
	return MQTT_SUCCESS;
}

uint32_t
mqtt_expiry_find(struct slice properties, uint32_t *seconds)
{
	struct slice rest = properties;
	struct mqtt_property prop;

	while (mqtt_property_next(&rest, &prop)) {
		if (prop.id != MQTT_PROP_MESSAGE_EXPIRY_INTERVAL)
			continue;
		*seconds = prop.number;
		return (uint32_t)(prop.whole.p - properties.p) + 1;
	}
	return MQTT_NOWHERE;
}

struct slice
mqtt_publish_travel(const struct mqtt_publish *p, struct buf *scratch,
    uint32_t *expiry_at)
{
	struct slice rest = p->properties;
	struct mqtt_property prop;

	*expiry_at = p->expiry_at;
	if (!p->has_hop_properties)
		return p->properties;
	buf_clear(scratch);
	while (mqtt_property_next(&rest, &prop)) {
		if (prop.id == MQTT_PROP_TOPIC_ALIAS ||
		    prop.id == MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
			continue;
		if (prop.id == MQTT_PROP_MESSAGE_EXPIRY_INTERVAL)
			*expiry_at = (uint32_t)buf_len(scratch) + 1;
		buf_add_slice(scratch, prop.whole);
	}
	return buf_slice(scratch);
}

size_t
mqtt_delivery_size(struct mqtt_delivery *d, int version)
{
	size_t i, n;

	assert(d->topic.len <= UINT16_MAX);
	n = 2 + d->topic.len + (d->qos > 0 ? 2 : 0);
	d->properties_len = 0;
	if (version >= MQTT_V5) {
		size_t len = d->properties.len + (d->alias != 0 ? 3 : 0);

		for (i = 0; i < d->identifier_count; i++)
			len += 1 + wire_varint_size(d->identifiers[i]);
		if (len > MQTT_VARINT_MAX)
			return 0;
		d->properties_len = (uint32_t)len;
		n += wire_varint_size(d->properties_len) + len;
	}
	if (n > MQTT_VARINT_MAX || d->payload.len > MQTT_VARINT_MAX - n)
		return 0;
	d->remaining = (uint32_t)(n + d->payload.len);
	return 1 + wire_varint_size(d->remaining) + d->remaining;
}

static uint8_t *
properties_put(uint8_t *p, const struct mqtt_delivery *d)
{
	size_t i;

	p = wire_put_varint(p, d->properties_len);
	if (d->properties_len == 0)
		return p;
	if (d->properties.len > 0) {
		memcpy(p, d->properties.p, d->properties.len);
		if (d->expiry_at != MQTT_NOWHERE)
			wire_put_u32(p + d->expiry_at, d->expiry);
		p += d->properties.len;
	}
	for (i = 0; i < d->identifier_count; i++) {
		*p++ = MQTT_PROP_SUBSCRIPTION_IDENTIFIER;
		p = wire_put_varint(p, d->identifiers[i]);
	}
	if (d->alias != 0) {
		*p++ = MQTT_PROP_TOPIC_ALIAS;
		p = wire_put_u16(p, d->alias);
	}
	return p;
}

uint8_t *
mqtt_delivery_put(uint8_t *p, const struct mqtt_delivery *d, int version)
{
	*p++ = (uint8_t)(MQTT_PUBLISH << 4 | d->dup << 3 | d->qos << 1 |
	    (int)d->retain);
	p = wire_put_varint(p, d->remaining);
	p = wire_put_u16(p, (uint16_t)d->topic.len);
	if (d->topic.len > 0)
		memcpy(p, d->topic.p, d->topic.len);
	p += d->topic.len;
	if (d->qos > 0)
		p = wire_put_u16(p, d->id);
	if (version >= MQTT_V5)
		p = properties_put(p, d);
	if (d->payload.len > 0)
		memcpy(p, d->payload.p, d->payload.len);
	return p + d->payload.len;
}

void
mqtt_delivery_add(struct buf *b, struct mqtt_delivery *d, int version)
{
	size_t n = mqtt_delivery_size(d, version);
	uint8_t *p;

	assert(n > 0);
	p = buf_reserve(b, n);
	mqtt_delivery_put(p, d, version);
	buf_commit(b, n);
}
