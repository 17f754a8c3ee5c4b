#include "connector-worker/sinks/postgres_lane.h"

#include "base/log.h"
#include "base/mem.h"

static void
on_split_end(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	size_t n = l->rows.n;
	char reason[600];

	(void)c;
	if (l->conn.fault != PG_FAULT_NONE) {
		lane_fail(l, lane_verdict(l).outcome,
		    lane_reason(l, reason, sizeof(reason)));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct row_fault *f = &l->faults[i];

		if (f->is_set)
			sink_answer(l->records[i], f->outcome,
			    (const char *)buf_data(&l->reasons) + f->reason);
		else
			sink_answer(l->records[i], SINK_DELIVERED, NULL);
	}
	lane_done(l);
}

static void
split_push(struct lane *l, size_t first, size_t end)
{
	bug_on(l->ranges_len == RANGES_MAX);
	if (first < end)
		l->ranges[l->ranges_len++] = (struct range){first, end};
}

static void
split_range(struct lane *l, size_t first, size_t end)
{
	size_t middle = first + (end - first) / 2;

	split_push(l, middle, end);
	split_push(l, first, middle);
}

/* The next range without its rows that are held; false: there is none. */
static bool
split_pop(struct lane *l, struct range *range)
{
	while (l->ranges_len > 0) {
		struct range r = l->ranges[--l->ranges_len];
		size_t end;

		while (r.first < r.end && l->faults[r.first].is_set)
			r.first++;
		for (end = r.first; end < r.end && !l->faults[end].is_set;)
			end++;
		split_push(l, end, r.end);
		if (r.first == end)
			continue;
		*range = (struct range){r.first, end};
		return true;
	}
	return false;
}

static void
row_set(
    struct lane *l, size_t row, enum sink_outcome outcome, const char *reason)
{
	l->faults[row] =
	    (struct row_fault){true, outcome, buf_len(&l->reasons)};
	buf_add(&l->reasons, reason, strlen(reason) + 1);
}

/* A row that may come again holds back what may not overtake it. */
static void
row_fail(
    struct lane *l, size_t row, enum sink_outcome outcome, const char *reason)
{
	uint64_t order = l->records[row]->order;

	row_set(l, row, outcome, reason);
	if (outcome == SINK_REFUSED || order == 0)
		return;
	for (size_t i = row + 1; i < l->rows.n; i++)
		if (l->records[i]->order == order)
			row_set(l, i, SINK_HELD, "an earlier one failed");
}

static void on_range(struct pg_conn *, void *);

static void
split_next(struct lane *l)
{
	struct range range;

	if (l->must_roll_back) {
		lane_command(l, "ROLLBACK TO SAVEPOINT part");
		lane_command(l, "RELEASE SAVEPOINT part");
		l->must_roll_back = false;
	}
	if (!split_pop(l, &range)) {
		lane_command(l, "COMMIT");
		pg_conn_wait(&l->conn, on_split_end, l);
		return;
	}
	l->range = range;
	lane_command(l, "SAVEPOINT part");
	lane_send_range(l, l->range.first, l->range.end);
	lane_command(l, "RELEASE SAVEPOINT part");
	pg_conn_wait(&l->conn, on_range, l);
}

static void
on_range(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	struct sql_verdict v = lane_verdict(l);
	char reason[600];

	(void)c;
	lane_reason(l, reason, sizeof(reason));
	if (v.outcome != SINK_DELIVERED && !v.is_of_row) {
		lane_fail(l, v.outcome, reason);
		return;
	}
	if (v.outcome != SINK_DELIVERED) {
		l->must_roll_back = true;
		if (l->range.end - l->range.first > 1)
			split_range(l, l->range.first, l->range.end);
		else
			row_fail(l, l->range.first, v.outcome, reason);
	}
	split_next(l);
}

static void
on_split_begun(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	char reason[600];

	(void)c;
	if (l->conn.fault != PG_FAULT_NONE) {
		lane_fail(l, lane_verdict(l).outcome,
		    lane_reason(l, reason, sizeof(reason)));
		return;
	}
	split_next(l);
}

/* Constraints that were put off would blame no row but the COMMIT. */
void
lane_split(struct lane *l)
{
	size_t n = l->rows.n;

	l->faults = mem_realloc(l->faults, n * sizeof(*l->faults));
	memset(l->faults, 0, n * sizeof(*l->faults));
	buf_clear(&l->reasons);
	l->ranges_len = 0;
	l->must_roll_back = false;
	split_range(l, 0, n);
	lane_command(l, "ROLLBACK");
	lane_command(l, "BEGIN");
	lane_command(l, "SET CONSTRAINTS ALL IMMEDIATE");
	pg_conn_wait(&l->conn, on_split_begun, l);
}
