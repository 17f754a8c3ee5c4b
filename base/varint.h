/*
 * varint - zigzag variable-length integers, as Kafka's records have them.
 *
 * get advances *p and never reads at or beyond end; false: cut short or
 * longer than 64 bits.
 */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t
varint_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline size_t
varint_size(int64_t v)
{
	unsigned bits = 64 -
	    (unsigned)__builtin_clzll(varint_zigzag(v) | 1);

	return (bits + 6) / 7;
}

/* Writes at p, at most 10 bytes; returns where it ends. */
static inline uint8_t *
varint_put(uint8_t *p, int64_t v)
{
	uint64_t u = varint_zigzag(v);

	while (u >= 0x80) {
		*p++ = (uint8_t)(u | 0x80);
		u >>= 7;
	}
	*p++ = (uint8_t)u;
	return p;
}

static inline bool
varint_get(const uint8_t **p, const uint8_t *end, int64_t *out)
{
	uint64_t u = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (*p == end)
			return false;
		byte = *(*p)++;
		if (shift == 63 && byte > 1)
			return false;
		u |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*out = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
			return true;
		}
	}
	return false;
}

#endif
