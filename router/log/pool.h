/*
 * pool - a few threads that do n pieces of work side by side.
 *
 * For the commit thread only: writes and syncs of several segments wait for
 * the disk at the same time.
 */
#ifndef ROUTER_LOG_POOL_H
#define ROUTER_LOG_POOL_H

#include <stddef.h>

struct pool;

/* Threads inherit the caller's signal mask: block all signals before. */
struct pool *pool_new(unsigned threads);
void pool_free(struct pool *pool);
/* Calls fn(arg, i) for each i < n, the caller helping; returns when all are
 * done. */
void pool_run(struct pool *pool, void (*fn)(void *arg, size_t i), void *arg,
    size_t n);

#endif
