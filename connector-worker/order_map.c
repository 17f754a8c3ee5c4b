#include "connector-worker/order_map.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void
order_map_fini(struct order_map *m)
{
	free(m->entries);
	*m = (struct order_map){0};
}

void
order_map_clear(struct order_map *m)
{
	if (m->used > 0)
		memset(m->entries, 0, m->size * sizeof(*m->entries));
	m->used = 0;
}

/* The entry of the order or the empty one where it belongs. */
static struct order_entry *
entry_of(const struct order_map *m, uint64_t order)
{
	size_t at = (size_t)((order * 0x9e3779b97f4a7c15u) >> 32);

	for (;; at++) {
		struct order_entry *e = &m->entries[at & (m->size - 1)];

		if (e->order == order || e->order == 0)
			return e;
	}
}

static void
order_map_grow(struct order_map *m)
{
	struct order_map old = *m;

	m->size = old.size == 0 ? 64 : old.size * 2;
	m->entries = mem_zalloc(m->size, sizeof(*m->entries));
	for (size_t i = 0; i < old.size; i++)
		if (old.entries[i].order != 0)
			*entry_of(m, old.entries[i].order) = old.entries[i];
	free(old.entries);
}

void **
order_map_add(struct order_map *m, uint64_t order)
{
	struct order_entry *e;

	if (m->used * 2 >= m->size)
		order_map_grow(m);
	e = entry_of(m, order);
	if (e->order == 0) {
		e->order = order;
		m->used++;
	}
	return &e->value;
}

void *
order_map_find(const struct order_map *m, uint64_t order)
{
	return m->size == 0 ? NULL : entry_of(m, order)->value;
}
