#include "base/props.h"

void
props_add(struct buf *b, enum prop_tag tag, struct slice value)
{
	buf_add_u8(b, (uint8_t)tag);
	buf_add_be32(b, (uint32_t)value.len);
	buf_add_slice(b, value);
}

void
props_add_header(struct buf *b, struct slice name, struct slice value)
{
	buf_add_u8(b, PROP_HEADER);
	buf_add_be32(b, (uint32_t)(2 + name.len + value.len));
	buf_add_be16(b, (uint16_t)name.len);
	buf_add_slice(b, name);
	buf_add_slice(b, value);
}

int
props_next(struct slice *s, struct prop *prop)
{
	size_t len, name;

	if (s->len == 0)
		return 0;
	if (s->len < 5 || s->p[0] < PROP_FORMAT || s->p[0] > PROP_HEADER)
		return -1;
	len = (size_t)s->p[1] << 24 | (size_t)s->p[2] << 16 |
	    (size_t)s->p[3] << 8 | s->p[4];
	if (len > s->len - 5)
		return -1;
	prop->tag = (enum prop_tag)s->p[0];
	prop->name = SLICE_NULL;
	prop->value = slice_of(s->p + 5, len);
	if (prop->tag == PROP_HEADER) {
		if (len < 2)
			return -1;
		name = (size_t)s->p[5] << 8 | s->p[6];
		if (name > len - 2)
			return -1;
		prop->name = slice_of(s->p + 7, name);
		prop->value = slice_of(s->p + 7 + name, len - 2 - name);
	}
	*s = slice_of(s->p + 5 + len, s->len - 5 - len);
	return 1;
}
