/*
 * wire - the data types of the specification, read from a slice.
 *
 * Implements MQTT 5, 1.5. A get answers false where the bytes end too soon
 * or are not well formed, and then leaves the rest where it was not.
 */
#ifndef PROTO_MQTT_WIRE_H
#define PROTO_MQTT_WIRE_H

#include "base/buf.h"
#include "base/slice.h"

#define MQTT_VARINT_MAX 268435455u

static inline bool
wire_get_u8(struct slice *s, uint8_t *v)
{
	if (s->len < 1)
		return false;
	*v = s->p[0];
	s->p++;
	s->len--;
	return true;
}

static inline uint16_t
wire_peek_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline bool
wire_get_u16(struct slice *s, uint16_t *v)
{
	if (s->len < 2)
		return false;
	*v = wire_peek_u16(s->p);
	s->p += 2;
	s->len -= 2;
	return true;
}

static inline bool
wire_get_u32(struct slice *s, uint32_t *v)
{
	if (s->len < 4)
		return false;
	*v = (uint32_t)wire_peek_u16(s->p) << 16 | wire_peek_u16(s->p + 2);
	s->p += 4;
	s->len -= 4;
	return true;
}

/* Length and that many bytes. */
static inline bool
wire_get_bytes(struct slice *s, struct slice *v)
{
	size_t n;

	if (s->len < 2)
		return false;
	n = wire_peek_u16(s->p);
	if (n > s->len - 2)
		return false;
	*v = slice_of(s->p + 2, n);
	s->p += 2 + n;
	s->len -= 2 + n;
	return true;
}

/* The same, and good UTF-8. */
bool wire_get_string(struct slice *s, struct slice *v);
/* A variable byte integer in its shortest form [MQTT-1.5.5-1]. */
bool wire_get_varint(struct slice *s, uint32_t *v);

static inline size_t
wire_varint_size(uint32_t v)
{
	return v < 128 ? 1 : v < 16384 ? 2 : v < 2097152 ? 3 : 4;
}

static inline uint8_t *
wire_put_varint(uint8_t *p, uint32_t v)
{
	while (v >= 128) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline uint8_t *
wire_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static inline uint8_t *
wire_put_u32(uint8_t *p, uint32_t v)
{
	return wire_put_u16(wire_put_u16(p, (uint16_t)(v >> 16)),
	    (uint16_t)v);
}

void wire_add_varint(struct buf *b, uint32_t v);
/* Two bytes of length and the bytes; s.len is at most 65,535. */
void wire_add_bytes(struct buf *b, struct slice s);
/* A fixed header: the first byte and the remaining length. */
void wire_add_header(struct buf *b, uint8_t first, size_t remaining);

#endif
