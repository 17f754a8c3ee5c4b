/*
 * backoff - waits that double, with jitter. Pure: chance comes as a number.
 */
#ifndef CONNECTOR_WORKER_BACKOFF_H
#define CONNECTOR_WORKER_BACKOFF_H

#include <stdint.h>

/*
 * The wait before try number tries + 1 (tries >= 1 have failed): first,
 * doubled for each further one up to max, then up to a quarter less by
 * chance.
 */
uint64_t backoff_wait(uint32_t tries, uint32_t first_ms, uint32_t max_ms,
    uint64_t chance);

#endif
