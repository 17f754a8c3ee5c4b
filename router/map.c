#include "router/map.h"

#include "base/mem.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAP_MIN 16

uint64_t
map_hash(struct slice key)
{
	return XXH3_64bits(key.p, key.len);
}

uint64_t
map_hash_u64(uint64_t key)
{
	key ^= key >> 33;
	key *= UINT64_C(0xff51afd7ed558ccd);
	key ^= key >> 33;
	key *= UINT64_C(0xc4ceb9fe1a85ec53);
	return key ^ key >> 33;
}

void
map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){0};
}

void
map_clear(struct map *m)
{
	if (m->slots != NULL)
		memset(m->slots, 0, (m->mask + 1) * sizeof(*m->slots));
	m->count = 0;
}

void *
map_find(const struct map *m, uint64_t hash, map_eq *eq, const void *key)
{
	size_t i;

	if (m->count == 0)
		return NULL;
	for (i = hash & m->mask; m->slots[i].value != NULL;
	     i = (i + 1) & m->mask)
		if (m->slots[i].hash == hash && eq(m->slots[i].value, key))
			return m->slots[i].value;
	return NULL;
}

static void
map_place(struct map *m, uint64_t hash, void *value)
{
	size_t i = hash & m->mask;

	while (m->slots[i].value != NULL)
		i = (i + 1) & m->mask;
	m->slots[i] = (struct map_slot){hash, value};
}

static void
map_grow(struct map *m)
{
	struct map_slot *old = m->slots;
	size_t n = old == NULL ? 0 : m->mask + 1;
	size_t cap = n == 0 ? MAP_MIN : n * 2;

	m->slots = mem_zalloc(cap, sizeof(*m->slots));
	m->mask = cap - 1;
	for (size_t i = 0; i < n; i++)
		if (old[i].value != NULL)
			map_place(m, old[i].hash, old[i].value);
	free(old);
}

void
map_add(struct map *m, uint64_t hash, void *value)
{
	if (m->slots == NULL || m->count >= (m->mask + 1) / 4 * 3)
		map_grow(m);
	map_place(m, hash, value);
	m->count++;
}

/* Closes the gap: what hashed to it or before it moves back (Knuth, 6.4 R). */
static void
map_close(struct map *m, size_t gap)
{
	size_t i = gap;

	for (;;) {
		size_t home;

		i = (i + 1) & m->mask;
		if (m->slots[i].value == NULL)
			break;
		home = m->slots[i].hash & m->mask;
		if (((i - home) & m->mask) < ((i - gap) & m->mask))
			continue;
		m->slots[gap] = m->slots[i];
		gap = i;
	}
	m->slots[gap].value = NULL;
}

bool
map_remove(struct map *m, uint64_t hash, const void *value)
{
	size_t i;

	if (m->count == 0)
		return false;
	for (i = hash & m->mask; m->slots[i].value != NULL;
	     i = (i + 1) & m->mask) {
		if (m->slots[i].value != value)
			continue;
		map_close(m, i);
		m->count--;
		return true;
	}
	return false;
}

void *
map_next(const struct map *m, size_t *i)
{
	if (m->slots == NULL)
		return NULL;
	while (*i <= m->mask) {
		void *value = m->slots[(*i)++].value;

		if (value != NULL)
			return value;
	}
	return NULL;
}
