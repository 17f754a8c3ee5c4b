#include "router/rows.h"

#include "base/log.h"
#include "base/mem.h"
#include "router/log/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define ROWS_VERSION 1
#define ROWS_PATIENCE_MS 3000
/* A larger file is not read whole at each start. */
#define ROWS_CHECK_MAX ((off_t)64 << 20)

static const char schema[] =
    "create table meta (key text primary key, value integer not null)"
    " without rowid;"
    "create table stream (name text primary key, incarnation integer not null,"
    " partitions integer not null, topics text not null,"
    " retention_ms integer not null, retention_bytes integer not null,"
    " is_consumed integer not null, source text not null,"
    " created_ms integer not null) without rowid;"
    "create table partition (stream text not null, part integer not null,"
    " reserved_end integer not null default 0,"
    " log_start integer not null default 0,"
    " checkpoint_segment integer not null default 0,"
    " checkpoint_position integer not null default 0,"
    " checkpoint_offset integer not null default 0,"
    " applied integer not null default 0, senders blob,"
    " primary key (stream, part)) without rowid;"
    "create table sender (incarnation integer primary key,"
    " retained integer not null);"
    "create table session (id integer primary key,"
    " client_id text not null unique, username text, protocol text,"
    " expiry_s integer not null, epoch integer not null,"
    " created_ms integer not null, offline_ms integer not null,"
    " floor integer not null, next integer not null,"
    " first_offset integer not null, exceptions blob, received blob,"
    " receive_max integer not null);"
    "create table sub (session integer not null, filter text not null,"
    " options integer not null, sub_id integer not null,"
    " primary key (session, filter)) without rowid;"
    "create table retained (topic text primary key, payload blob,"
    " flags integer not null, timestamp_ms integer not null,"
    " expires_ms integer not null, props blob, client_id text);"
    "create table will (client_id text primary key, due_ms integer not null,"
    " topic text not null, payload blob, flags integer not null,"
    " expiry_s integer not null, props blob, username text, protocol text);";

static const struct {
	const char *signature, *sql;
} row_table[ROW_COUNT] = {
#define ROW(NAME, signature, sql) [ROW_##NAME] = {signature, sql},
#include "router/rows.def"
#undef ROW
};

/*
 * What stands in the rows of sessions is true up to here: inbound packet
 * identifiers are taken from later records only.
 */
struct applied {
	char stream[LOG_STREAM_NAME_MAX + 1];
	uint32_t part;
	uint64_t end;
};

struct rows {
	struct db *db;
	struct db_stmt *statements[ROW_COUNT];
	struct db_stmt *reserve, *checkpoint, *applied;
	struct applied *pending;	/* of this commit and failed ones */
	size_t pending_len, pending_cap;
	char error[512];
};

/* ---- gathering ---------------------------------------------------------- */

void
row_add(struct buf *b, enum row_op op, const struct row_value *values)
{
	const char *sig = row_table[op].signature;

	buf_add_u8(b, (uint8_t)op);
	for (size_t i = 0; sig[i] != '\0'; i++) {
		if (sig[i] == 'u') {
			buf_add_be64(b, values[i].u);
			continue;
		}
		if (slice_is_null(values[i].s)) {
			buf_add_be32(b, UINT32_MAX);
			continue;
		}
		buf_add_be32(b, (uint32_t)values[i].s.len);
		buf_add_slice(b, values[i].s);
	}
}

static uint64_t
take_number(struct slice *s, size_t n)
{
	uint64_t v = 0;

	bug_on(s->len < n);
	for (size_t i = 0; i < n; i++)
		v = v << 8 | s->p[i];
	s->p += n;
	s->len -= n;
	return v;
}

static void
bind_slice(struct db_stmt *st, int i, char kind, struct slice *s)
{
	uint64_t n = take_number(s, 4);
	struct slice v;

	if (n == UINT32_MAX) {
		db_bind_null(st, i);
		return;
	}
	bug_on(s->len < n);
	v = slice_of(s->p, (size_t)n);
	s->p += n;
	s->len -= (size_t)n;
	if (kind == 't')
		db_bind_text(st, i, v);
	else
		db_bind_blob(st, i, v);
}

static int
run_row(struct rows *r, struct slice *s)
{
	unsigned op = (unsigned)take_number(s, 1);
	struct db_stmt *st;
	const char *sig;

	bug_on(op >= ROW_COUNT);
	sig = row_table[op].signature;
	st = r->statements[op];
	for (int i = 0; sig[i] != '\0'; i++) {
		if (sig[i] == 'u')
			db_bind_u64(st, i + 1, take_number(s, 8));
		else
			bind_slice(st, i + 1, sig[i], s);
	}
	return db_run(st);
}

/* ---- the transaction ---------------------------------------------------- */

static int
run_partition(struct rows *r, const struct log_row *row)
{
	struct db_stmt *st = row->is_checkpoint ? r->checkpoint : r->reserve;
	const struct log_state *state = &row->state;

	db_bind_str(st, 1, row->stream);
	db_bind_u64(st, 2, row->index);
	db_bind_u64(st, 3, state->reserved_end);
	db_bind_u64(st, 4, state->log_start);
	if (row->is_checkpoint) {
		db_bind_u64(st, 5, state->checkpoint_segment);
		db_bind_u64(st, 6, state->checkpoint_position);
		db_bind_u64(st, 7, state->checkpoint_offset);
		db_bind_blob(st, 8,
		    slice_of(state->senders,
			state->senders_len * sizeof(*state->senders)));
	}
	return db_run(st);
}

static void
note_applied(struct rows *r, const struct log_part *part)
{
	struct applied *a;

	if (part->end == part->first || part->error != 0)
		return;
	if (r->pending_len == r->pending_cap) {
		r->pending_cap = r->pending_cap == 0 ? 8 : r->pending_cap * 2;
		r->pending = mem_realloc(
		    r->pending, r->pending_cap * sizeof(*r->pending));
	}
	a = &r->pending[r->pending_len++];
	snprintf(a->stream, sizeof(a->stream), "%s",
	    log_stream_name(log_partition_stream(part->partition)));
	a->part = log_partition_index(part->partition);
	a->end = part->end;
}

static int
run_applied(struct rows *r, const struct applied *a)
{
	db_bind_u64(r->applied, 1, a->end);
	db_bind_str(r->applied, 2, a->stream);
	db_bind_u64(r->applied, 3, a->part);
	return db_run(r->applied);
}

static int
run_all(struct rows *r, const struct log_commit *commit, struct slice rest)
{
	for (size_t i = 0; i < commit->rows_len; i++)
		if (run_partition(r, &commit->rows[i]) != 0)
			return -1;
	if (commit->has_refused)
		return 0;
	for (size_t i = 0; rest.len > 0 && i < r->pending_len; i++)
		if (run_applied(r, &r->pending[i]) != 0)
			return -1;
	while (rest.len > 0)
		if (run_row(r, &rest) != 0)
			return -1;
	return 0;
}

static int
rows_fail(struct rows *r)
{
	enum db_fault fault = db_fault(r->db);

	snprintf(r->error, sizeof(r->error), "%s", db_error(r->db));
	return fault == DB_LOCKED ? EBUSY :
	    fault == DB_NO_SPACE ? ENOSPC : EIO;
}

int
rows_run(struct rows *r, const struct log_commit *commit,
    struct slice gathered)
{
	int err;

	r->error[0] = '\0';
	for (size_t i = 0; gathered.len > 0 && i < commit->parts_len; i++)
		note_applied(r, &commit->parts[i]);
	if (commit->rows_len == 0 &&
	    (gathered.len == 0 || commit->has_refused))
		return 0;
	if (db_begin(r->db) != 0)
		return rows_fail(r);
	if (run_all(r, commit, gathered) != 0 || db_commit(r->db) != 0) {
		err = rows_fail(r);
		db_rollback(r->db);
		return err;
	}
	if (!commit->has_refused)
		r->pending_len = 0;
	return 0;
}

const char *
rows_error(const struct rows *r)
{
	return r->error;
}

/* ---- life --------------------------------------------------------------- */

static void
rows_prepare(struct rows *r)
{
	for (unsigned i = 0; i < ROW_COUNT; i++)
		r->statements[i] = db_prepare(r->db, row_table[i].sql);
	r->reserve = db_prepare(r->db,
	    "insert into partition (stream, part, reserved_end, log_start) "
	    "values (?1, ?2, ?3, ?4) on conflict (stream, part) do update set "
	    "reserved_end = ?3, log_start = ?4");
	r->checkpoint = db_prepare(r->db,
	    "insert into partition (stream, part, reserved_end, log_start, "
	    "checkpoint_segment, checkpoint_position, checkpoint_offset, "
	    "senders) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
	    "on conflict (stream, part) do update set reserved_end = ?3, "
	    "log_start = ?4, checkpoint_segment = ?5, "
	    "checkpoint_position = ?6, checkpoint_offset = ?7, senders = ?8");
	r->applied = db_prepare(r->db,
	    "insert into partition (applied, stream, part) "
	    "values (?1, ?2, ?3) on conflict (stream, part) do update set "
	    "applied = ?1");
}

struct rows *
rows_open(char *text, size_t cap)
{
	struct rows *r = mem_zalloc(1, sizeof(*r));
	unsigned flags = DB_CREATE;
	enum db_fault fault;
	struct stat st;
	int version;

	if (stat(ROWS_FILE, &st) == 0 && st.st_size < ROWS_CHECK_MAX)
		flags |= DB_CHECK;
	r->db = db_open(ROWS_FILE, flags, DB_APP_ROUTER, &fault, text, cap);
	if (r->db == NULL) {
		free(r);
		return NULL;
	}
	db_set_patience(r->db, ROWS_PATIENCE_MS);
	version = db_version(r->db);
	if (version > ROWS_VERSION)
		snprintf(text, cap,
		    "%s: written by a newer Bulkhead (schema %d); it was left "
		    "as it is: run that version, or move the file away",
		    ROWS_FILE, version);
	else if (version == -1 ||
	    (version == 0 &&
		db_migrate(r->db, schema, ROWS_VERSION) != 0))
		snprintf(text, cap, "%s", db_error(r->db));
	else {
		rows_prepare(r);
		return r;
	}
	rows_close(r);
	return NULL;
}

void
rows_close(struct rows *r)
{
	if (r == NULL)
		return;
	db_close(r->db);
	free(r->pending);
	free(r);
}

struct db *
rows_db(struct rows *r)
{
	return r->db;
}
