/*
 * postgres_conn - one connection to a PostgreSQL server on the loop, never
 * blocking.
 *
 * Work is done in steps: the owner queues commands with libpq's PQsend
 * functions in pipeline mode and waits, or sends a COPY; when the server has
 * answered all of the step, or the time is over, or the connection broke, the
 * callback is called with `fault` set. A step is over exactly once. After
 * PG_FAULT_LOST and PG_FAULT_TIMEOUT the connection is closed.
 */
#ifndef CONNECTOR_WORKER_SINKS_POSTGRES_CONN_H
#define CONNECTOR_WORKER_SINKS_POSTGRES_CONN_H

#include "base/buf.h"

#include <ev.h>
#include <libpq-fe.h>

enum pg_fault {
	PG_FAULT_NONE,
	PG_FAULT_SQL,  /* the server refused; state is its code */
	PG_FAULT_LOST, /* no connection, or none any more */
	PG_FAULT_TIMEOUT,
};

struct pg_conn;
typedef void pg_conn_cb(struct pg_conn *, void *arg);

/* Results with rows that a step keeps for its callback. */
#define PG_CONN_RESULTS 4

struct pg_conn {
	struct ev_loop *loop;
	/* Loans from open on: what to connect to, as libpq names it. */
	const char *host;         /* to look up, or a literal */
	const char *const *names; /* NULL-terminated, with "hostaddr" */
	const char *const *values;
	int timeout_ms; /* of a step */

	PGconn *pg; /* NULL: closed */
	bool is_up; /* connected and between steps or in one */
	bool is_waiting;
	bool is_pipeline;
	struct slice copy; /* what a COPY still has to send */
	bool has_copy;     /* the step is a COPY not sent yet */
	bool is_copying;   /* the server waits for the data */

	enum pg_fault fault;
	char state[6];  /* SQLSTATE or "" */
	char text[512]; /* for people, on one line */
	PGresult *results[PG_CONN_RESULTS];
	size_t results_len;

	struct resolve *look_up;
	struct ev_io io;
	struct ev_timer timer;
	pg_conn_cb *cb;
	void *arg;
};

void pg_conn_init(struct pg_conn *, struct ev_loop *, const char *host,
    const char *const *names, const char *const *values, int timeout_ms);
void pg_conn_close(struct pg_conn *);
/* Connects and enters pipeline mode. */
void pg_conn_open(struct pg_conn *, pg_conn_cb *, void *arg);

/* The commands queued since the last step. */
void pg_conn_wait(struct pg_conn *, pg_conn_cb *, void *arg);
/* Back to pipeline mode after a COPY; false: the connection is unusable. */
bool pg_conn_pipeline(struct pg_conn *);
/* Leaves pipeline mode: a text of commands, one of them may be a COPY. */
void pg_conn_copy(struct pg_conn *, const char *sql, struct slice data,
    pg_conn_cb *, void *arg);

#endif
