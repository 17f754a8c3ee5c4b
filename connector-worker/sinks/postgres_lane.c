#include "connector-worker/sinks/postgres_lane.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* --- answers -------------------------------------------------------------- */

void
lane_disconnect(struct lane *l)
{
	pg_conn_close(&l->conn);
	l->is_prepared = false;
}

/* The job is over; what it leaves is answered by the caller first. */
void
lane_done(struct lane *l)
{
	l->job = JOB_NONE;
	l->batch = NULL;
	if (l != &l->pg->prober)
		lane_next(l);
}

void
lane_end_test(struct lane *l, bool is_good, const char *reason)
{
	struct sink *sink = l->pg->sink;

	lane_disconnect(l);
	l->job = JOB_NONE;
	sink_tested(sink, is_good, reason);
}

static void
lane_end_probe(struct lane *l, bool is_up, const char *reason)
{
	lane_disconnect(l);
	l->job = JOB_NONE;
	sink_probed(l->pg->sink, is_up, reason);
}

/* Nothing of the job could be done. */
void
lane_fail(struct lane *l, enum sink_outcome outcome, const char *reason)
{
	char text[640];

	snprintf(text, sizeof(text), "%s", reason);
	if (outcome == SINK_UNAVAILABLE || l->conn.pg == NULL)
		lane_disconnect(l);
	switch (l->job) {
	case JOB_BATCH:
		sink_answer_rest(l->batch, outcome, text);
		lane_done(l);
		break;
	case JOB_PROBE:
		lane_end_probe(l, false, text);
		break;
	case JOB_TEST:
		lane_end_test(l, false, text);
		break;
	case JOB_NONE:
		break;
	}
}

/* The connection's fault as what it means for rows. */
struct sql_verdict
lane_verdict(const struct lane *l)
{
	switch (l->conn.fault) {
	case PG_FAULT_SQL:
		return sql_state_verdict(l->conn.state);
	case PG_FAULT_LOST:
		break;
	case PG_FAULT_TIMEOUT:
		return (struct sql_verdict){SINK_UNSURE, false};
	case PG_FAULT_NONE:
		return (struct sql_verdict){SINK_DELIVERED, false};
	}
	return (struct sql_verdict){SINK_UNAVAILABLE, false};
}

/* "22P02: invalid input syntax ..." */
const char *
lane_reason(const struct lane *l, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s", l->conn.state,
	    l->conn.state[0] != '\0' ? ": " : "", l->conn.text);
	return out;
}

void
lane_command(struct lane *l, const char *sql)
{
	/* A failure to queue shows as a lost connection at the sync. */
	(void)PQsendQueryParams(l->conn.pg, sql, 0, NULL, NULL, NULL, NULL, 0);
}

/* --- jobs ----------------------------------------------------------------- */

static void
on_open(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;

	if (c->fault != PG_FAULT_NONE) {
		lane_fail(l, SINK_UNAVAILABLE, c->text);
		return;
	}
	lane_prepare_start(l);
}

void
lane_run(struct lane *l)
{
	if (l->conn.pg == NULL) {
		l->is_prepared = false;
		pg_conn_open(&l->conn, on_open, l);
	} else
		lane_run_batch(l);
}

void
lane_next(struct lane *l)
{
	struct postgres *pg = l->pg;

	if (l->job != JOB_NONE || pg->waiting_len == 0)
		return;
	l->job = JOB_BATCH;
	l->batch = pg->waiting[0];
	memmove(pg->waiting, pg->waiting + 1,
	    --pg->waiting_len * sizeof(*pg->waiting));
	lane_run(l);
}

/* Any answer of the server's will do, as long as it is no excuse. */
static void
on_probe(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	bool is_up = lane_verdict(l).outcome != SINK_UNAVAILABLE &&
		     c->fault != PG_FAULT_TIMEOUT;
	char reason[600];

	lane_end_probe(l, is_up, lane_reason(l, reason, sizeof(reason)));
}

/* The lock that an INSERT needs: a locked table is no working target. */
static void
on_probe_open(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	struct buf sql;

	if (c->fault != PG_FAULT_NONE) {
		lane_fail(l, SINK_UNAVAILABLE, c->text);
		return;
	}
	buf_init(&sql);
	if (l->pg->statement != NULL)
		buf_add_str(&sql, "SELECT 1");
	else
		buf_addf(&sql, "LOCK TABLE %s IN ROW EXCLUSIVE MODE",
		    l->pg->table.name);
	lane_command(l, "BEGIN");
	lane_command(l, buf_cstr(&sql));
	lane_command(l, "ROLLBACK");
	buf_fini(&sql);
	pg_conn_wait(c, on_probe, l);
}

void
lane_probe(struct lane *l)
{
	l->job = JOB_PROBE;
	pg_conn_open(&l->conn, on_probe_open, l);
}

/* --- life ----------------------------------------------------------------- */

void
lane_init(struct lane *l, struct postgres *pg, int timeout_ms)
{
	l->pg = pg;
	pg_conn_init(&l->conn, sink_loop(pg->sink),
	    opt_string(pg->opts, "host"), pg->names, pg->values, timeout_ms);
	pg_rows_init(&l->rows);
	buf_init(&l->text);
	buf_init(&l->reasons);
	l->oids = mem_zalloc(pg->params_len + 1, sizeof(*l->oids));
	l->table.conflict = pg->table.conflict;
	l->table.name =
	    pg->statement == NULL ? mem_strdup(pg->table.name) : NULL;
}

void
lane_fini(struct lane *l)
{
	pg_conn_close(&l->conn);
	pg_rows_fini(&l->rows);
	pg_table_fini(&l->table);
	for (size_t i = 0; i < l->arrays_len; i++)
		buf_fini(&l->arrays[i]);
	free(l->arrays);
	free(l->oids);
	free(l->records);
	free(l->faults);
	buf_fini(&l->text);
	buf_fini(&l->reasons);
}
