/*
 * parcels - encoded packets that wait for a client, first in, first out.
 *
 * A parcel is a whole PUBLISH whose packet identifier is written when it
 * leaves, and whose expiry, if it has one, is counted down then.
 */
#ifndef ACCEPTOR_MQTT_PARCELS_H
#define ACCEPTOR_MQTT_PARCELS_H

#include "base/buf.h"

struct parcel {
	uint32_t size;		/* of the packet */
	uint32_t id_at;		/* of its identifier in it, 0 at QoS 0 */
	uint32_t expiry_at;	/* of its expiry interval, 0: none written */
	uint8_t qos;
	uint64_t expires_ms;	/* wall clock, 0: never */
};

struct parcels {
	struct buf bytes;
	uint32_t count;
};

void parcels_fini(struct parcels *p);
/* Adds one; returns where its p->size bytes are to be written at once. */
uint8_t *parcels_add(struct parcels *p, const struct parcel *parcel);
/* Lends the first; NULL when there is none. */
uint8_t *parcels_peek(const struct parcels *p, struct parcel *parcel);
/* Drops the first. */
void parcels_remove(struct parcels *p);
static inline size_t
parcels_size(const struct parcels *p)
{
	return buf_len(&p->bytes);
}

#endif
