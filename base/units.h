/*
 * units - sizes and times as people write them.
 *
 * Sizes: a number of bytes, or a number and KiB, MiB, GiB or TiB. Times: a
 * number and ms, s, m, h or d; `0` alone is allowed. A number is digits
 * with at most one point ("1.5GiB", "0.5s"). Both return false on anything
 * else and on what does not fit.
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool size_parse(const char *text, int64_t *bytes);
bool duration_parse(const char *text, int64_t *ms);
/* The shortest exact form, such as "7d" or "1536KiB". */
void size_format(int64_t bytes, char *out, size_t size);
void duration_format(int64_t ms, char *out, size_t size);

/* Whole decimal numbers, with sign; nothing before or after. */
bool int_parse(const char *text, int64_t *v);

/*
 * A time of RFC 3339 ("2026-01-31T12:00:00Z", with a fraction or an offset)
 * as milliseconds since 1970.
 */
bool time_parse(const char *text, int64_t *ms);

#endif
