#include "acceptor/auth/pool.h"

#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct queue {
	struct pool_job *first, **last;
};

struct pool {
	struct ev_loop *loop;
	ev_async wake;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue waiting, finished;
};

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
	struct pool *p = arg;
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		job = queue_take(&p->waiting);
		if (job == NULL) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
		queue_put(&p->finished, job);
		ev_async_send(p->loop, &p->wake);
	}
	return NULL;
}

static void
on_wake(struct ev_loop *loop, ev_async *w, int events)
{
	struct pool *p = w->data;
	struct pool_job *job;

	(void)loop;
	(void)events;
	for (;;) {
		pthread_mutex_lock(&p->lock);
		job = queue_take(&p->finished);
		pthread_mutex_unlock(&p->lock);
		if (job == NULL)
			return;
		job->done(job);
	}
}

struct pool *
pool_open(struct ev_loop *loop, unsigned threads)
{
	struct pool *p = mem_zalloc(1, sizeof(*p));
	sigset_t all, before;
	pthread_t thread;
	int error = 0;

	p->loop = loop;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->waiting.last = &p->waiting.first;
	p->finished.last = &p->finished.first;
	ev_async_init(&p->wake, on_wake);
	p->wake.data = p;
	ev_async_start(loop, &p->wake);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (threads-- > 0 && error == 0)
		error = pthread_create(&thread, NULL, worker, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		fatal("no thread: %s", strerror(error));
	return p;
}

void
pool_put(struct pool *p, struct pool_job *job)
{
	pthread_mutex_lock(&p->lock);
	queue_put(&p->waiting, job);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}
