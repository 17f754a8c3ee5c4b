#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *
slice_dup(struct slice s)
{
	char *p = mem_alloc(s.len + 1);

	if (s.len > 0)
		memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return p;
}

void
buf_init(struct buf *b)
{
	*b = (struct buf){0};
}

void
buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}

uint8_t *
buf_grow(struct buf *b, size_t n)
{
	size_t used = b->len - b->off, cap;

	if (b->off > 0) {
		memmove(b->p, b->p + b->off, used);
		b->off = 0;
		b->len = used;
		/* Sliding pays only if it does not come again at once. */
		if (b->cap - used >= n && used <= b->cap / 2)
			return b->p + b->len;
	}
	cap = b->cap == 0 ? 256 : b->cap;
	while (cap - used < n)
		cap *= 2;
	b->p = mem_realloc(b->p, cap);
	b->cap = cap;
	return b->p + b->len;
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n > 0) {
		vsnprintf((char *)buf_reserve(b, (size_t)n + 1), (size_t)n + 1,
		    fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void
buf_add_be16(struct buf *b, uint16_t v)
{
	uint8_t *p = buf_reserve(b, 2);

	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	b->len += 2;
}

void
buf_add_be32(struct buf *b, uint32_t v)
{
	buf_add_be16(b, (uint16_t)(v >> 16));
	buf_add_be16(b, (uint16_t)v);
}

void
buf_add_be64(struct buf *b, uint64_t v)
{
	buf_add_be32(b, (uint32_t)(v >> 32));
	buf_add_be32(b, (uint32_t)v);
}

void
buf_consume(struct buf *b, size_t n)
{
	b->off += n;
	if (b->off == b->len)
		b->off = b->len = 0;
}

void
buf_clear(struct buf *b)
{
	b->off = b->len = 0;
}

void
buf_trim(struct buf *b, size_t keep)
{
	buf_clear(b);
	if (b->cap > keep) {
		free(b->p);
		b->p = NULL;
		b->cap = 0;
	}
}

const char *
buf_cstr(struct buf *b)
{
	*buf_reserve(b, 1) = '\0';
	return (const char *)b->p + b->off;
}
