/*
 * pool - a few threads for what takes long, beside the loop.
 *
 * run is called on a thread, done on the loop's afterwards; the job is the
 * caller's memory, which stays as it is in between.
 */
#ifndef ACCEPTOR_AUTH_POOL_H
#define ACCEPTOR_AUTH_POOL_H

#include <ev.h>

struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *job);
	void (*done)(struct pool_job *job);
};

struct pool;

/* Lives as long as the process. */
struct pool *pool_open(struct ev_loop *loop, unsigned threads);
/* Jobs begin in the order in which they are put. */
void pool_put(struct pool *p, struct pool_job *job);

#endif
