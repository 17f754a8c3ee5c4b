#include "connector-worker/excerpt.h"

#include "base/utf8.h"

#include <ctype.h>

static struct slice
trimmed(struct slice s)
{
	while (s.len > 0 && isspace(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && isspace(s.p[0])) {
		s.p++;
		s.len--;
	}
	return s;
}

void
excerpt_add(struct buf *out, struct slice text, size_t max)
{
	size_t added = 0;

	text = trimmed(text);
	while (text.len > 0) {
		size_t n = utf8_len(text);
		bool is_plain =
		    n > 1 || (n == 1 && text.p[0] >= ' ' && text.p[0] != 0x7f);

		if (n == 0)
			n = 1;
		if (added + n > max)
			break;
		if (is_plain)
			buf_add(out, text.p, n);
		else
			buf_add_u8(out, isspace(text.p[0]) ? ' ' : '.');
		added += n;
		text.p += n;
		text.len -= n;
	}
}
