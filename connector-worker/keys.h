/*
 * keys - which send owns a key: records of one key go one at a time.
 *
 * An entry lives while records of its key are owned by a send and not yet
 * settled; later records of it stand in line behind. Keys are hashes: two
 * keys of one hash only wait for each other. Pure.
 */
#ifndef CONNECTOR_WORKER_KEYS_H
#define CONNECTOR_WORKER_KEYS_H

#include "connector-worker/batch.h"

struct keys;

struct key_entry {
	uint64_t hash;
	struct send *owner;
	size_t count;		/* of the owner's records, not settled */
	struct item *first, **last;	/* the line behind */
};

struct keys *keys_new(void);
void keys_free(struct keys *k);
size_t keys_count(const struct keys *k);

/* Created with no owner if absent. Valid until the next add or remove. */
struct key_entry *keys_add(struct keys *k, uint64_t hash);
struct key_entry *keys_find(struct keys *k, uint64_t hash);
void keys_remove(struct keys *k, struct key_entry *e);

void key_line_up(struct key_entry *e, struct item *it);
/* The first in the line, NULL if there is none. */
struct item *key_line_take(struct key_entry *e);

#endif
