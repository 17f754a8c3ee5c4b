#include "acceptor/mqtt/window.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define CAP_MIN 16
#define CAP_KEPT 256	/* memory that an empty window may keep */

void
window_fini(struct window *w)
{
	free(w->state);
	*w = (struct window){0};
}

static uint8_t *
slot(const struct window *w, uint64_t seq)
{
	return &w->state[seq & (w->cap - 1)];
}

static void
window_grow(struct window *w, uint32_t span)
{
	struct window new = *w;
	uint64_t seq;

	new.cap = w->cap == 0 ? CAP_MIN : w->cap;
	while (new.cap < span)
		new.cap *= 2;
	new.state = mem_zalloc(new.cap, 1);
	for (seq = w->base; seq != w->base + w->span; seq++)
		*slot(&new, seq) = *slot(w, seq);
	free(w->state);
	*w = new;
}

bool
window_may_add(const struct window *w, uint64_t seq)
{
	if (w->count == 0)
		return true;
	if (seq >= w->base)
		return seq - w->base < WINDOW_SPAN_MAX;
	return w->base + w->span - seq <= WINDOW_SPAN_MAX;
}

void
window_add(struct window *w, uint64_t seq, enum window_state state)
{
	uint64_t first = w->base, end = w->base + w->span, at;

	bug_on(state == WINDOW_FREE || !window_may_add(w, seq));
	if (w->count == 0)
		first = end = w->base = seq;
	w->span = (uint32_t)(end - first);
	if (seq < first)
		first = seq;
	if (seq >= end)
		end = seq + 1;
	if (end - first > w->cap)
		window_grow(w, (uint32_t)(end - first));
	/* What the span takes in anew is free, whatever stood there. */
	for (at = first; at < w->base; at++)
		*slot(w, at) = WINDOW_FREE;
	for (at = w->base + w->span; at < end; at++)
		*slot(w, at) = WINDOW_FREE;
	w->base = first;
	w->span = (uint32_t)(end - first);
	if (*slot(w, seq) == WINDOW_FREE)
		w->count++;
	*slot(w, seq) = (uint8_t)state;
}

enum window_state
window_get(const struct window *w, uint64_t seq)
{
	if (seq < w->base || seq - w->base >= w->span)
		return WINDOW_FREE;
	return (enum window_state)*slot(w, seq);
}

void
window_set(struct window *w, uint64_t seq, enum window_state state)
{
	bug_on(window_get(w, seq) == WINDOW_FREE || state == WINDOW_FREE);
	*slot(w, seq) = (uint8_t)state;
}

bool
window_find(const struct window *w, uint16_t id, uint64_t *seq)
{
	uint64_t base_at, offset;

	if (w->count == 0 || id == 0)
		return false;
	base_at = w->base % 65535;
	offset = ((uint64_t)id - 1 + 65535 - base_at) % 65535;
	if (offset >= w->span)
		return false;
	*seq = w->base + offset;
	return *slot(w, *seq) != WINDOW_FREE;
}

void
window_remove(struct window *w, uint64_t seq)
{
	bug_on(window_get(w, seq) == WINDOW_FREE);
	*slot(w, seq) = WINDOW_FREE;
	w->count--;
	while (w->span > 0 && *slot(w, w->base) == WINDOW_FREE) {
		w->base++;
		w->span--;
	}
	if (w->count == 0 && w->cap > CAP_KEPT) {
		free(w->state);
		w->state = NULL;
		w->cap = 0;
	}
}

bool
window_next(const struct window *w, uint64_t *seq)
{
	uint64_t at = *seq < w->base ? w->base : *seq;

	for (; at < w->base + w->span; at++) {
		if (*slot(w, at) == WINDOW_FREE)
			continue;
		*seq = at;
		return true;
	}
	return false;
}
