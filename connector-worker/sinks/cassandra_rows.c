/*
 * cassandra_rows - a record's row, and what the answer says of it.
 *
 * Rows of a key are under way together, on streams that the node may answer
 * and apply in any order. Each therefore carries a write time of its own, in
 * the order of the log, by which Cassandra lets the last one win; and
 * answers are told in the batch's order, so that a row whose predecessor has
 * to come again comes again after it.
 */
#include "base/mem.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/sinks/cassandra_sink.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_ROWS_MAX 100
/* Below the 50 KiB from which on a server refuses a batch. */
#define BATCH_BYTES_MAX (40u << 10)
#define UNPREPARED_MAX 3
#define EXCERPT_MAX 300

/* ---- jobs ---------------------------------------------------------------- */

void
rows_take(struct cassandra *c, struct sink_batch *batch)
{
	struct job *job = mem_zalloc(1, sizeof(*job));
	int64_t now = (int64_t)(ev_now(sink_loop(c->sink)) * 1e6);

	job->rows = mem_zalloc(batch->count, sizeof(*job->rows));
	job->count = job->waiting = batch->count;
	for (size_t i = 0; i < batch->count; i++) {
		if (now <= c->last_micros)
			now = c->last_micros + 1;
		job->rows[i].record = batch->records[i];
		job->rows[i].micros = c->last_micros = now;
	}
	*c->jobs_tail = job;
	c->jobs_tail = &job->next;
}

static void
job_free(struct cassandra *c, struct job *job)
{
	struct job **p = &c->jobs;

	while (*p != job)
		p = &(*p)->next;
	*p = job->next;
	if (job->next == NULL)
		c->jobs_tail = p;
	for (size_t i = 0; i < job->count; i++)
		free(job->rows[i].why);
	buf_fini(&job->text);
	free(job->held);
	free(job->rows);
	free(job);
}

static bool
job_holds(const struct job *job, uint64_t order)
{
	for (size_t i = 0; i < job->held_count; i++)
		if (job->held[i] == order)
			return true;
	return false;
}

static void
job_tell(struct job *job, struct row *row)
{
	uint64_t order = row->record->order;
	bool is_held = order != 0 && job_holds(job, order);

	if (is_held && row->outcome != SINK_REFUSED) {
		row->outcome = SINK_HELD;
	} else if (order != 0 && row->outcome != SINK_DELIVERED &&
		   row->outcome != SINK_REFUSED) {
		job->held = mem_realloc(
		    job->held, (job->held_count + 1) * sizeof(*job->held));
		job->held[job->held_count++] = order;
	}
	sink_answer(row->record, row->outcome, row->why);
}

/* An answer may bring the next batch at once: begin again after each job. */
static void
jobs_settle(struct cassandra *c)
{
	struct job *job = c->jobs;

	if (c->is_settling)
		return;
	c->is_settling = true;
	while (job != NULL) {
		if (job->rows[job->settled].state != ROW_DONE) {
			job = job->next;
			continue;
		}
		while (job->settled < job->count &&
		       job->rows[job->settled].state == ROW_DONE)
			job_tell(job, &job->rows[job->settled++]);
		if (job->settled == job->count)
			job_free(c, job);
		job = c->jobs;
	}
	c->is_settling = false;
}

static void
row_done(struct row *row, enum sink_outcome outcome, const char *why)
{
	row->state = ROW_DONE;
	row->outcome = outcome;
	row->why = why == NULL ? NULL : slice_dup(slice_str(why));
}

static void
row_wait(struct job *job, size_t i)
{
	job->rows[i].state = ROW_WAITING;
	job->waiting++;
	/* The text may have been made without it meanwhile. */
	job->prepared = 0;
	if (i < job->first_waiting)
		job->first_waiting = i;
}

/* ---- values -------------------------------------------------------------- */

/* FNV-1a: where two keys have the same, a batch has two partitions. */
static uint64_t
hash_add(uint64_t hash, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		hash = (hash ^ s.p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static bool
column_render(struct cassandra *c, struct buf *out, size_t i, const char **why)
{
	enum value_kind kind;

	buf_clear(&c->value);
	if (!template_value(c->values[i], &c->input, &c->value, &kind, why))
		return false;
	if (kind == VALUE_NULL) {
		cql_value_add_unset(out);
		return true;
	}
	return cql_value_add(
	    out, c->meta.columns[i].type, buf_slice(&c->value), why);
}

static void
row_render(struct cassandra *c, struct job *job, struct row *row)
{
	struct buf *out = &job->text;
	size_t starts[COLUMNS_MAX + 2];
	const char *why = NULL;
	char text[400];

	template_input_set(&c->input, row->record->rec);
	row->at = buf_len(out);
	buf_add_be16(out, (uint16_t)(c->column_count + 1));
	for (size_t i = 0; i < c->column_count; i++) {
		starts[i] = buf_len(out);
		if (column_render(c, out, i, &why))
			continue;
		snprintf(text, sizeof(text), "column %.200s: %s",
		    opt_key(sink_opts(c->sink), "columns", i), why);
		job->waiting--;
		row_done(row, SINK_REFUSED, text);
		return;
	}
	starts[c->column_count] = buf_len(out);
	cql_value_add_bigint(out, row->micros);
	starts[c->column_count + 1] = buf_len(out);
	row->len = buf_len(out) - row->at;
	row->partition = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < c->meta.key_count; i++) {
		size_t k = c->meta.keys[i];

		row->partition =
		    hash_add(row->partition, slice_of(buf_data(out) + starts[k],
						 starts[k + 1] - starts[k]));
	}
}

/* What waits of a job, as the types are now. */
static void
job_render(struct cassandra *c, struct job *job)
{
	job->prepared = c->prepared;
	buf_clear(&job->text);
	for (size_t i = job->settled; i < job->count; i++)
		if (job->rows[i].state == ROW_WAITING)
			row_render(c, job, &job->rows[i]);
}

static struct slice
row_values(const struct job *job, const struct row *row)
{
	return slice_of(buf_data(&job->text) + row->at, row->len);
}

/* ---- sending ------------------------------------------------------------- */

/*
 * Links the rows that go together with the first, which may be it alone;
 * how many they are.
 */
static size_t
rows_group(struct cassandra *c, struct job *job, size_t first)
{
	struct row *last = &job->rows[first];
	size_t bytes = last->len, count = 1;
	uint64_t partition = last->partition;

	last->next = 0;
	if (!c->is_batched || last->is_alone || c->meta.key_count == 0)
		return 1;
	for (size_t i = first + 1; i < job->count && count < BATCH_ROWS_MAX;
	     i++) {
		struct row *row = &job->rows[i];

		if (row->state != ROW_WAITING || row->is_alone ||
		    row->partition != partition)
			continue;
		if (bytes + row->len > BATCH_BYTES_MAX)
			break;
		bytes += row->len;
		count++;
		last->next = i + 1;
		last = row;
		last->next = 0;
	}
	return count;
}

static void
rows_send(struct cassandra *c, struct job *job, size_t first)
{
	uint16_t number = c->free_streams[--c->free_count];
	struct buf *out = conn_out(c->link.conn);
	struct slice id = buf_slice(&c->id);
	size_t count = rows_group(c, job, first), begin = 0;

	c->streams[number - 1] =
	    (struct stream){job, first, ev_now(sink_loop(c->sink))};
	if (count > 1)
		begin = cql_batch_begin(out, number, count);
	for (size_t at = first + 1; at != 0; at = job->rows[at - 1].next) {
		struct row *row = &job->rows[at - 1];

		row->state = ROW_SENT;
		job->waiting--;
		if (count > 1)
			cql_batch_add(out, id, row_values(job, row));
		else
			cql_execute(out, number, id, row_values(job, row),
			    c->consistency);
	}
	if (count > 1)
		cql_batch_end(out, begin, c->consistency);
}

void
rows_pump(struct cassandra *c)
{
	if (link_is_ready(c))
		for (struct job *job = c->jobs; job != NULL; job = job->next) {
			size_t i = job->first_waiting;

			if (job->waiting > 0 && job->prepared != c->prepared)
				job_render(c, job);
			for (; job->waiting > 0 && c->free_count > 0; i++)
				if (job->rows[i].state == ROW_WAITING)
					rows_send(c, job, i);
			job->first_waiting = i;
		}
	jobs_settle(c);
}

/* ---- answers ------------------------------------------------------------- */

static size_t
stream_free(struct cassandra *c, size_t i)
{
	c->streams[i].job = NULL;
	c->free_streams[c->free_count++] = (uint16_t)(i + 1);
	return c->streams[i].first;
}

static void
rows_done(
    struct job *job, size_t first, enum sink_outcome outcome, const char *why)
{
	for (size_t at = first + 1; at != 0; at = job->rows[at - 1].next)
		row_done(&job->rows[at - 1], outcome, why);
}

/* The node has forgotten the statement, as after a restart. */
static void
rows_unprepared(struct cassandra *c, struct job *job, size_t first)
{
	for (size_t at = first + 1; at != 0; at = job->rows[at - 1].next) {
		struct row *row = &job->rows[at - 1];

		if (row->unprepared++ < UNPREPARED_MAX)
			row_wait(job, at - 1);
		else
			row_done(row, SINK_UNAVAILABLE,
			    "the node forgets what it prepared");
	}
	link_prepare(c);
}

/* One of them was refused: each is asked for by itself. */
static void
rows_apart(struct job *job, size_t first)
{
	for (size_t at = first + 1; at != 0; at = job->rows[at - 1].next) {
		job->rows[at - 1].is_alone = true;
		row_wait(job, at - 1);
	}
}

static const char *
rows_error(
    struct cassandra *c, struct job *job, size_t first, struct slice body)
{
	enum sink_outcome outcome;
	struct cql_fault fault;
	struct buf text;

	if (!cql_fault_get(body, &fault)) {
		rows_done(job, first, SINK_UNSURE, "its error makes no sense");
		return "its error makes no sense";
	}
	outcome = cql_fault_outcome(fault.code);
	if (fault.code == CQL_ERROR_UNPREPARED) {
		rows_unprepared(c, job, first);
		return NULL;
	}
	if (job->rows[first].next != 0 && outcome != SINK_UNAVAILABLE) {
		rows_apart(job, first);
		return NULL;
	}
	buf_init(&text);
	buf_addf(&text, "%s: ", cql_fault_name(fault.code));
	excerpt_add(&text, fault.text, EXCERPT_MAX);
	rows_done(job, first, outcome, buf_cstr(&text));
	buf_fini(&text);
	return fault.code == CQL_ERROR_BOOTSTRAPPING
		   ? "the node is bootstrapping"
		   : NULL;
}

const char *
rows_answer(struct cassandra *c, const struct cql_frame *f)
{
	size_t i = (size_t)f->stream - 1, first;
	const char *why = NULL;
	struct job *job;

	if (i >= c->stream_count || c->streams[i].job == NULL)
		return "an answer nobody asked for";
	job = c->streams[i].job;
	first = stream_free(c, i);
	if (f->opcode == CQL_RESULT) {
		rows_done(job, first, SINK_DELIVERED, NULL);
	} else if (f->opcode == CQL_ERROR) {
		why = rows_error(c, job, first, f->body);
	} else {
		why = "its answer to a row makes no sense";
		rows_done(job, first, SINK_UNSURE, why);
	}
	jobs_settle(c);
	return why;
}

void
rows_fail(struct cassandra *c, enum sink_outcome outcome, const char *why)
{
	for (size_t i = 0; i < c->stream_count; i++) {
		struct job *job = c->streams[i].job;

		if (job != NULL)
			rows_done(job, stream_free(c, i), outcome, why);
	}
	for (struct job *job = c->jobs; job != NULL; job = job->next) {
		for (size_t i = 0; i < job->count; i++)
			if (job->rows[i].state == ROW_WAITING)
				row_done(&job->rows[i], SINK_UNAVAILABLE, why);
		job->waiting = 0;
	}
	jobs_settle(c);
}

void
rows_free(struct cassandra *c)
{
	while (c->jobs != NULL)
		job_free(c, c->jobs);
}
