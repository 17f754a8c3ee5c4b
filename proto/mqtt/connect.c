#include "proto/mqtt/packet.h"

#include "proto/mqtt/topic.h"

/* Bits of the connect flags (MQTT 5, 3.1.2.3) */
#define FLAG_RESERVED 0x01
#define FLAG_CLEAN 0x02
#define FLAG_WILL 0x04
#define FLAG_WILL_QOS(flags) ((flags) >> 3 & 3)
#define FLAG_WILL_RETAIN 0x20
#define FLAG_PASSWORD 0x40
#define FLAG_USER_NAME 0x80

static enum mqtt_reason
version_get(struct slice *s, struct mqtt_connect *c)
{
	struct slice name;

	c->version = MQTT_V311;
	if (!wire_get_bytes(s, &name) || !wire_get_u8(s, &c->version))
		return MQTT_MALFORMED_PACKET;
	if (slice_is(name, "MQTT") &&
	    (c->version == MQTT_V311 || c->version == MQTT_V5))
		return MQTT_SUCCESS;
	if (slice_is(name, "MQIsdp") && c->version == MQTT_V31)
		return MQTT_SUCCESS;
	/* [MQTT-3.1.2-1], [MQTT-3.1.2-2] */
	c->version = slice_is(name, "MQTT") && c->version > MQTT_V5 ?
	    MQTT_V5 : MQTT_V311;
	return MQTT_UNSUPPORTED_PROTOCOL_VERSION;
}

static enum mqtt_reason
flags_check(uint8_t flags, int version)
{
	/* [MQTT-3.1.2-3]; in 3.1 the bit is unused and not looked at */
	if ((flags & FLAG_RESERVED) != 0 && version != MQTT_V31)
		return MQTT_MALFORMED_PACKET;
	/* [MQTT-3.1.2-12], and [MQTT-3.1.2-11], -13 without a will */
	if (FLAG_WILL_QOS(flags) == 3)
		return MQTT_MALFORMED_PACKET;
	if ((flags & FLAG_WILL) == 0 &&
	    (FLAG_WILL_QOS(flags) != 0 || (flags & FLAG_WILL_RETAIN) != 0))
		return MQTT_MALFORMED_PACKET;
	/* MQTT 3.1.1 [MQTT-3.1.2-22]; version 5 took it back */
	if (version < MQTT_V5 && (flags & FLAG_PASSWORD) != 0 &&
	    (flags & FLAG_USER_NAME) == 0)
		return MQTT_MALFORMED_PACKET;
	return MQTT_SUCCESS;
}

/* Wildcards are refused in a response topic [MQTT-3.3.2-14]. */
static enum mqtt_reason
will_check(const struct mqtt_connect *c)
{
	enum mqtt_reason reason = mqtt_topic_check(c->will_topic);

	if (reason == MQTT_SUCCESS && mqtt_has(&c->will_properties,
	    MQTT_PROP_RESPONSE_TOPIC))
		reason = mqtt_topic_check(c->will_properties.response_topic);
	return reason;
}

static enum mqtt_reason
will_get(struct slice *s, uint8_t flags, struct mqtt_connect *c)
{
	enum mqtt_reason reason;

	c->has_will = (flags & FLAG_WILL) != 0;
	c->will_qos = FLAG_WILL_QOS(flags);
	c->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
	if (!c->has_will)
		return MQTT_SUCCESS;
	if (c->version >= MQTT_V5) {
		reason = mqtt_properties_get(s, MQTT_WILL,
		    &c->will_properties);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	if (!wire_get_string(s, &c->will_topic) ||
	    !wire_get_bytes(s, &c->will_payload))
		return MQTT_MALFORMED_PACKET;
	return will_check(c);
}

static enum mqtt_reason
properties_get(struct slice *s, struct mqtt_connect *c)
{
	enum mqtt_reason reason;

	if (c->version < MQTT_V5)
		return MQTT_SUCCESS;
	reason = mqtt_properties_get(s, MQTT_CONNECT, &c->properties);
	if (reason != MQTT_SUCCESS)
		return reason;
	/* 3.1.2.11.10 */
	if (mqtt_has(&c->properties, MQTT_PROP_AUTHENTICATION_DATA) &&
	    !mqtt_has(&c->properties, MQTT_PROP_AUTHENTICATION_METHOD))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

enum mqtt_reason
mqtt_connect_get(const struct mqtt_frame *f, struct mqtt_connect *c)
{
	struct slice s = f->body;
	enum mqtt_reason reason;
	uint8_t flags;

	*c = (struct mqtt_connect){0};
	reason = version_get(&s, c);
	if (reason != MQTT_SUCCESS)
		return reason;
	if (!wire_get_u8(&s, &flags) || !wire_get_u16(&s, &c->keep_alive))
		return MQTT_MALFORMED_PACKET;
	reason = flags_check(flags, c->version);
	if (reason != MQTT_SUCCESS)
		return reason;
	c->clean_start = (flags & FLAG_CLEAN) != 0;
	reason = properties_get(&s, c);
	if (reason != MQTT_SUCCESS)
		return reason;
	if (!wire_get_string(&s, &c->client_id))
		return MQTT_MALFORMED_PACKET;
	reason = will_get(&s, flags, c);
	if (reason != MQTT_SUCCESS)
		return reason;
	if ((flags & FLAG_USER_NAME) != 0 &&
	    !wire_get_string(&s, &c->user_name))
		return MQTT_MALFORMED_PACKET;
	if ((flags & FLAG_PASSWORD) != 0 && !wire_get_bytes(&s, &c->password))
		return MQTT_MALFORMED_PACKET;
	return s.len == 0 ? MQTT_SUCCESS : MQTT_MALFORMED_PACKET;
}

static uint8_t
connect_flags(const struct mqtt_connect *c)
{
	unsigned flags = 0;

	if (c->clean_start)
		flags |= FLAG_CLEAN;
	if (c->has_will) {
		flags |= FLAG_WILL | (unsigned)c->will_qos << 3;
		if (c->will_retain)
			flags |= FLAG_WILL_RETAIN;
	}
	if (!slice_is_null(c->user_name))
		flags |= FLAG_USER_NAME;
	if (!slice_is_null(c->password))
		flags |= FLAG_PASSWORD;
	return (uint8_t)flags;
}

void
mqtt_connect_add(struct buf *b, const struct mqtt_connect *c)
{
	struct buf body;

	buf_init(&body);
	wire_add_bytes(&body, c->version == MQTT_V31 ? SLICE_LIT("MQIsdp") :
	    SLICE_LIT("MQTT"));
	buf_add_u8(&body, c->version);
	buf_add_u8(&body, connect_flags(c));
	buf_add_be16(&body, c->keep_alive);
	if (c->version >= MQTT_V5)
		mqtt_properties_add(&body, &c->properties);
	wire_add_bytes(&body, c->client_id);
	if (c->has_will) {
		if (c->version >= MQTT_V5)
			mqtt_properties_add(&body, &c->will_properties);
		wire_add_bytes(&body, c->will_topic);
		wire_add_bytes(&body, c->will_payload);
	}
	if (!slice_is_null(c->user_name))
		wire_add_bytes(&body, c->user_name);
	if (!slice_is_null(c->password))
		wire_add_bytes(&body, c->password);
	wire_add_header(b, MQTT_CONNECT << 4, buf_len(&body));
	buf_add_slice(b, buf_slice(&body));
	buf_fini(&body);
}
