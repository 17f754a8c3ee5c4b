/*
 * buf - a growable run of bytes: append at the end, consume at the front.
 *
 * The buf owns its memory. Growth that fails for want of memory aborts:
 * what grows at a peer's will must be bounded by the caller before it adds.
 * Pointers into it are valid until the next add, reserve or free.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
	uint8_t *p;	/* the memory, NULL when there is none */
	size_t off;	/* first byte not yet consumed */
	size_t len;	/* end of what was added, from p */
	size_t cap;
};

void buf_init(struct buf *b);
void buf_fini(struct buf *b);

/* What buf_reserve does when there is no room. */
uint8_t *buf_grow(struct buf *b, size_t n);
/* Room for n more bytes at the end; returns where they start. */
static inline uint8_t *
buf_reserve(struct buf *b, size_t n)
{
	if (__builtin_expect(b->cap - b->len >= n && b->p != NULL, 1))
		return b->p + b->len;
	return buf_grow(b, n);
}
/* Counts n bytes, written at what buf_reserve returned, as added. */
static inline void
buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}
static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(buf_reserve(b, n), p, n);
	b->len += n;
}
static inline void
buf_add_slice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.len);
}
static inline void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static inline void
buf_add_u8(struct buf *b, uint8_t v)
{
	*buf_reserve(b, 1) = v;
	b->len++;
}
void buf_add_be16(struct buf *b, uint16_t v);
void buf_add_be32(struct buf *b, uint32_t v);
void buf_add_be64(struct buf *b, uint64_t v);

static inline size_t
buf_len(const struct buf *b)
{
	return b->len - b->off;
}
static inline const uint8_t *
buf_data(const struct buf *b)
{
	return b->p == NULL ? (const uint8_t *)"" : b->p + b->off;
}
static inline struct slice
buf_slice(const struct buf *b)
{
	return slice_of(buf_data(b), buf_len(b));
}
/* Drops n bytes at the front; an empty buf starts again at its beginning. */
void buf_consume(struct buf *b, size_t n);
/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
/* Empties it and gives memory beyond keep bytes back. */
void buf_trim(struct buf *b, size_t keep);
/* The bytes as a NUL-terminated string (the NUL is not counted). */
const char *buf_cstr(struct buf *b);

#endif
