#include "connector-worker/rates.h"

void
rates_note(struct rates *r, uint64_t now_ms, uint64_t total)
{
	size_t last = (r->next + RATES_POINTS - 1) % RATES_POINTS;

	if (r->count > 0 && now_ms - r->points[last].ms < 1000)
		return;
	r->points[r->next].ms = now_ms;
	r->points[r->next].total = total;
	r->next = (r->next + 1) % RATES_POINTS;
	if (r->count < RATES_POINTS)
		r->count++;
}

double
rates_per_second(const struct rates *r, uint64_t now_ms, uint64_t total,
    uint64_t span_ms)
{
	uint64_t from = total;
	size_t i, at;

	/* Backwards to the first point that is not within the span. */
	for (i = 0; i < r->count; i++) {
		at = (r->next + RATES_POINTS - 1 - i) % RATES_POINTS;
		from = r->points[at].total;
		if (now_ms - r->points[at].ms >= span_ms)
			break;
	}
	return span_ms == 0 ? 0. :
	    (double)(total - from) * 1000. / (double)span_ms;
}
