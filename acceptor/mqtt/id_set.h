/*
 * id_set - a set of packet identifiers, small and mostly empty.
 *
 * Open addressing; 0, which is no identifier, marks a free place. Nothing
 * is allocated before the first add, and an emptied set gives all back.
 */
#ifndef ACCEPTOR_MQTT_ID_SET_H
#define ACCEPTOR_MQTT_ID_SET_H

#include <stdbool.h>
#include <stdint.h>

struct id_set {
	uint16_t *ids;
	uint32_t cap;		/* a power of two */
	uint32_t count;
};

void id_set_fini(struct id_set *s);
bool id_set_has(const struct id_set *s, uint16_t id);
/* False when it was there already. */
bool id_set_add(struct id_set *s, uint16_t id);
/* False when it was not there. */
bool id_set_remove(struct id_set *s, uint16_t id);
/* The identifier at or after place *at, which moves on; 0 at the end. */
uint16_t id_set_next(const struct id_set *s, uint32_t *at);

#endif
