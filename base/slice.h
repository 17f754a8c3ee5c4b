/*
 * slice - a loan of some bytes.
 *
 * A slice owns nothing: it is valid as long as what it points into. An
 * absent value (null in a protocol) is a slice whose p is NULL; an empty
 * one has a p that is not NULL and len 0.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *p;
	size_t len;
};

#define SLICE_NULL ((struct slice){NULL, 0})
#define SLICE_EMPTY ((struct slice){(const uint8_t *)"", 0})
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (const char *)(s).p

static inline struct slice
slice_of(const void *p, size_t len)
{
	return (struct slice){(const uint8_t *)p, len};
}

static inline struct slice
slice_str(const char *s)
{
	return (struct slice){(const uint8_t *)s, s != NULL ? strlen(s) : 0};
}

static inline bool
slice_is_null(struct slice s)
{
	return s.p == NULL;
}

static inline bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool
slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

/* A NUL-terminated copy on the heap; the caller frees it. */
char *slice_dup(struct slice s);

#endif
