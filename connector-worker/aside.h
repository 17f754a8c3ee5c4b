/*
 * aside - a thread beside the loop, for a client library that blocks: jobs
 * go to it, and come back answered.
 *
 * The thread may stand still for as long as its library does; the loop never
 * waits for it. aside_end lets go of it: it ends when it looks again, and
 * what it answers after that is dropped. Its state is its own; a record that
 * a job carries is read only until the job is answered.
 */
#ifndef CONNECTOR_WORKER_ASIDE_H
#define CONNECTOR_WORKER_ASIDE_H

#include "connector-worker/sink.h"

struct aside;

enum job_kind { JOB_RECORD, JOB_PROBE, JOB_TEST };

struct job {
	struct job *next;
	enum job_kind kind;
	struct sink_record *record;	/* of JOB_RECORD */
	enum sink_outcome outcome;	/* delivered: the probe was good */
	char *why;			/* on the heap, or NULL */
	/* The thread's own. */
	uint64_t number;
	char *note;			/* freed with the job */
};

/* Runs on the thread until aside_is_ending. Frees the state at its end. */
typedef void aside_run(struct aside *a, void *state);
/* On the loop: the job is answered; it is freed when this returns. */
typedef void aside_answered(struct job *job, void *arg);

/* NULL: there is no thread to be had. */
struct aside *aside_new(struct ev_loop *loop, aside_run *run, void *state,
    aside_answered *answered, void *arg);
void aside_end(struct aside *a);
/* A new job for the thread. */
void aside_give(struct aside *a, enum job_kind kind,
    struct sink_record *record);

/* --- on the thread ---------------------------------------------------- */

/* Readable while there are jobs, or it is to end. */
int aside_fd(const struct aside *a);
bool aside_is_ending(struct aside *a);
/* All that were given since, oldest first; NULL: none. */
struct job *aside_take(struct aside *a);
/* Any thread's. why is copied, or NULL. */
void aside_answer(struct aside *a, struct job *job, enum sink_outcome outcome,
    const char *why);

/* Jobs in the order they came, for the thread's own queues. */
struct job_queue {
	struct job *head, **tail;
	size_t count;
};
void job_queue_init(struct job_queue *q);
void job_queue_add(struct job_queue *q, struct job *job);
/* A list as aside_take gives it. */
void job_queue_add_all(struct job_queue *q, struct job *jobs);
struct job *job_queue_take(struct job_queue *q);
/* Before what is there already; from is empty afterwards. */
void job_queue_put_back(struct job_queue *q, struct job_queue *from);

#endif
