/*
 * db - a sqlite database of one process: opened safely, faults told apart.
 *
 * The path is used as it was given (a VFS of our own leaves it alone), so a
 * relative one works in a current directory whose parents the process may
 * not traverse. Journal WAL, synchronous FULL: what db_commit returned 0
 * for survives power loss. A file that is damaged, locked or not ours is
 * never written to.
 *
 * Functions that can fail return 0 or a row count, and -1 with the cause in
 * db_fault and db_error until the next call on this database. A bug in the
 * SQL text or a wrong parameter number aborts. Not for several threads at
 * once. Statements live as long as their database.
 *
 * Architecture, section 3 (router.db, connectors/NAME.db).
 */
#ifndef BASE_DB_DB_H
#define BASE_DB_DB_H

#include "base/slice.h"

#include <sqlite3.h>

enum db_fault {
	DB_OK,
	DB_LOCKED,	/* another process holds a lock: try again */
	DB_DAMAGED,	/* its pages contradict each other */
	DB_FOREIGN,	/* no database, or one of another application */
	DB_NO_SPACE,	/* disk full or quota */
	DB_MISSING,	/* there is none and DB_CREATE was not given */
	DB_DENIED,	/* permissions */
	DB_CONSTRAINT,	/* a row was refused by the schema */
	DB_FAILED,	/* anything else, I/O errors among it */
};

#define DB_CREATE 0x1u		/* make it when it does not exist */
#define DB_READ_ONLY 0x2u
#define DB_CHECK 0x4u		/* read all pages first (quick_check) */

/* Marks the file as ours: sqlite's application_id. */
#define DB_APP_ROUTER 0x42684b31u
#define DB_APP_CONNECTOR 0x42684b32u

struct db;

/*
 * NULL on failure: then *fault says which and text (cap bytes) a whole
 * sentence that names the file and what to do.
 */
struct db *db_open(const char *path, unsigned flags, uint32_t application,
    enum db_fault *fault, char *text, size_t cap);
void db_close(struct db *db);

enum db_fault db_fault(const struct db *db);
/* A sentence for the log; starts with the path. */
const char *db_error(const struct db *db);
const char *db_fault_name(enum db_fault fault);
sqlite3 *db_handle(struct db *db);
/* Milliseconds to wait for a lock; 250 at the start. */
void db_set_patience(struct db *db, int ms);

/* One or several statements without parameters or rows. */
int db_exec(struct db *db, const char *sql);
/* The schema version (user_version), 0 in a new file; -1 on a fault. */
int db_version(struct db *db);
/* Runs sql and sets the version, in one transaction. */
int db_migrate(struct db *db, const char *sql, int version);

int db_begin(struct db *db);	/* immediate: takes the write lock now */
int db_commit(struct db *db);	/* on failure the transaction stays open */
void db_rollback(struct db *db);
/* Moves the WAL into the file and cuts it, as far as readers let it. */
int db_checkpoint(struct db *db);

/*
 * A prepared statement: bind (parameters count from 1), then step until it
 * is not 1, then db_reset, which also forgets the parameters. Slices are
 * copied. A NULL slice binds as NULL.
 */
struct db_stmt;

struct db_stmt *db_prepare(struct db *db, const char *sql);
void db_finalize(struct db_stmt *st);	/* early; else with its database */
void db_bind_i64(struct db_stmt *st, int i, int64_t v);
void db_bind_u64(struct db_stmt *st, int i, uint64_t v);	/* bits kept */
void db_bind_real(struct db_stmt *st, int i, double v);
void db_bind_text(struct db_stmt *st, int i, struct slice v);
void db_bind_str(struct db_stmt *st, int i, const char *v);
void db_bind_blob(struct db_stmt *st, int i, struct slice v);
void db_bind_null(struct db_stmt *st, int i);
/* 1 a row, 0 no (further) row, -1 a fault; 0 and -1 reset by themselves. */
int db_step(struct db_stmt *st);
void db_reset(struct db_stmt *st);
/* Steps a statement that returns no row: 0 or -1. */
int db_run(struct db_stmt *st);
int64_t db_changes(struct db *db);	/* rows changed by the last one */

/* Columns count from 0; slices live until the next step or reset. */
int64_t db_column_i64(struct db_stmt *st, int i);
uint64_t db_column_u64(struct db_stmt *st, int i);
double db_column_real(struct db_stmt *st, int i);
struct slice db_column_text(struct db_stmt *st, int i);
struct slice db_column_blob(struct db_stmt *st, int i);
bool db_column_is_null(struct db_stmt *st, int i);

#endif
