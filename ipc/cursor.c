#include "ipc/cursor.h"

static inline bool
cursor_has(const struct cursor *c, size_t n)
{
	return n <= (size_t)(c->end - c->p);
}

/* Reads an n-byte big-endian number. */
static inline bool
cursor_be(struct cursor *c, size_t n, uint64_t *v)
{
	uint64_t x = 0;

	if (!cursor_has(c, n))
		return false;
	for (size_t i = 0; i < n; i++)
		x = x << 8 | c->p[i];
	c->p += n;
	*v = x;
	return true;
}

bool
cursor_get_uint(struct cursor *c, uint64_t *v, uint64_t low, uint64_t high)
{
	uint8_t tag;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p++;
	if (tag < 0x80)
		*v = tag;
	else if (tag < 0xcc || tag > 0xcf)
		return false;
	else if (!cursor_be(c, (size_t)1 << (tag - 0xcc), v))
		return false;
	return *v >= low && *v <= high;
}

bool
cursor_get_int(struct cursor *c, int64_t *v, int64_t low, int64_t high)
{
	uint64_t x;
	uint8_t tag;
	size_t n;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p;
	if (tag >= 0xe0) {
		c->p++;
		*v = (int8_t)tag;
	} else if (tag >= 0xd0 && tag <= 0xd3) {
		c->p++;
		n = (size_t)1 << (tag - 0xd0);
		if (!cursor_be(c, n, &x))
			return false;
		*v = n == 8 ? (int64_t)x
			    : (int64_t)(x << (64 - 8 * n)) >> (64 - 8 * n);
	} else {
		if (!cursor_get_uint(c, &x, 0, INT64_MAX))
			return false;
		*v = (int64_t)x;
	}
	return *v >= low && *v <= high;
}

static inline bool
cursor_bytes(struct cursor *c, struct slice *s, uint64_t n, size_t low,
    size_t high)
{
	if (n < low || n > high || !cursor_has(c, (size_t)n))
		return false;
	*s = slice_of(c->p, (size_t)n);
	c->p += n;
	return true;
}

bool
cursor_get_str(struct cursor *c, struct slice *s, size_t low, size_t high)
{
	uint64_t n;
	uint8_t tag;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p++;
	if (tag >= 0xa0 && tag <= 0xbf)
		return cursor_bytes(c, s, tag & 0x1f, low, high);
	if (tag < 0xd9 || tag > 0xdb ||
	    !cursor_be(c, (size_t)1 << (tag - 0xd9), &n))
		return false;
	return cursor_bytes(c, s, n, low, high);
}

bool
cursor_get_bin(struct cursor *c, struct slice *s, size_t low, size_t high)
{
	uint64_t n;
	uint8_t tag;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p++;
	if (tag == 0xc0) {
		*s = SLICE_NULL;
		return true;
	}
	if (tag < 0xc4 || tag > 0xc6 ||
	    !cursor_be(c, (size_t)1 << (tag - 0xc4), &n))
		return false;
	return cursor_bytes(c, s, n, low, high);
}

bool
cursor_get_array(struct cursor *c, uint32_t *count)
{
	uint64_t n;
	uint8_t tag;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p++;
	if ((tag & 0xf0) == 0x90)
		n = tag & 0x0f;
	else if (tag != 0xdc && tag != 0xdd)
		return false;
	else if (!cursor_be(c, tag == 0xdc ? 2 : 4, &n))
		return false;
	/* An item takes at least a byte: a count beyond is a lie. */
	if (!cursor_has(c, (size_t)n))
		return false;
	*count = (uint32_t)n;
	return true;
}

bool
cursor_skip(struct cursor *c, unsigned depth)
{
	struct slice s;
	uint64_t u;
	int64_t i;
	uint32_t n;
	uint8_t tag;

	if (!cursor_has(c, 1))
		return false;
	tag = *c->p;
	if (tag == 0xc0 || (tag >= 0xc4 && tag <= 0xc6))
		return cursor_get_bin(c, &s, 0, SIZE_MAX);
	if ((tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb))
		return cursor_get_str(c, &s, 0, SIZE_MAX);
	if (tag < 0x80 || (tag >= 0xcc && tag <= 0xcf))
		return cursor_get_uint(c, &u, 0, UINT64_MAX);
	if (tag >= 0xe0 || (tag >= 0xd0 && tag <= 0xd3))
		return cursor_get_int(c, &i, INT64_MIN, INT64_MAX);
	if (depth == 0 || !cursor_get_array(c, &n))
		return false;
	while (n-- > 0)
		if (!cursor_skip(c, depth - 1))
			return false;
	return true;
}
