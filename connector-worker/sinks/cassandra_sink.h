/*
 * cassandra_sink - the cassandra type's state, shared by its files:
 * cassandra.c (the definition and its life), cassandra_link.c (the
 * connection to a node), cassandra_rows.c (records and what is said of
 * them).
 *
 * A batch becomes a job of rows. A row is sent as its own EXECUTE, or with
 * others of its partition as a BATCH, on a stream of the one connection.
 * Answers come in any order; they are told in the batch's order.
 */
#ifndef CONNECTOR_WORKER_SINKS_CASSANDRA_SINK_H
#define CONNECTOR_WORKER_SINKS_CASSANDRA_SINK_H

#include "connector-worker/conn.h"
#include "connector-worker/sinks/cassandra_value.h"

#define NODES_MAX 64
#define COLUMNS_MAX 250

enum row_state { ROW_WAITING, ROW_SENT, ROW_DONE };

struct row {
	struct sink_record *record;
	int64_t micros;     /* its write time: later rows win */
	size_t at, len;     /* its values, in the job's text */
	uint64_t partition; /* hash of its partition key */
	size_t next;        /* of those sent with it, as index + 1 */
	enum row_state state;
	enum sink_outcome outcome;
	unsigned unprepared; /* times that the node did not know us */
	bool is_alone;       /* its batch was refused: not again in one */
	char *why;
};

struct job {
	struct job *next;
	struct row *rows;
	size_t count;
	size_t settled;       /* rows told, from the front */
	size_t waiting;       /* rows in ROW_WAITING */
	size_t first_waiting; /* none waits before it */
	unsigned prepared;    /* with whose types its text was made; 0: none */
	struct buf text;
	uint64_t *held; /* orders of which one has to come again */
	size_t held_count;
};

struct stream {
	struct job *job; /* NULL: free */
	size_t first;    /* of its rows */
	ev_tstamp since;
};

/* What stream 0 of the connection is waiting for. */
enum control {
	CONTROL_NONE,
	CONTROL_CONNECT, /* nothing was sent yet */
	CONTROL_OPTIONS,
	CONTROL_STARTUP,
	CONTROL_LOGIN,
	CONTROL_PREPARE,
	CONTROL_PROBE,
};

struct link {
	struct conn *conn; /* NULL: there is none */
	struct cql_node node;
	enum control control;
	ev_tstamp control_since;
	bool is_prepared;
};

struct cassandra {
	struct sink *sink;
	struct conn_tls *tls;
	const char *username, *password, *server_name;
	uint16_t consistency;
	uint32_t timeout_ms;
	bool is_batched;
	struct cql_node nodes[NODES_MAX];
	size_t node_count, node_next;

	const struct template **values; /* of the columns */
	size_t column_count;
	struct buf statement;
	struct buf id;            /* of the prepared statement */
	unsigned prepared;        /* raised with each PREPARE */
	struct cql_prepared meta; /* its names and id are not kept */

	struct link link;
	struct stream *streams; /* stream i is number i + 1 */
	uint16_t *free_streams;
	size_t stream_count, free_count;
	struct job *jobs, **jobs_tail;
	int64_t last_micros;
	struct template_input input;
	struct buf value;
	ev_timer tick;
	bool is_probing, is_testing;
	bool is_settling; /* answers are being told, further out */
};

/* --- cassandra_link.c ------------------------------------------------- */

/* Begins to connect, if nothing does yet. */
void link_connect(struct cassandra *);
bool link_is_ready(const struct cassandra *);
/* The connection ends; what is under way on it gets the outcome. */
void link_down(struct cassandra *, enum sink_outcome, const char *why);
void link_prepare(struct cassandra *);
void link_probe(struct cassandra *);
void link_tick(struct cassandra *);

/* --- cassandra_rows.c ------------------------------------------------- */

void rows_take(struct cassandra *, struct sink_batch *);
/* Sends what waits, as far as streams are free. */
void rows_pump(struct cassandra *);
/* The answer to a stream of rows. NULL, or why the link must end. */
const char *rows_answer(struct cassandra *, const struct cql_frame *);
/* Those under way get the outcome, those that wait are unavailable. */
void rows_fail(struct cassandra *, enum sink_outcome, const char *why);
void rows_free(struct cassandra *);

/* --- cassandra.c ------------------------------------------------------ */

/* The probe or test is over. */
void cassandra_probed(struct cassandra *, bool is_up, const char *why);

#endif
