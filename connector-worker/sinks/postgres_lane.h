/*
 * postgres_lane - a connection to the server and the work that it does.
 *
 * The definition, made once, is struct postgres; each lane has a connection,
 * the types that its catalog look-up found, and one job at a time: a batch,
 * the probe or the test. A batch is one transaction. It is tried whole first
 * (postgres_batch.c), as one INSERT of arrays, as COPY, or as the user's own
 * statement row by row in a pipeline. Where a row is to blame, the batch is
 * done again in halves within one transaction, a savepoint around each, until
 * the bad ones are alone (postgres_split.c).
 */
#ifndef CONNECTOR_WORKER_SINKS_POSTGRES_LANE_H
#define CONNECTOR_WORKER_SINKS_POSTGRES_LANE_H

#include "connector-worker/pg_statement.h"
#include "connector-worker/sinks/postgres_conn.h"
#include "connector-worker/sql_state.h"
#include "connector-worker/sql_text.h"

#define POSTGRES_POOL_MAX 32
#define RANGES_MAX 64 /* halves of halves: more than a size_t needs */

struct range {
	size_t first, end;
};

/* What became of a row of a split batch. */
struct row_fault {
	bool is_set;
	enum sink_outcome outcome;
	size_t reason; /* where it stands in lane.reasons */
};

enum job { JOB_NONE, JOB_BATCH, JOB_PROBE, JOB_TEST };

/* A connection and what it is working on. */
struct lane {
	struct postgres *pg;
	struct pg_conn conn;
	bool is_prepared;
	struct pg_table table; /* of this connection's catalog look-up */
	unsigned *oids;        /* of the parameters of `sql` */

	enum job job;
	struct sink_batch *batch;
	struct pg_rows rows;
	struct sink_record **records; /* one per row */
	size_t records_cap;
	struct buf *arrays; /* one per column */
	size_t arrays_len;
	struct buf text; /* a statement or COPY data */

	struct row_fault *faults; /* one per row while it is split */
	struct buf reasons;
	struct range ranges[RANGES_MAX];
	size_t ranges_len;
	struct range range;  /* under way */
	bool must_roll_back; /* the last range failed */
};

struct postgres {
	struct sink *sink;
	const struct sink_options *opts;
	const char *names[20];
	const char *values[20];
	char port[8];
	char *application;
	struct pg_table table; /* as the definition has it; no types */
	char *statement;       /* `sql` with $1 ... */
	struct template **params;
	size_t params_len;
	bool uses_copy;
	int timeout_ms;
	struct template_input input;

	struct lane lanes[POSTGRES_POOL_MAX];
	size_t lanes_len;
	struct lane prober; /* a connection of its own: others may hang */
	struct sink_batch **waiting;
	size_t waiting_len, waiting_cap;
};

/* What the definition promises: connectors, section 5. */
bool postgres_is_exact(const struct sink_options *);

void lane_init(struct lane *, struct postgres *, int timeout_ms);
void lane_fini(struct lane *);
void lane_disconnect(struct lane *);

/* Takes the next batch that waits, if it is idle. */
void lane_next(struct lane *);
/* Begins or goes on with its job: connects and prepares if need be. */
void lane_run(struct lane *);
void lane_probe(struct lane *);
/* The first thing to do on a connection. */
void lane_prepare_start(struct lane *);
/* With a connection that is prepared. */
void lane_run_batch(struct lane *);
void lane_report(struct lane *);

/* The job is over, all of it answered. */
void lane_done(struct lane *);
/* Nothing of the job could be done. */
void lane_fail(struct lane *, enum sink_outcome, const char *reason);
void lane_end_test(struct lane *, bool is_good, const char *reason);

/* The last step's fault as what it means for rows, and for people. */
struct sql_verdict lane_verdict(const struct lane *);
const char *lane_reason(const struct lane *, char *out, size_t size);

/* Queue a command of the step; a failure shows when the step is waited for. */
void lane_command(struct lane *, const char *sql);
void lane_send_range(struct lane *, size_t first, size_t end);
/* After a whole batch failed because of a row. */
void lane_split(struct lane *);

#endif
