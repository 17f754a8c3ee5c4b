#include "connector-worker/backoff.h"

uint64_t
backoff_wait(uint32_t tries, uint32_t first_ms, uint32_t max_ms,
    uint64_t chance)
{
	uint64_t wait = first_ms;

	while (tries-- > 1 && wait < max_ms)
		wait *= 2;
	if (wait > max_ms)
		wait = max_ms;
	return wait - chance % (wait / 4 + 1);
}
