#include "connector-worker/aside.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct aside {
	pthread_mutex_t lock;
	unsigned users;		/* the loop, the thread */
	bool is_ending;
	int fd;
	struct job_queue given, answered;
	aside_run *run;
	void *state;
	/* The loop's. */
	struct ev_loop *loop;
	ev_async async;
	aside_answered *on_answered;
	void *arg;
};

/* ---- queues -------------------------------------------------------------- */

void
job_queue_init(struct job_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->count = 0;
}

void
job_queue_add(struct job_queue *q, struct job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
	q->count++;
}

void
job_queue_add_all(struct job_queue *q, struct job *jobs)
{
	struct job *next;

	for (; jobs != NULL; jobs = next) {
		next = jobs->next;
		job_queue_add(q, jobs);
	}
}

struct job *
job_queue_take(struct job_queue *q)
{
	struct job *job = q->head;

	if (job == NULL)
		return NULL;
	q->head = job->next;
	if (q->head == NULL)
		q->tail = &q->head;
	q->count--;
	job->next = NULL;
	return job;
}

void
job_queue_put_back(struct job_queue *q, struct job_queue *from)
{
	if (from->head == NULL)
		return;
	*from->tail = q->head;
	if (q->head == NULL)
		q->tail = from->tail;
	q->head = from->head;
	q->count += from->count;
	job_queue_init(from);
}

static void
job_free(struct job *job)
{
	free(job->why);
	free(job->note);
	free(job);
}

static void
jobs_free(struct job_queue *q)
{
	struct job *job;

	while ((job = job_queue_take(q)) != NULL)
		job_free(job);
}

/* ---- both sides -------------------------------------------------------- */

static void
aside_release(struct aside *a)
{
	bool is_last;

	pthread_mutex_lock(&a->lock);
	is_last = --a->users == 0;
	pthread_mutex_unlock(&a->lock);
	if (!is_last)
		return;
	jobs_free(&a->given);
	jobs_free(&a->answered);
	close(a->fd);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static void
aside_wake(struct aside *a)
{
	ssize_t n = write(a->fd, &(uint64_t){1}, sizeof(uint64_t));

	(void)n;
}

/* ---- the loop ------------------------------------------------------------ */

static void
on_async(struct ev_loop *loop, ev_async *w, int events)
{
	struct aside *a = w->data;
	struct job *job, *next;

	(void)loop;
	(void)events;
	pthread_mutex_lock(&a->lock);
	job = a->answered.head;
	job_queue_init(&a->answered);
	pthread_mutex_unlock(&a->lock);
	for (; job != NULL; job = next) {
		next = job->next;
		a->on_answered(job, a->arg);
		job_free(job);
	}
}

static void *
thread_main(void *arg)
{
	struct aside *a = arg;

	a->run(a, a->state);
	aside_release(a);
	return NULL;
}

struct aside *
aside_new(struct ev_loop *loop, aside_run *run, void *state,
    aside_answered *answered, void *arg)
{
	struct aside *a = mem_zalloc(1, sizeof(*a));
	pthread_t thread;

	pthread_mutex_init(&a->lock, NULL);
	a->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->users = 2;
	job_queue_init(&a->given);
	job_queue_init(&a->answered);
	a->run = run;
	a->state = state;
	a->loop = loop;
	a->on_answered = answered;
	a->arg = arg;
	ev_async_init(&a->async, on_async);
	a->async.data = a;
	if (a->fd == -1 ||
	    pthread_create(&thread, NULL, thread_main, a) != 0) {
		close(a->fd);
		free(a);
		return NULL;
	}
	pthread_detach(thread);
	ev_async_start(loop, &a->async);
	return a;
}

void
aside_end(struct aside *a)
{
	if (a == NULL)
		return;
	ev_async_stop(a->loop, &a->async);
	pthread_mutex_lock(&a->lock);
	a->is_ending = true;
	pthread_mutex_unlock(&a->lock);
	aside_wake(a);
	aside_release(a);
}

void
aside_give(struct aside *a, enum job_kind kind, struct sink_record *record)
{
	struct job *job = mem_zalloc(1, sizeof(*job));
	bool was_empty;

	job->kind = kind;
	job->record = record;
	pthread_mutex_lock(&a->lock);
	was_empty = a->given.head == NULL;
	job_queue_add(&a->given, job);
	pthread_mutex_unlock(&a->lock);
	if (was_empty)
		aside_wake(a);
}

/* ---- the thread ---------------------------------------------------------- */

int
aside_fd(const struct aside *a)
{
	return a->fd;
}

bool
aside_is_ending(struct aside *a)
{
	bool is_ending;

	pthread_mutex_lock(&a->lock);
	is_ending = a->is_ending;
	pthread_mutex_unlock(&a->lock);
	return is_ending;
}

struct job *
aside_take(struct aside *a)
{
	struct job *jobs;
	uint64_t n;

	pthread_mutex_lock(&a->lock);
	/* Stays readable when it is to end. */
	if (!a->is_ending && read(a->fd, &n, sizeof(n)) == -1)
		n = 0;
	jobs = a->given.head;
	job_queue_init(&a->given);
	pthread_mutex_unlock(&a->lock);
	return jobs;
}

void
aside_answer(struct aside *a, struct job *job, enum sink_outcome outcome,
    const char *why)
{
	job->outcome = outcome;
	job->why = why == NULL ? NULL : mem_strdup(why);
	pthread_mutex_lock(&a->lock);
	if (a->is_ending) {
		pthread_mutex_unlock(&a->lock);
		job_free(job);
		return;
	}
	job_queue_add(&a->answered, job);
	ev_async_send(a->loop, &a->async);
	pthread_mutex_unlock(&a->lock);
}
