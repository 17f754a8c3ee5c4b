/*
 * map - a hash table of pointers: the key stands in the value.
 *
 * The caller gives the hash and says what is equal. The table owns its
 * slots, never the values. Zeroed is empty. No value is NULL. Adding may
 * move slots: do not add or remove while walking, but for map_clear.
 */
#ifndef ROUTER_MAP_H
#define ROUTER_MAP_H

#include "base/slice.h"

struct map_slot {
	uint64_t hash;
	void *value;	/* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t mask;
	size_t count;
};

typedef bool map_eq(const void *value, const void *key);

void map_fini(struct map *m);
/* Forgets all entries and keeps the memory. */
void map_clear(struct map *m);
void *map_find(
    const struct map *m, uint64_t hash, map_eq *eq, const void *key);
/* The caller has looked: the key is not there yet. */
void map_add(struct map *m, uint64_t hash, void *value);
/* By identity; false if it was not there. */
bool map_remove(struct map *m, uint64_t hash, const void *value);
/* Walks: begin with *i = 0; NULL at the end. */
void *map_next(const struct map *m, size_t *i);

uint64_t map_hash(struct slice key);
uint64_t map_hash_u64(uint64_t key);

#endif
