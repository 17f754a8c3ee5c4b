#include "proto/mqtt/utf8.h"

#define HIGH_BITS 0x8080808080808080ull
#define LOW_BITS 0x0101010101010101ull

/* Bytes at the front that are ASCII and not NUL. */
static size_t
ascii_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	uint64_t w;

	for (; n - i >= 8; i += 8) {
		memcpy(&w, p + i, 8);
		/* A zero byte borrows into its own high bit. */
		if (((w | (w - LOW_BITS)) & HIGH_BITS) != 0)
			break;
	}
	while (i < n && p[i] != 0 && p[i] < 0x80)
		i++;
	return i;
}

static bool
is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at p (Unicode, table 3-7), or 0. */
static size_t
sequence_len(const uint8_t *p, size_t n)
{
	if (p[0] < 0xc2)
		return 0;
	if (p[0] < 0xe0)
		return n >= 2 && is_tail(p[1]) ? 2 : 0;
	if (p[0] < 0xf0) {
		if (n < 3 || !is_tail(p[1]) || !is_tail(p[2]))
			return 0;
		if (p[0] == 0xe0 && p[1] < 0xa0)
			return 0;
		return p[0] == 0xed && p[1] > 0x9f ? 0 : 3;
	}
	if (p[0] > 0xf4 || n < 4 || !is_tail(p[1]) || !is_tail(p[2]) ||
	    !is_tail(p[3]))
		return 0;
	if (p[0] == 0xf0 && p[1] < 0x90)
		return 0;
	return p[0] == 0xf4 && p[1] > 0x8f ? 0 : 4;
}

bool
mqtt_utf8_check(struct slice s)
{
	size_t i = 0, len;

	for (;;) {
		i += ascii_run(s.p + i, s.len - i);
		if (i == s.len)
			return true;
		len = sequence_len(s.p + i, s.len - i);
		if (len == 0)
			return false;
		i += len;
	}
}
