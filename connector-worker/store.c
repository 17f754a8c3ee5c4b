#include "connector-worker/store_room.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STORE_VERSION 1

static const char schema[] =
    "CREATE TABLE offsets(incarnation INTEGER NOT NULL, "
    "partition INTEGER NOT NULL, next INTEGER NOT NULL, "
    "PRIMARY KEY(incarnation, partition)) WITHOUT ROWID;"
    "CREATE TABLE ledger(incarnation INTEGER NOT NULL, "
    "partition INTEGER NOT NULL, version INTEGER NOT NULL, "
    "epoch INTEGER NOT NULL, first INTEGER NOT NULL, "
    "next INTEGER NOT NULL, matched INTEGER NOT NULL, "
    "delivered INTEGER NOT NULL, filtered INTEGER NOT NULL, "
    "discarded INTEGER NOT NULL, dlq INTEGER NOT NULL, "
    "replayed INTEGER NOT NULL, purged INTEGER NOT NULL, "
    "expired INTEGER NOT NULL, damaged INTEGER NOT NULL, "
    "skipped INTEGER NOT NULL, "
    "PRIMARY KEY(incarnation, partition, version, epoch)) WITHOUT ROWID;"
    "CREATE TABLE marks(incarnation INTEGER NOT NULL, "
    "partition INTEGER NOT NULL, version INTEGER NOT NULL, "
    "epoch INTEGER NOT NULL, offset INTEGER NOT NULL, "
    "matched INTEGER NOT NULL, "
    "PRIMARY KEY(incarnation, partition, version, epoch, offset)) "
    "WITHOUT ROWID;"
    "CREATE TABLE versions(version INTEGER PRIMARY KEY, topics TEXT);"
    "CREATE TABLE kept(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE bounds(incarnation INTEGER NOT NULL, "
    "partition INTEGER NOT NULL, first INTEGER NOT NULL, "
    "end INTEGER NOT NULL, PRIMARY KEY(incarnation, partition, first)) "
    "WITHOUT ROWID;"
    "CREATE TABLE dlq(row INTEGER PRIMARY KEY AUTOINCREMENT, "
    "id TEXT NOT NULL UNIQUE, connector TEXT NOT NULL, "
    "incarnation INTEGER NOT NULL, partition INTEGER NOT NULL, "
    "version INTEGER NOT NULL, epoch INTEGER NOT NULL, "
    "stream TEXT NOT NULL, offset INTEGER NOT NULL, topic TEXT, key BLOB, "
    "payload BLOB, qos INTEGER, retain INTEGER, client_id TEXT, "
    "username TEXT, protocol TEXT, timestamp_ms INTEGER, headers TEXT, "
    "content_type TEXT, response_topic TEXT, correlation_data BLOB, "
    "error TEXT, error_class TEXT, tries INTEGER, "
    "first_failure_ms INTEGER, last_failure_ms INTEGER);";

static const char *const statements[] = {
#define STATEMENT(NAME, sql) sql,
#include "connector-worker/statements.def"
#undef STATEMENT
};

/* Waits for a predecessor that is still on its way out. */
static int
lock_take(const char *connector, char *why, size_t size)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[128];
	int fd, i;

	snprintf(path, sizeof(path), "connectors/%s.lock", connector);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	for (i = 0; fcntl(fd, F_OFD_SETLK, &lock) == -1; i++) {
		if (i == 100) {
			snprintf(why, size, "%s is locked: another process "
			    "works for this connector", path);
			close(fd);
			return -1;
		}
		usleep(20000);
	}
	return fd;
}

static bool
store_prepare(struct store *s, char *why, size_t size)
{
	int i, version = db_version(s->db);

	if (version > STORE_VERSION) {
		snprintf(why, size, "the database is of a later version");
		return false;
	}
	if (version < 0 || (version == 0 &&
	    db_migrate(s->db, schema, STORE_VERSION) == -1)) {
		snprintf(why, size, "%s", db_error(s->db));
		return false;
	}
	for (i = 0; i < ST_COUNT; i++)
		s->st[i] = db_prepare(s->db, statements[i]);
	return true;
}

struct store *
store_open(const char *connector, bool *is_final, char *why, size_t size)
{
	struct store *s = mem_zalloc(1, sizeof(*s));
	enum db_fault fault = DB_OK;
	char path[128];

	*is_final = false;
	s->lock = lock_take(connector, why, size);
	if (s->lock == -1) {
		free(s);
		return NULL;
	}
	snprintf(path, sizeof(path), "connectors/%s.db", connector);
	s->db = db_open(path, DB_CREATE | DB_CHECK, DB_APP_CONNECTOR, &fault,
	    why, size);
	if (s->db == NULL) {
		*is_final = fault == DB_DAMAGED || fault == DB_FOREIGN;
		close(s->lock);
		free(s);
		return NULL;
	}
	db_set_patience(s->db, 2000);
	/* A page cache for small rows; the default is 2 MiB. */
	db_exec(s->db, "PRAGMA cache_size = -256");
	if (store_prepare(s, why, size))
		return s;
	store_close(s);
	return NULL;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	db_close(s->db);
	close(s->lock);
	free(s);
}

const char *
store_error(const struct store *s)
{
	return db_error(s->db);
}

bool
store_begin(struct store *s)
{
	return db_begin(s->db) == 0;
}

bool
store_commit(struct store *s)
{
	return db_commit(s->db) == 0;
}

void
store_rollback(struct store *s)
{
	db_rollback(s->db);
}

/* --- offsets and ledger ------------------------------------------------ */

static struct db_stmt *
place_bind(struct store *s, enum statement which, uint64_t incarnation,
    uint32_t partition)
{
	struct db_stmt *st = s->st[which];

	db_bind_u64(st, 1, incarnation);
	db_bind_u64(st, 2, partition);
	return st;
}

static struct db_stmt *
key_bind(struct store *s, enum statement which, const struct ledger_key *key)
{
	struct db_stmt *st = place_bind(s, which, key->incarnation,
	    key->partition);

	db_bind_u64(st, 3, key->version);
	db_bind_u64(st, 4, key->epoch);
	return st;
}

bool
store_offset(struct store *s, uint64_t incarnation, uint32_t partition,
    uint64_t *next)
{
	struct db_stmt *st = place_bind(s, ST_OFFSET_GET, incarnation,
	    partition);

	if (db_step(st) != 1)
		return false;
	*next = db_column_u64(st, 0);
	db_reset(st);
	return true;
}

bool
store_put_offset(struct store *s, uint64_t incarnation, uint32_t partition,
    uint64_t next)
{
	struct db_stmt *st = place_bind(s, ST_OFFSET_PUT, incarnation,
	    partition);

	db_bind_u64(st, 3, next);
	return db_run(st) == 0;
}

static void
ledger_read(struct db_stmt *st, struct ledger_row *row)
{
	struct tally *t = &row->tally;

	row->key.incarnation = db_column_u64(st, 0);
	row->key.partition = (uint32_t)db_column_u64(st, 1);
	row->key.version = db_column_u64(st, 2);
	row->key.epoch = db_column_u64(st, 3);
	row->first = db_column_u64(st, 4);
	row->next = db_column_u64(st, 5);
	t->matched = db_column_u64(st, 6);
	t->delivered = db_column_u64(st, 7);
	t->filtered = db_column_u64(st, 8);
	t->discarded = db_column_u64(st, 9);
	t->dlq = db_column_u64(st, 10);
	row->replayed = db_column_u64(st, 11);
	row->purged = db_column_u64(st, 12);
	t->expired = db_column_u64(st, 13);
	t->damaged = db_column_u64(st, 14);
	t->skipped = db_column_u64(st, 15);
}

bool
store_ledger_newest(struct store *s, uint64_t incarnation, uint32_t partition,
    uint64_t version, struct ledger_row *row)
{
	struct db_stmt *st = place_bind(s, ST_LEDGER_NEWEST, incarnation,
	    partition);

	db_bind_u64(st, 3, version);
	if (db_step(st) != 1)
		return false;
	ledger_read(st, row);
	db_reset(st);
	return true;
}

uint64_t
store_ledger_next_epoch(struct store *s, uint64_t incarnation,
    uint32_t partition, uint64_t version)
{
	struct db_stmt *st = place_bind(s, ST_LEDGER_EPOCH, incarnation,
	    partition);
	uint64_t epoch = 0;

	db_bind_u64(st, 3, version);
	if (db_step(st) == 1)
		epoch = db_column_u64(st, 0);
	db_reset(st);
	return epoch;
}

bool
store_add_ledger(struct store *s, const struct ledger_row *row)
{
	struct db_stmt *st = key_bind(s, ST_LEDGER_ADD, &row->key);
	const struct tally *t = &row->tally;

	db_bind_u64(st, 5, row->first);
	db_bind_u64(st, 6, row->next);
	db_bind_u64(st, 7, t->matched);
	db_bind_u64(st, 8, t->delivered);
	db_bind_u64(st, 9, t->filtered);
	db_bind_u64(st, 10, t->discarded);
	db_bind_u64(st, 11, t->dlq);
	db_bind_u64(st, 12, row->replayed);
	db_bind_u64(st, 13, row->purged);
	db_bind_u64(st, 14, t->expired);
	db_bind_u64(st, 15, t->damaged);
	db_bind_u64(st, 16, t->skipped);
	return db_run(st) == 0;
}

struct ledger_row *
store_ledger_all(struct store *s, size_t *count)
{
	struct db_stmt *st = s->st[ST_LEDGER_ALL];
	struct ledger_row *rows = NULL;
	size_t cap = 0;

	*count = 0;
	while (db_step(st) == 1) {
		if (*count == cap) {
			cap = cap == 0 ? 8 : cap * 2;
			rows = mem_realloc(rows, cap * sizeof(*rows));
		}
		rows[*count] = (struct ledger_row){0};
		ledger_read(st, &rows[(*count)++]);
	}
	return rows;
}

bool
store_put_mark(struct store *s, const struct ledger_key *key, uint64_t offset)
{
	struct db_stmt *st = key_bind(s, ST_MARK_PUT, key);

	db_bind_u64(st, 5, offset);
	return db_run(st) == 0;
}

void
store_mark(struct store *s, const struct ledger_row *row, uint64_t offset,
    uint64_t *at, uint64_t *matched)
{
	struct db_stmt *st = key_bind(s, ST_MARK_GET, &row->key);

	*at = row->first;
	*matched = 0;
	db_bind_u64(st, 5, offset);
	if (db_step(st) == 1) {
		*at = db_column_u64(st, 0);
		*matched = db_column_u64(st, 1);
	}
	db_reset(st);
}

bool
store_put_version(struct store *s, uint64_t version, const char *topics)
{
	struct db_stmt *st = s->st[ST_VERSION_PUT];

	db_bind_u64(st, 1, version);
	db_bind_str(st, 2, topics);
	return db_run(st) == 0;
}

char *
store_version(struct store *s, uint64_t version)
{
	struct db_stmt *st = s->st[ST_VERSION_GET];
	char *topics = NULL;

	db_bind_u64(st, 1, version);
	if (db_step(st) == 1)
		topics = slice_dup(db_column_text(st, 0));
	db_reset(st);
	return topics;
}

/* --- sink state and bounds --------------------------------------------- */

bool
store_put_keep(struct store *s, struct slice key, struct slice value)
{
	struct db_stmt *st = s->st[slice_is_null(value) ? ST_KEEP_REMOVE :
	    ST_KEEP_PUT];

	db_bind_blob(st, 1, key);
	if (!slice_is_null(value))
		db_bind_blob(st, 2, value);
	return db_run(st) == 0;
}

void
store_keeps(struct store *s, void (*cb)(struct slice, struct slice, void *),
    void *arg)
{
	struct db_stmt *st = s->st[ST_KEEP_ALL];

	while (db_step(st) == 1)
		cb(db_column_blob(st, 0), db_column_blob(st, 1), arg);
}

bool
store_put_bounds(struct store *s, const struct batch *b)
{
	struct db_stmt *st = place_bind(s, ST_BOUNDS_PUT, b->incarnation,
	    b->partition);

	db_bind_u64(st, 3, b->first);
	db_bind_u64(st, 4, b->end);
	return db_run(st) == 0;
}

bool
store_clear_bounds(struct store *s, const struct batch *b)
{
	struct db_stmt *st = place_bind(s, ST_BOUNDS_REMOVE, b->incarnation,
	    b->partition);

	db_bind_u64(st, 3, b->first);
	return db_run(st) == 0;
}

uint64_t
store_bounds(struct store *s, uint64_t incarnation, uint32_t partition,
    uint64_t first)
{
	struct db_stmt *st = place_bind(s, ST_BOUNDS_GET, incarnation,
	    partition);
	uint64_t end = 0;

	db_bind_u64(st, 3, first);
	if (db_step(st) == 1)
		end = db_column_u64(st, 0);
	db_reset(st);
	return end;
}
