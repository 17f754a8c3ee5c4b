/*
 * due - what has to happen at a time: a heap of (due, id).
 *
 * Pure. Entries are never taken out early: who is popped looks whether it
 * still applies.
 */
#ifndef ROUTER_DUE_H
#define ROUTER_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct due_entry {
	uint64_t at_ms;
	uint64_t id;
};

struct due {
	struct due_entry *heap;
	size_t len, cap;
};

void due_fini(struct due *d);
void due_add(struct due *d, uint64_t at_ms, uint64_t id);
/* Takes the earliest if its time has come. */
bool due_take(struct due *d, uint64_t now_ms, uint64_t *id);

#endif
