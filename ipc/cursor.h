/*
 * cursor - reads typed msgpack values out of a body, bounds-checked.
 *
 * Each cursor_get_* takes one value of exactly that type and returns false,
 * without having read past the end, when it is absent, of another type or
 * out of its bounds. Slices point into the body.
 */
#ifndef IPC_CURSOR_H
#define IPC_CURSOR_H

#include "base/slice.h"

struct cursor {
	const uint8_t *p, *end;
};

bool cursor_get_uint(
    struct cursor *c, uint64_t *v, uint64_t low, uint64_t high);
bool cursor_get_int(struct cursor *c, int64_t *v, int64_t low, int64_t high);
bool cursor_get_str(struct cursor *c, struct slice *s, size_t low, size_t high);
/* A nil is a null slice, whatever the lower bound. */
bool cursor_get_bin(struct cursor *c, struct slice *s, size_t low, size_t high);
bool cursor_get_array(struct cursor *c, uint32_t *count);
/* Steps over one value of any type; at most depth arrays and maps deep. */
bool cursor_skip(struct cursor *c, unsigned depth);

#endif
