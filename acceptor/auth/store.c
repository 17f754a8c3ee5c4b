#include "acceptor/auth/store.h"

#include "base/db/db.h"

#include <stdio.h>

#define PATH "auth/auth.db"
#define APPLICATION 0x42684b33u

static const char schema[] =
    "CREATE TABLE users(name TEXT PRIMARY KEY, hash TEXT NOT NULL, "
    "scram_salt BLOB, scram_stored BLOB, scram_server BLOB, "
    "scram_iterations INTEGER) WITHOUT ROWID;"
    "CREATE TABLE rules(id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "line TEXT NOT NULL);"
    "CREATE TABLE bans(kind INTEGER, value TEXT, until_ms INTEGER NOT NULL, "
    "reason TEXT NOT NULL, PRIMARY KEY(kind, value)) WITHOUT ROWID;";

static struct {
	struct db *db;
	char why[512];
} store;

const char *
store_why(void)
{
	return store.db != NULL && store.why[0] == '\0' ?
	    db_error(store.db) : store.why;
}

static bool
store_open(unsigned flags, enum db_fault *fault)
{
	if (store.db != NULL)
		return true;
	store.db = db_open(PATH, flags, APPLICATION, fault, store.why,
	    sizeof(store.why));
	if (store.db == NULL)
		return false;
	store.why[0] = '\0';
	if (db_version(store.db) == 0 &&
	    db_migrate(store.db, schema, 1) != 0) {
		snprintf(store.why, sizeof(store.why), "%s",
		    db_error(store.db));
		db_close(store.db);
		store.db = NULL;
		*fault = DB_FAILED;
		return false;
	}
	return true;
}

/* ---- reading -------------------------------------------------------------- */

static bool
secret_get(struct db_stmt *st, struct scram_secret *s)
{
	struct slice salt = db_column_blob(st, 2);
	struct slice stored = db_column_blob(st, 3);
	struct slice server = db_column_blob(st, 4);

	*s = (struct scram_secret){0};
	if (salt.len == 0 || salt.len > SCRAM_SALT_MAX ||
	    stored.len != SCRAM_KEY_LEN || server.len != SCRAM_KEY_LEN)
		return false;
	memcpy(s->salt, salt.p, salt.len);
	s->salt_len = salt.len;
	memcpy(s->stored_key, stored.p, SCRAM_KEY_LEN);
	memcpy(s->server_key, server.p, SCRAM_KEY_LEN);
	s->iterations = (uint32_t)db_column_i64(st, 5);
	return true;
}

static void
user_get(struct db_stmt *st, const struct store_ops *ops)
{
	struct scram_secret s;
	bool has_scram = secret_get(st, &s);

	ops->on_user(db_column_text(st, 0), db_column_text(st, 1),
	    has_scram ? &s : NULL);
	explicit_bzero(&s, sizeof(s));
}

static void
rule_get(struct db_stmt *st, const struct store_ops *ops)
{
	ops->on_rule(db_column_u64(st, 0), db_column_text(st, 1));
}

static void
ban_get(struct db_stmt *st, const struct store_ops *ops)
{
	ops->on_ban((uint8_t)db_column_i64(st, 0), db_column_text(st, 1),
	    db_column_u64(st, 2), db_column_text(st, 3));
}

static bool
rows_get(const char *sql, const struct store_ops *ops,
    void (*get)(struct db_stmt *, const struct store_ops *))
{
	struct db_stmt *st = db_prepare(store.db, sql);
	int more;

	while ((more = db_step(st)) == 1)
		get(st, ops);
	db_finalize(st);
	return more == 0;
}

bool
store_load(const struct store_ops *ops)
{
	enum db_fault fault = DB_OK;

	if (!store_open(0, &fault))
		return fault == DB_MISSING;
	return rows_get("SELECT name, hash, scram_salt, scram_stored, "
		   "scram_server, scram_iterations FROM users", ops,
		   user_get) &&
	    rows_get("SELECT id, line FROM rules ORDER BY id", ops,
		rule_get) &&
	    rows_get("SELECT kind, value, until_ms, reason FROM bans", ops,
		ban_get);
}

/* ---- changes -------------------------------------------------------------- */

static struct db_stmt *
change(const char *sql)
{
	enum db_fault fault;

	return store_open(DB_CREATE, &fault) ? db_prepare(store.db, sql) :
	    NULL;
}

static bool
changed(struct db_stmt *st)
{
	bool is_good = db_run(st) == 0;

	db_finalize(st);
	return is_good;
}

bool
store_put_user(struct slice name, struct slice hash,
    const struct scram_secret *scram)
{
	struct db_stmt *st = change("INSERT OR REPLACE INTO users "
	    "VALUES(?1, ?2, ?3, ?4, ?5, ?6)");

	if (st == NULL)
		return false;
	db_bind_text(st, 1, name);
	db_bind_text(st, 2, hash);
	db_bind_blob(st, 3, slice_of(scram->salt, scram->salt_len));
	db_bind_blob(st, 4, slice_of(scram->stored_key, SCRAM_KEY_LEN));
	db_bind_blob(st, 5, slice_of(scram->server_key, SCRAM_KEY_LEN));
	db_bind_i64(st, 6, scram->iterations);
	return changed(st);
}

bool
store_remove_user(struct slice name)
{
	struct db_stmt *st = change("DELETE FROM users WHERE name = ?1");

	if (st == NULL)
		return false;
	db_bind_text(st, 1, name);
	return changed(st);
}

uint64_t
store_add_rule(struct slice line)
{
	struct db_stmt *st = change("INSERT INTO rules(line) VALUES(?1)");

	if (st == NULL)
		return 0;
	db_bind_text(st, 1, line);
	if (!changed(st))
		return 0;
	return (uint64_t)sqlite3_last_insert_rowid(db_handle(store.db));
}

bool
store_remove_rule(uint64_t id)
{
	struct db_stmt *st = change("DELETE FROM rules WHERE id = ?1");

	if (st == NULL)
		return false;
	db_bind_u64(st, 1, id);
	return changed(st);
}

bool
store_put_ban(uint8_t kind, struct slice value, uint64_t until_ms,
    struct slice reason)
{
	struct db_stmt *st = change("INSERT OR REPLACE INTO bans "
	    "VALUES(?1, ?2, ?3, ?4)");

	if (st == NULL)
		return false;
	db_bind_i64(st, 1, kind);
	db_bind_text(st, 2, value);
	db_bind_u64(st, 3, until_ms);
	db_bind_text(st, 4, reason);
	return changed(st);
}

bool
store_remove_ban(uint8_t kind, struct slice value)
{
	struct db_stmt *st = change("DELETE FROM bans WHERE kind = ?1 AND "
	    "value = ?2");

	if (st == NULL)
		return false;
	db_bind_i64(st, 1, kind);
	db_bind_text(st, 2, value);
	return changed(st);
}
