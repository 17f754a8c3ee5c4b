/* clock - milliseconds and microseconds, wall and monotonic. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_wall_ms(void);	/* since 1970, UTC */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* "2026-01-31T12:00:00.123Z"; buf of at least 32 bytes. Returns buf. */
char *clock_rfc3339(uint64_t wall_ms, char *buf, size_t cap);
/* 64 random bits from the kernel, never 0. */
uint64_t random_u64(void);

#endif
