/*
 * order_map - from a sink_record's `order` to whatever a sink keeps for it.
 *
 * Filled for one batch, then cleared. Pure.
 */
#ifndef CONNECTOR_WORKER_ORDER_MAP_H
#define CONNECTOR_WORKER_ORDER_MAP_H

#include <stddef.h>
#include <stdint.h>

struct order_entry {
	uint64_t order; /* 0: empty */
	void *value;
};

struct order_map {
	struct order_entry *entries;
	size_t size; /* a power of two, 0: nothing yet */
	size_t used;
};

void order_map_fini(struct order_map *);
void order_map_clear(struct order_map *);
/* Where the value of an order (not 0) stands, NULL at first. */
void **order_map_add(struct order_map *, uint64_t order);
void *order_map_find(const struct order_map *, uint64_t order);

#endif
