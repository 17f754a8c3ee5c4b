#include "connector-worker/sinks/postgres_lane.h"

#include "base/mem.h"

/* --- rows ----------------------------------------------------------------- */

static size_t
lane_columns(const struct lane *l)
{
	return l->pg->statement != NULL ? l->pg->params_len
					: l->table.columns_len;
}

static bool
lane_add_row(struct lane *l, const struct record *rec, const char **why)
{
	struct template_input *in = &l->pg->input;
	size_t n = lane_columns(l);

	template_input_set(in, rec);
	for (size_t i = 0; i < n; i++) {
		bool is_sql = l->pg->statement != NULL;

		if (!pg_rows_add(&l->rows,
			is_sql ? l->pg->params[i] : l->table.columns[i].value,
			in, is_sql ? l->oids[i] : l->table.columns[i].oid,
			why)) {
			pg_rows_undo(&l->rows);
			return false;
		}
	}
	pg_rows_end(&l->rows);
	return true;
}

/* What cannot be rendered is refused at once; false: nothing is left. */
static bool
lane_render(struct lane *l)
{
	struct sink_record **records = l->batch->records;
	size_t n = l->batch->count;

	if (n > l->records_cap) {
		l->records_cap = n;
		l->records = mem_realloc(l->records, n * sizeof(*l->records));
	}
	pg_rows_clear(&l->rows, lane_columns(l));
	for (size_t i = 0; i < n; i++) {
		const char *why = NULL;

		if (lane_add_row(l, records[i]->rec, &why))
			l->records[l->rows.n - 1] = records[i];
		else
			sink_answer(records[i], SINK_REFUSED, why);
	}
	return l->rows.n > 0;
}

static void
lane_send_arrays(struct lane *l, size_t first, size_t end)
{
	const char *values[SQL_PARAMS_MAX];
	int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
	size_t n = l->table.columns_len;

	if (n > l->arrays_len)
		l->arrays = mem_realloc(l->arrays, n * sizeof(*l->arrays));
	while (l->arrays_len < n)
		buf_init(&l->arrays[l->arrays_len++]);
	for (size_t i = 0; i < n; i++) {
		struct buf *b = &l->arrays[i];

		buf_clear(b);
		pg_rows_array(&l->rows, i, first, end,
		    l->table.columns[i].oid == PG_OID_BYTEA ? PG_OID_BYTEA
							    : PG_OID_TEXT,
		    b);
		values[i] = (const char *)buf_data(b);
		lengths[i] = (int)buf_len(b);
		formats[i] = 1;
	}
	(void)PQsendQueryPrepared(
	    l->conn.pg, "row", (int)n, values, lengths, formats, 0);
}

static void
lane_send_row(struct lane *l, size_t row)
{
	const char *values[SQL_PARAMS_MAX];
	int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
	size_t n = l->rows.columns;

	for (size_t i = 0; i < n; i++) {
		struct slice s = pg_rows_get(&l->rows, row, i);

		values[i] = (const char *)s.p;
		lengths[i] = (int)s.len;
		/* A text with a NUL in it would be cut: as bytes it is not. */
		formats[i] = l->oids[i] == PG_OID_BYTEA ||
			     (s.p != NULL && memchr(s.p, '\0', s.len) != NULL);
	}
	(void)PQsendQueryPrepared(
	    l->conn.pg, "row", (int)n, values, lengths, formats, 0);
}

void
lane_send_range(struct lane *l, size_t first, size_t end)
{
	while (first < end) {
		size_t stop = end;

		if (l->pg->statement != NULL)
			lane_send_row(l, stop = first);
		else {
			/* One statement may not update a row twice. */
			if (l->table.conflict == PG_CONFLICT_UPDATE)
				stop = pg_rows_distinct(
				    &l->rows, &l->table, first, end);
			lane_send_arrays(l, first, stop);
		}
		first = l->pg->statement != NULL ? stop + 1 : stop;
	}
}

/* --- the whole batch ------------------------------------------------------ */

static void
on_rolled_back(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	struct row_fault *f = l->faults;

	if (c->fault != PG_FAULT_NONE)
		lane_disconnect(l);
	lane_fail(l, f->outcome, (const char *)buf_data(&l->reasons));
}

/* No row can be told from the others: the batch fails as one. */
static void
whole_fail(struct lane *l, enum sink_outcome outcome, const char *reason)
{
	if (l->conn.pg == NULL || outcome == SINK_UNAVAILABLE) {
		lane_fail(l, outcome, reason);
		return;
	}
	l->faults = mem_realloc(l->faults, sizeof(*l->faults));
	l->faults->outcome = outcome;
	buf_clear(&l->reasons);
	buf_add(&l->reasons, reason, strlen(reason) + 1);
	lane_command(l, "ROLLBACK");
	pg_conn_wait(&l->conn, on_rolled_back, l);
}

static void
on_whole(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	struct sql_verdict v = lane_verdict(l);
	char reason[600];

	if (v.outcome == SINK_DELIVERED) {
		sink_answer_rest(l->batch, SINK_DELIVERED, NULL);
		lane_done(l);
		return;
	}
	lane_reason(l, reason, sizeof(reason));
	if (c->pg != NULL && !pg_conn_pipeline(c))
		lane_fail(l, SINK_UNAVAILABLE, reason);
	else if (v.is_of_row && l->rows.n > 1)
		lane_split(l);
	else
		whole_fail(l, v.outcome, reason);
}

static void
lane_send_copy(struct lane *l)
{
	struct buf sql;

	buf_init(&sql);
	pg_statement_copy(&sql, &l->table);
	buf_trim(&l->text, 4u << 20);
	buf_clear(&l->text);
	pg_rows_copy(&l->rows, &l->table, 0, l->rows.n, &l->text);
	pg_conn_copy(
	    &l->conn, buf_cstr(&sql), buf_slice(&l->text), on_whole, l);
	buf_fini(&sql);
}

void
lane_run_batch(struct lane *l)
{
	bool can_copy = l->pg->uses_copy;

	if (!lane_render(l)) {
		lane_done(l);
		return;
	}
	if (can_copy && l->table.conflict == PG_CONFLICT_UPDATE)
		can_copy = pg_rows_distinct(
			       &l->rows, &l->table, 0, l->rows.n) == l->rows.n;
	if (can_copy) {
		lane_send_copy(l);
		return;
	}
	if (!pg_conn_pipeline(&l->conn)) {
		lane_fail(l, SINK_UNAVAILABLE, "no pipeline");
		return;
	}
	lane_command(l, "BEGIN");
	lane_send_range(l, 0, l->rows.n);
	lane_command(l, "COMMIT");
	pg_conn_wait(&l->conn, on_whole, l);
}
