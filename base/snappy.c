#include "base/snappy.h"

/* "\x82SNAPPY\0", then version and oldest compatible version. */
#define FRAME_MAGIC "\x82SNAPPY"
#define FRAME_HEADER 16u

enum { LITERAL = 0, COPY_1 = 1, COPY_2 = 2, COPY_4 = 3 };

/* Little-endian, n bytes, which must be there. */
static size_t
load_le(const uint8_t *p, size_t n)
{
	size_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (size_t)p[i] << (8 * i);
	return v;
}

/* The length in front of a raw block: a plain varint of 32 bits. */
static bool
length_get(struct slice *in, size_t *length)
{
	*length = 0;
	for (unsigned shift = 0; shift < 35 && in->len > 0; shift += 7) {
		uint8_t byte = *in->p;

		in->p++;
		in->len--;
		*length |= (size_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return *length <= UINT32_MAX;
	}
	return false;
}

/* What a tag says: a literal behind it, or bytes that were there before. */
struct element {
	size_t head;		/* bytes of tag and operands */
	size_t length;
	size_t distance;	/* 0: a literal */
};

static bool
element_get(struct slice in, struct element *e)
{
	uint8_t tag = in.p[0];
	size_t more = tag >> 2;

	*e = (struct element){.head = 1};
	switch (tag & 3) {
	case LITERAL:
		e->length = more + 1;
		if (more < 60)
			return true;
		e->head += more - 59;
		if (in.len < e->head)
			return false;
		e->length = load_le(in.p + 1, more - 59) + 1;
		return true;
	case COPY_1:
		e->head = 2;
		if (in.len < 2)
			return false;
		e->length = 4 + (more & 7);
		e->distance = (size_t)(tag >> 5) << 8 | in.p[1];
		break;
	case COPY_2:
	case COPY_4:
		e->head = (tag & 3) == COPY_2 ? 3 : 5;
		if (in.len < e->head)
			return false;
		e->length = more + 1;
		e->distance = load_le(in.p + 1, e->head - 1);
		break;
	}
	return e->distance > 0;
}

static bool
block_inflate(struct slice in, size_t max, struct buf *out)
{
	struct element e;
	size_t length, done = 0;
	uint8_t *to;

	if (!length_get(&in, &length) || length > max)
		return false;
	to = buf_reserve(out, length);
	while (in.len > 0) {
		if (!element_get(in, &e) || e.length > length - done ||
		    e.distance > done)
			return false;
		in.p += e.head;
		in.len -= e.head;
		if (e.distance > 0) {
			/* They may overlap: one by one, on purpose. */
			for (size_t i = 0; i < e.length; i++, done++)
				to[done] = to[done - e.distance];
			continue;
		}
		if (e.length > in.len)
			return false;
		memcpy(to + done, in.p, e.length);
		done += e.length;
		in.p += e.length;
		in.len -= e.length;
	}
	buf_commit(out, done);
	return done == length;
}

static size_t
load_be32(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

bool
snappy_inflate(struct slice in, size_t max, struct buf *out)
{
	size_t before = buf_len(out);

	if (in.len < FRAME_HEADER ||
	    memcmp(in.p, FRAME_MAGIC, sizeof(FRAME_MAGIC)) != 0)
		return block_inflate(in, max, out);
	in = slice_of(in.p + FRAME_HEADER, in.len - FRAME_HEADER);
	while (in.len > 0) {
		size_t size;

		if (in.len < 4)
			return false;
		size = load_be32(in.p);
		if (size > in.len - 4 ||
		    !block_inflate(slice_of(in.p + 4, size),
			max - (buf_len(out) - before), out))
			return false;
		in = slice_of(in.p + 4 + size, in.len - 4 - size);
	}
	return true;
}
