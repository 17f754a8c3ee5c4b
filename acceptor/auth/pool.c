#include "acceptor/auth/pool.h"

#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct queue {
	struct pool_job *first, **last;
};

static struct {
	struct ev_loop *loop;
	ev_async wake;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue waiting, finished;
} pool;

static void
queue_put(struct queue *q, struct pool_job *job)
{
	job->next = NULL;
	*q->last = job;
	q->last = &job->next;
}

static struct pool_job *
queue_take(struct queue *q)
{
	struct pool_job *job = q->first;

	if (job == NULL)
		return NULL;
	q->first = job->next;
	if (q->first == NULL)
		q->last = &q->first;
	return job;
}

static void *
worker(void *arg)
{
	struct pool_job *job;

	(void)arg;
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		job = queue_take(&pool.waiting);
		if (job == NULL) {
			pthread_cond_wait(&pool.more, &pool.lock);
			continue;
		}
		pthread_mutex_unlock(&pool.lock);
		job->run(job);
		pthread_mutex_lock(&pool.lock);
		queue_put(&pool.finished, job);
		ev_async_send(pool.loop, &pool.wake);
	}
	return NULL;
}

static void
on_wake(struct ev_loop *loop, ev_async *w, int events)
{
	struct pool_job *job;

	(void)loop;
	(void)w;
	(void)events;
	for (;;) {
		pthread_mutex_lock(&pool.lock);
		job = queue_take(&pool.finished);
		pthread_mutex_unlock(&pool.lock);
		if (job == NULL)
			return;
		job->done(job);
	}
}

void
pool_open(struct ev_loop *loop, unsigned threads)
{
	sigset_t all, before;
	pthread_t thread;
	int error = 0;

	pool.loop = loop;
	pthread_mutex_init(&pool.lock, NULL);
	pthread_cond_init(&pool.more, NULL);
	pool.waiting.last = &pool.waiting.first;
	pool.finished.last = &pool.finished.first;
	ev_async_init(&pool.wake, on_wake);
	ev_async_start(loop, &pool.wake);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (threads-- > 0 && error == 0)
		error = pthread_create(&thread, NULL, worker, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		fatal("no thread: %s", strerror(error));
}

void
pool_put(struct pool_job *job)
{
	pthread_mutex_lock(&pool.lock);
	queue_put(&pool.waiting, job);
	pthread_cond_signal(&pool.more);
	pthread_mutex_unlock(&pool.lock);
}
