/*
 * rates - how much per second lately, from totals that are noted now and
 * then. Pure; nothing ticks while nothing happens.
 */
#ifndef CONNECTOR_WORKER_RATES_H
#define CONNECTOR_WORKER_RATES_H

#include <stddef.h>
#include <stdint.h>

#define RATES_POINTS 64

struct rates {
	struct {
		uint64_t ms, total;
	} points[RATES_POINTS];
	size_t next, count;
};

/* At most one point a second is kept. */
void rates_note(struct rates *r, uint64_t now_ms, uint64_t total);
/* Per second over the last span_ms (at most a minute). */
double rates_per_second(const struct rates *r, uint64_t now_ms,
    uint64_t total, uint64_t span_ms);

#endif
