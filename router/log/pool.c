#include "router/log/pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define STACK ((size_t)128 << 10)

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	void (*fn)(void *arg, size_t i);
	void *arg;
	size_t n, next, finished;
	bool is_over;
	unsigned threads;
	pthread_t thread[];
};

/* Does pieces until none is left to begin. Called with the lock held. */
static void
pool_help(struct pool *pool)
{
	while (pool->next < pool->n) {
		size_t i = pool->next++;

		pthread_mutex_unlock(&pool->lock);
		pool->fn(pool->arg, i);
		pthread_mutex_lock(&pool->lock);
		if (++pool->finished == pool->n)
			pthread_cond_signal(&pool->done);
	}
}

static void *
pool_main(void *arg)
{
	struct pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->is_over) {
		pool_help(pool);
		if (!pool->is_over)
			pthread_cond_wait(&pool->work, &pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

struct pool *
pool_new(unsigned threads)
{
	struct pool *pool = mem_zalloc(1,
	    sizeof(*pool) + threads * sizeof(pthread_t));
	pthread_attr_t attr;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	/* Fewer threads than wanted: slower, but the caller always helps. */
	while (pool->threads < threads && pthread_create(
		   &pool->thread[pool->threads], &attr, pool_main, pool) == 0)
		pool->threads++;
	pthread_attr_destroy(&attr);
	return pool;
}

void
pool_free(struct pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->is_over = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

void
pool_run(struct pool *pool, void (*fn)(void *arg, size_t i), void *arg,
    size_t n)
{
	if (n == 1) {
		fn(arg, 0);
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->fn = fn;
	pool->arg = arg;
	pool->n = n;
	pool->next = pool->finished = 0;
	pthread_cond_broadcast(&pool->work);
	pool_help(pool);
	while (pool->finished < n)
		pthread_cond_wait(&pool->done, &pool->lock);
	pool->n = pool->next = 0;
	pthread_mutex_unlock(&pool->lock);
}
