#include "connector-worker/keys.h"

#include "base/mem.h"

#include <stdlib.h>

#define TABLE_MIN 64

/* Open addressing; an empty slot has no owner, count and line. */
struct keys {
	struct key_entry *table;
	bool *is_used;
	size_t mask;
	size_t used;
};

static void
table_make(struct keys *k, size_t size)
{
	k->table = mem_zalloc(size, sizeof(*k->table));
	k->is_used = mem_zalloc(size, sizeof(*k->is_used));
	k->mask = size - 1;
}

struct keys *
keys_new(void)
{
	struct keys *k = mem_zalloc(1, sizeof(*k));

	table_make(k, TABLE_MIN);
	return k;
}

void
keys_free(struct keys *k)
{
	if (k == NULL)
		return;
	free(k->table);
	free(k->is_used);
	free(k);
}

size_t
keys_count(const struct keys *k)
{
	return k->used;
}

static size_t
slot_find(const struct keys *k, uint64_t hash)
{
	size_t i = (size_t)(hash ^ hash >> 32) & k->mask;

	while (k->is_used[i] && k->table[i].hash != hash)
		i = (i + 1) & k->mask;
	return i;
}

/* An entry that moved: an empty line points at the entry itself. */
static void
slot_put(struct keys *k, size_t i, const struct key_entry *e)
{
	k->table[i] = *e;
	k->is_used[i] = true;
	if (e->first == NULL)
		k->table[i].last = &k->table[i].first;
}

static void
table_resize(struct keys *k, size_t size)
{
	struct key_entry *old = k->table;
	bool *was_used = k->is_used;
	size_t n = k->mask + 1, i;

	table_make(k, size);
	for (i = 0; i < n; i++)
		if (was_used[i])
			slot_put(k, slot_find(k, old[i].hash), &old[i]);
	free(old);
	free(was_used);
}

struct key_entry *
keys_add(struct keys *k, uint64_t hash)
{
	struct key_entry fresh = {.hash = hash};
	size_t i = slot_find(k, hash);

	if (k->is_used[i])
		return &k->table[i];
	if ((k->used + 1) * 4 > (k->mask + 1) * 3) {
		table_resize(k, (k->mask + 1) * 2);
		i = slot_find(k, hash);
	}
	slot_put(k, i, &fresh);
	k->used++;
	return &k->table[i];
}

struct key_entry *
keys_find(struct keys *k, uint64_t hash)
{
	size_t i = slot_find(k, hash);

	return k->is_used[i] ? &k->table[i] : NULL;
}

void
keys_remove(struct keys *k, struct key_entry *e)
{
	size_t gap = (size_t)(e - k->table), i, home;

	k->used--;
	for (i = (gap + 1) & k->mask; k->is_used[i]; i = (i + 1) & k->mask) {
		home = (size_t)(k->table[i].hash ^ k->table[i].hash >> 32) &
		    k->mask;
		if (((i - home) & k->mask) < ((i - gap) & k->mask))
			continue;
		slot_put(k, gap, &k->table[i]);
		gap = i;
	}
	k->is_used[gap] = false;
	if (k->used == 0 && k->mask + 1 > TABLE_MIN * 64) {
		free(k->table);
		free(k->is_used);
		table_make(k, TABLE_MIN);
	}
}

void
key_line_up(struct key_entry *e, struct item *it)
{
	it->next_blocked = NULL;
	*e->last = it;
	e->last = &it->next_blocked;
}

struct item *
key_line_take(struct key_entry *e)
{
	struct item *it = e->first;

	if (it == NULL)
		return NULL;
	e->first = it->next_blocked;
	if (e->first == NULL)
		e->last = &e->first;
	it->next_blocked = NULL;
	return it;
}
