#include "proto/mqtt/packet.h"

#define ANY_FLAGS 0xff
#define NO_SUCH_TYPE 0xfe

static const uint8_t flags_of[16] = {
	[0] = NO_SUCH_TYPE,
#define PACKET(name, type, flags, from) [type] = (flags),
#include "proto/mqtt/packets.def"
#undef PACKET
};

/* [MQTT-2.1.3-1]; QoS 3 and DUP at QoS 0: [MQTT-3.3.1-4], [MQTT-3.3.1-2] */
static bool
header_check(uint8_t first)
{
	uint8_t type = first >> 4, flags = first & 15, qos = flags >> 1 & 3;

	if (flags_of[type] != ANY_FLAGS)
		return flags_of[type] == flags;
	return qos != 3 && (qos != 0 || (flags & 8) == 0);
}

ssize_t
mqtt_frame_get(const uint8_t *p, size_t n, size_t max,
    struct mqtt_frame *frame)
{
	size_t remaining = 0, i;

	if (n == 0)
		return 0;
	if (!header_check(p[0]))
		return -MQTT_MALFORMED_PACKET;
	for (i = 1;; i++) {
		if (i == n)
			return 0;
		remaining |= (size_t)(p[i] & 0x7f) << (7 * (i - 1));
		if ((p[i] & 0x80) == 0)
			break;
		if (i == 4)
			return -MQTT_MALFORMED_PACKET;
	}
	if (i > 1 && p[i] == 0)
		return -MQTT_MALFORMED_PACKET;
	i++;
	if (i > max || remaining > max - i)
		return -MQTT_PACKET_TOO_LARGE;
	if (remaining > n - i)
		return 0;
	frame->type = p[0] >> 4;
	frame->flags = p[0] & 15;
	frame->body = slice_of(p + i, remaining);
	return (ssize_t)(i + remaining);
}

/* Properties where the version has them; an empty set where it has not. */
static enum mqtt_reason
properties_get(struct slice *s, int version, enum mqtt_packet packet,
    struct mqtt_properties *out)
{
	if (version >= MQTT_V5)
		return mqtt_properties_get(s, packet, out);
	*out = (struct mqtt_properties){0};
	return MQTT_SUCCESS;
}

static size_t
properties_room(int version, const struct mqtt_properties *p)
{
	size_t n = mqtt_properties_size(p);

	return version < MQTT_V5 ? 0 : wire_varint_size((uint32_t)n) + n;
}

enum mqtt_reason
mqtt_connack_get(const struct mqtt_frame *f, int version,
    struct mqtt_connack *c)
{
	struct slice s = f->body;
	uint8_t flags;
	enum mqtt_reason reason;

	if (!wire_get_u8(&s, &flags) || !wire_get_u8(&s, &c->reason))
		return MQTT_MALFORMED_PACKET;
	/* [MQTT-3.2.2-1], [MQTT-3.2.2-6]; 3.1 reserves the byte, unchecked */
	if (flags > 1 && version != MQTT_V31)
		return MQTT_MALFORMED_PACKET;
	c->session_present = (flags & 1) != 0;
	if (c->session_present && c->reason != MQTT_SUCCESS)
		return MQTT_PROTOCOL_ERROR;
	if (version >= MQTT_V5 && !mqtt_reason_check(c->reason, MQTT_CONNACK))
		return MQTT_PROTOCOL_ERROR;
	reason = properties_get(&s, version, MQTT_CONNACK, &c->properties);
	if (reason != MQTT_SUCCESS)
		return reason;
	return s.len == 0 ? MQTT_SUCCESS : MQTT_MALFORMED_PACKET;
}

void
mqtt_connack_add(struct buf *b, int version, const struct mqtt_connack *c)
{
	wire_add_header(b, MQTT_CONNACK << 4,
	    2 + properties_room(version, &c->properties));
	/* Version 3.1 has no such flag. */
	buf_add_u8(b, c->session_present && version != MQTT_V31);
	buf_add_u8(b, version >= MQTT_V5 ? c->reason :
	    mqtt_reason_v3(c->reason));
	if (version >= MQTT_V5)
		mqtt_properties_add(b, &c->properties);
}

enum mqtt_reason
mqtt_ack_get(const struct mqtt_frame *f, int version, struct mqtt_ack *a)
{
	struct slice s = f->body;
	enum mqtt_reason reason = MQTT_SUCCESS;

	a->reason = MQTT_SUCCESS;
	a->properties.set = 0;
	a->properties.raw = SLICE_EMPTY;
	if (!wire_get_u16(&s, &a->id))
		return MQTT_MALFORMED_PACKET;
	if (a->id == 0)
		return MQTT_PROTOCOL_ERROR;
	if (s.len == 0)
		return MQTT_SUCCESS;
	if (version < MQTT_V5)
		return MQTT_MALFORMED_PACKET;
	wire_get_u8(&s, &a->reason);
	if (!mqtt_reason_check(a->reason, f->type))
		return MQTT_PROTOCOL_ERROR;
	if (s.len > 0)
		reason = mqtt_properties_get(&s, f->type, &a->properties);
	if (reason == MQTT_SUCCESS && s.len > 0)
		reason = MQTT_MALFORMED_PACKET;
	return reason;
}

static uint8_t
ack_first(enum mqtt_packet type)
{
	return (uint8_t)(type << 4 | flags_of[type]);
}

uint8_t *
mqtt_ack_put(uint8_t *p, int version, enum mqtt_packet type, uint16_t id,
    uint8_t reason)
{
	bool with_reason = version >= MQTT_V5 && reason != MQTT_SUCCESS;

	*p++ = ack_first(type);
	*p++ = with_reason ? 3 : 2;
	p = wire_put_u16(p, id);
	if (with_reason)
		*p++ = reason;
	return p;
}

void
mqtt_ack_add(struct buf *b, int version, enum mqtt_packet type,
    const struct mqtt_ack *a)
{
	uint8_t *p;

	if (version < MQTT_V5 || mqtt_properties_size(&a->properties) == 0) {
		p = buf_reserve(b, MQTT_ACK_MAX);
		buf_commit(b, (size_t)(mqtt_ack_put(p, version, type, a->id,
		    a->reason) - p));
		return;
	}
	wire_add_header(b, ack_first(type),
	    3 + properties_room(version, &a->properties));
	buf_add_be16(b, a->id);
	buf_add_u8(b, a->reason);
	mqtt_properties_add(b, &a->properties);
}

enum mqtt_reason
mqtt_ping_get(const struct mqtt_frame *f)
{
	return f->body.len == 0 ? MQTT_SUCCESS : MQTT_MALFORMED_PACKET;
}

void
mqtt_ping_add(struct buf *b, enum mqtt_packet type)
{
	wire_add_header(b, (uint8_t)(type << 4), 0);
}

/* DISCONNECT and AUTH have one shape. */
static enum mqtt_reason
reason_get(const struct mqtt_frame *f, struct mqtt_disconnect *d)
{
	struct slice s = f->body;
	enum mqtt_reason reason = MQTT_SUCCESS;

	d->reason = MQTT_SUCCESS;
	d->properties = (struct mqtt_properties){0};
	if (s.len == 0)
		return MQTT_SUCCESS;
	wire_get_u8(&s, &d->reason);
	if (!mqtt_reason_check(d->reason, f->type))
		return MQTT_PROTOCOL_ERROR;
	if (s.len > 0)
		reason = mqtt_properties_get(&s, f->type, &d->properties);
	if (reason == MQTT_SUCCESS && s.len > 0)
		reason = MQTT_MALFORMED_PACKET;
	return reason;
}

static void
reason_add(struct buf *b, enum mqtt_packet type,
    const struct mqtt_disconnect *d)
{
	bool has_properties = mqtt_properties_size(&d->properties) > 0;
	uint8_t first = (uint8_t)(type << 4);

	if (!has_properties && d->reason == MQTT_SUCCESS) {
		wire_add_header(b, first, 0);
		return;
	}
	wire_add_header(b, first, 1 + (has_properties ?
	    properties_room(MQTT_V5, &d->properties) : 0));
	buf_add_u8(b, d->reason);
	if (has_properties)
		mqtt_properties_add(b, &d->properties);
}

enum mqtt_reason
mqtt_disconnect_get(const struct mqtt_frame *f, int version,
    struct mqtt_disconnect *d)
{
	if (version < MQTT_V5 && f->body.len > 0)
		return MQTT_MALFORMED_PACKET;
	return reason_get(f, d);
}

void
mqtt_disconnect_add(struct buf *b, int version,
    const struct mqtt_disconnect *d)
{
	if (version < MQTT_V5)
		wire_add_header(b, MQTT_DISCONNECT << 4, 0);
	else
		reason_add(b, MQTT_DISCONNECT, d);
}

enum mqtt_reason
mqtt_auth_get(const struct mqtt_frame *f, int version,
    struct mqtt_disconnect *d)
{
	enum mqtt_reason reason;

	if (version < MQTT_V5)
		return MQTT_MALFORMED_PACKET;
	reason = reason_get(f, d);
	if (reason != MQTT_SUCCESS)
		return reason;
	/* 3.15.2.2.2; a body of no bytes is success without properties */
	if (f->body.len > 0 && !mqtt_has(&d->properties,
	    MQTT_PROP_AUTHENTICATION_METHOD))
		return MQTT_PROTOCOL_ERROR;
	return MQTT_SUCCESS;
}

void
mqtt_auth_add(struct buf *b, const struct mqtt_disconnect *d)
{
	reason_add(b, MQTT_AUTH, d);
}
