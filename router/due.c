#include "router/due.h"

#include "base/mem.h"

#include <stdlib.h>

void
due_fini(struct due *d)
{
	free(d->heap);
	*d = (struct due){0};
}

void
due_add(struct due *d, uint64_t at_ms, uint64_t id)
{
	size_t i;

	if (d->len == d->cap) {
		d->cap = d->cap == 0 ? 16 : d->cap * 2;
		d->heap = mem_realloc(d->heap, d->cap * sizeof(*d->heap));
	}
	for (i = d->len++; i > 0; i = (i - 1) / 2) {
		if (d->heap[(i - 1) / 2].at_ms <= at_ms)
			break;
		d->heap[i] = d->heap[(i - 1) / 2];
	}
	d->heap[i] = (struct due_entry){at_ms, id};
}

bool
due_take(struct due *d, uint64_t now_ms, uint64_t *id)
{
	struct due_entry last;
	size_t i = 0, child;

	if (d->len == 0 || d->heap[0].at_ms > now_ms)
		return false;
	*id = d->heap[0].id;
	last = d->heap[--d->len];
	while ((child = 2 * i + 1) < d->len) {
		if (child + 1 < d->len &&
		    d->heap[child + 1].at_ms < d->heap[child].at_ms)
			child++;
		if (d->heap[child].at_ms >= last.at_ms)
			break;
		d->heap[i] = d->heap[child];
		i = child;
	}
	if (d->len > 0)
		d->heap[i] = last;
	return true;
}
