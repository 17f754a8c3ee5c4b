#include "proto/mqtt/wire.h"

#include "proto/mqtt/utf8.h"

#include <assert.h>

bool
wire_get_string(struct slice *s, struct slice *v)
{
	return wire_get_bytes(s, v) && mqtt_utf8_check(*v);
}

bool
wire_get_varint(struct slice *s, uint32_t *v)
{
	uint32_t value = 0;
	size_t i;

	for (i = 0; i < 4 && i < s->len; i++) {
		value |= (uint32_t)(s->p[i] & 0x7f) << (7 * i);
		if ((s->p[i] & 0x80) != 0)
			continue;
		/* A last byte of zero says that one less would have done. */
		if (i > 0 && s->p[i] == 0)
			return false;
		s->p += i + 1;
		s->len -= i + 1;
		*v = value;
		return true;
	}
	return false;
}

void
wire_add_varint(struct buf *b, uint32_t v)
{
	uint8_t *p = buf_reserve(b, 4);

	buf_commit(b, (size_t)(wire_put_varint(p, v) - p));
}

void
wire_add_bytes(struct buf *b, struct slice s)
{
	assert(s.len <= UINT16_MAX);
	buf_add_be16(b, (uint16_t)s.len);
	buf_add_slice(b, s);
}

void
wire_add_header(struct buf *b, uint8_t first, size_t remaining)
{
	assert(remaining <= MQTT_VARINT_MAX);
	buf_add_u8(b, first);
	wire_add_varint(b, (uint32_t)remaining);
}
