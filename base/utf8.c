#include "base/utf8.h"

static bool
is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

size_t
utf8_len(struct slice s)
{
	const uint8_t *p = s.p;

	if (s.len == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2)
		return 0;
	if (p[0] < 0xe0)
		return s.len >= 2 && is_tail(p[1]) ? 2 : 0;
	if (p[0] < 0xf0) {
		if (s.len < 3 || !is_tail(p[1]) || !is_tail(p[2]))
			return 0;
		if ((p[0] == 0xe0 && p[1] < 0xa0) ||
		    (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (p[0] > 0xf4 || s.len < 4 || !is_tail(p[1]) || !is_tail(p[2]) ||
	    !is_tail(p[3]))
		return 0;
	if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return 4;
}

bool
utf8_check(struct slice s)
{
	uint64_t word;
	size_t n;

	while (s.len > 0) {
		if (s.len >= 8) {
			memcpy(&word, s.p, 8);
			if ((word & UINT64_C(0x8080808080808080)) == 0) {
				s.p += 8;
				s.len -= 8;
				continue;
			}
		}
		n = utf8_len(s);
		if (n == 0)
			return false;
		s.p += n;
		s.len -= n;
	}
	return true;
}
