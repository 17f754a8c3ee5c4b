#include "proto/http/request.h"

static int
hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
http_unescape(struct slice in, bool plus_is_space, struct buf *out)
{
	int hi, lo;

	for (size_t i = 0; i < in.len; i++) {
		uint8_t c = in.p[i];

		if (c == '+' && plus_is_space)
			c = ' ';
		if (c == '%') {
			if (in.len - i < 3 || (hi = hex_value(in.p[i + 1])) < 0 ||
			    (lo = hex_value(in.p[i + 2])) < 0)
				return false;
			c = (uint8_t)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0')
			return false;
		buf_add_u8(out, c);
	}
	return true;
}

bool
http_query_next(struct slice *query, struct slice *name, struct slice *value)
{
	const uint8_t *end, *mark;

	while (query->len > 0 && query->p[0] == '&')
		*query = slice_of(query->p + 1, query->len - 1);
	if (query->len == 0)
		return false;
	end = memchr(query->p, '&', query->len);
	if (end == NULL)
		end = query->p + query->len;
	mark = memchr(query->p, '=', (size_t)(end - query->p));
	*name = slice_of(query->p,
	    (size_t)((mark == NULL ? end : mark) - query->p));
	*value = mark == NULL ? SLICE_EMPTY :
	    slice_of(mark + 1, (size_t)(end - mark - 1));
	*query = slice_of(end, query->len - (size_t)(end - query->p));
	return true;
}
