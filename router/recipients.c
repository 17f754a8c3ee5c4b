#include "router/recipients.h"

static void
put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 0x80));
	buf_add_u8(b, (uint8_t)v);
}

static bool
get_varint(struct slice *s, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && s->len > 0; shift += 7) {
		uint8_t c = *s->p++;

		s->len--;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if ((c & 0x80) == 0)
			return true;
	}
	return false;
}

void
recipients_add(struct buf *b, uint64_t session, uint64_t seq, uint8_t flags,
    const uint32_t *ids, uint32_t ids_len)
{
	put_varint(b, session);
	put_varint(b, seq);
	buf_add_u8(b, flags);
	put_varint(b, ids_len);
	for (uint32_t i = 0; i < ids_len; i++)
		put_varint(b, ids[i]);
}

void
recipients_copy(struct buf *b, const struct recipient *r)
{
	put_varint(b, r->session);
	put_varint(b, r->seq);
	buf_add_u8(b, r->flags);
	put_varint(b, r->ids_len);
	buf_add_slice(b, r->ids);
}

int
recipients_next(struct slice *s, struct recipient *r)
{
	const uint8_t *start;
	uint64_t n, id;

	if (s->len == 0)
		return 0;
	if (!get_varint(s, &r->session) || !get_varint(s, &r->seq) ||
	    s->len == 0)
		return -1;
	r->flags = *s->p++;
	s->len--;
	if (!get_varint(s, &n) || n > s->len)
		return -1;
	start = s->p;
	for (uint64_t i = 0; i < n; i++)
		if (!get_varint(s, &id))
			return -1;
	r->ids = slice_of(start, (size_t)(s->p - start));
	r->ids_len = (uint32_t)n;
	return 1;
}

bool
recipients_find(
    struct slice s, uint64_t session, uint64_t seq, struct recipient *r)
{
	while (recipients_next(&s, r) == 1)
		if (r->session == session && r->seq == seq)
			return true;
	return false;
}

bool
recipient_ids(const struct recipient *r, struct buf *out)
{
	struct slice s = r->ids;
	uint64_t id;

	for (uint32_t i = 0; i < r->ids_len; i++) {
		if (!get_varint(&s, &id) || id > UINT32_MAX)
			return false;
		buf_add_be32(out, (uint32_t)id);
	}
	return true;
}
