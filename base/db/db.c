#include "base/db/db.h"

#include "base/db/vfs.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct db {
	sqlite3 *h;
	char *path;
	enum db_fault fault;
	char error[512];
	struct db_stmt *statements;
};

struct db_stmt {
	sqlite3_stmt *st;
	struct db *db;
	struct db_stmt *next;
};

static const char *const fault_names[] = {
	[DB_OK] = "ok",
	[DB_LOCKED] = "locked",
	[DB_DAMAGED] = "damaged",
	[DB_FOREIGN] = "not a Bulkhead database",
	[DB_NO_SPACE] = "no space",
	[DB_MISSING] = "missing",
	[DB_DENIED] = "permission denied",
	[DB_CONSTRAINT] = "constraint",
	[DB_FAILED] = "failed",
};

static const char *const fault_advice[] = {
	[DB_OK] = "",
	[DB_LOCKED] = "close the program that holds it, then try again",
	[DB_DAMAGED] = "it was left as it is: restore a backup or move it away",
	[DB_FOREIGN] = "it was left as it is: move it away",
	[DB_NO_SPACE] = "free space on its file system",
	[DB_MISSING] = "restore it from a backup",
	[DB_DENIED] = "check owner and mode of the file and its folder",
	[DB_CONSTRAINT] = "",
	[DB_FAILED] = "check the disk and the system log",
};

const char *
db_fault_name(enum db_fault fault)
{
	return fault_names[fault];
}

static enum db_fault
fault_of_errno(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return DB_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return DB_DENIED;
	case ENOENT:
	case ENOTDIR:
		return DB_MISSING;
	default:
		return DB_FAILED;
	}
}

static enum db_fault
fault_of(int rc, int err)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return DB_OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return DB_LOCKED;
	case SQLITE_CORRUPT:
		return DB_DAMAGED;
	case SQLITE_NOTADB:
		return DB_FOREIGN;
	case SQLITE_FULL:
		return DB_NO_SPACE;
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return DB_DENIED;
	case SQLITE_CONSTRAINT:
		return DB_CONSTRAINT;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return fault_of_errno(err);
	default:
		return DB_FAILED;
	}
}

static int
fail(struct db *db, enum db_fault fault, const char *detail)
{
	const char *advice = fault_advice[fault];

	db->fault = fault;
	snprintf(db->error, sizeof(db->error), "%s: %s%s%s%s%s%s", db->path,
	    fault_names[fault], detail[0] != '\0' ? " (" : "", detail,
	    detail[0] != '\0' ? ")" : "", advice[0] != '\0' ? "; " : "",
	    advice);
	return -1;
}

static int
result(struct db *db, int rc)
{
	enum db_fault fault = fault_of(rc, sqlite3_system_errno(db->h));

	bug_on((rc & 0xff) == SQLITE_MISUSE || (rc & 0xff) == SQLITE_RANGE);
	if (fault == DB_OK) {
		db->fault = DB_OK;
		db->error[0] = '\0';
		return 0;
	}
	return fail(db, fault, sqlite3_errmsg(db->h));
}

enum db_fault
db_fault(const struct db *db)
{
	return db->fault;
}

const char *
db_error(const struct db *db)
{
	return db->error;
}

sqlite3 *
db_handle(struct db *db)
{
	return db->h;
}

void
db_set_patience(struct db *db, int ms)
{
	sqlite3_busy_timeout(db->h, ms);
}

int
db_exec(struct db *db, const char *sql)
{
	return result(db, sqlite3_exec(db->h, sql, NULL, NULL, NULL));
}

/* The number that a one-row statement returns. */
static int
query_number(struct db *db, const char *sql, int64_t *v)
{
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sqlite3_prepare_v2(db->h, sql, -1, &st, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			*v = sqlite3_column_int64(st, 0);
	}
	rc = result(db, rc);
	sqlite3_finalize(st);
	return rc;
}

static int
check_pages(struct db *db)
{
	sqlite3_stmt *st = NULL;
	const unsigned char *said;
	int rc;

	rc = sqlite3_prepare_v2(db->h, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW) {
		rc = result(db, rc);
		sqlite3_finalize(st);
		return rc;
	}
	said = sqlite3_column_text(st, 0);
	rc = 0;
	if (said == NULL || strcmp((const char *)said, "ok") != 0)
		rc = fail(db, DB_DAMAGED,
		    said == NULL ? "no answer" : (const char *)said);
	sqlite3_finalize(st);
	return rc;
}

/* A new file is marked; another's is refused before anything is written. */
static int
check_application(struct db *db, unsigned flags, uint32_t application)
{
	int64_t found = 0, tables = 0;
	char sql[64];

	if (query_number(db, "PRAGMA application_id", &found) != 0 ||
	    query_number(db, "SELECT count(*) FROM sqlite_master", &tables) != 0)
		return -1;
	if ((uint32_t)found == application)
		return 0;
	if (found != 0 || tables != 0)
		return fail(db, DB_FOREIGN, "another application's");
	if ((flags & DB_CREATE) == 0)
		return fail(db, DB_MISSING, "the file is empty");
	snprintf(sql, sizeof(sql), "PRAGMA application_id=%" PRId32,
	    (int32_t)application);
	return db_exec(db, sql);
}

static int
configure(struct db *db, unsigned flags, uint32_t application)
{
	if (check_application(db, flags, application) != 0)
		return -1;
	if ((flags & DB_READ_ONLY) == 0 &&
	    (db_exec(db, "PRAGMA journal_mode=WAL") != 0 ||
		db_exec(db, "PRAGMA synchronous=FULL") != 0))
		return -1;
	if (db_exec(db, "PRAGMA foreign_keys=ON") != 0 ||
	    db_exec(db, "PRAGMA trusted_schema=OFF") != 0 ||
	    db_exec(db, "PRAGMA cell_size_check=ON") != 0)
		return -1;
	return (flags & DB_CHECK) != 0 ? check_pages(db) : 0;
}

/* sqlite says CANTOPEN for all of these: ask the file system which. */
static enum db_fault
explain_open(const char *path, unsigned flags, enum db_fault fault)
{
	struct stat st;

	if (fault != DB_FAILED && fault != DB_MISSING)
		return fault;
	if (stat(path, &st) != 0)
		return errno == ENOENT && (flags & DB_CREATE) != 0 ?
		    fault : fault_of_errno(errno);
	return S_ISREG(st.st_mode) ? fault : DB_FOREIGN;
}

static int
open_handle(struct db *db, unsigned flags)
{
	const char *vfs = vfs_register();
	int mode, rc;

	bug_on(vfs == NULL);
	mode = (flags & DB_READ_ONLY) != 0 ? SQLITE_OPEN_READONLY :
	    SQLITE_OPEN_READWRITE;
	if ((flags & DB_CREATE) != 0)
		mode |= SQLITE_OPEN_CREATE;
	rc = sqlite3_open_v2(db->path, &db->h,
	    mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
	if (db->h == NULL)
		return fail(db, DB_FAILED, "out of memory");
	if (rc != SQLITE_OK)
		return fail(db, explain_open(db->path, flags,
		    fault_of(rc, sqlite3_system_errno(db->h))),
		    sqlite3_errmsg(db->h));
	sqlite3_busy_timeout(db->h, 250);
	sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return 0;
}

struct db *
db_open(const char *path, unsigned flags, uint32_t application,
    enum db_fault *fault, char *text, size_t cap)
{
	struct db *db = mem_zalloc(1, sizeof(*db));

	db->path = mem_strdup(path);
	if (open_handle(db, flags) == 0 &&
	    configure(db, flags, application) == 0) {
		*fault = DB_OK;
		return db;
	}
	*fault = db->fault;
	snprintf(text, cap, "%s", db->error);
	db_close(db);
	return NULL;
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	while (db->statements != NULL)
		db_finalize(db->statements);
	sqlite3_close(db->h);
	free(db->path);
	free(db);
}

int
db_version(struct db *db)
{
	int64_t v = 0;

	return query_number(db, "PRAGMA user_version", &v) != 0 ? -1 : (int)v;
}

int
db_migrate(struct db *db, const char *sql, int version)
{
	char set[48];

	snprintf(set, sizeof(set), "PRAGMA user_version=%d", version);
	if (db_begin(db) != 0)
		return -1;
	if (db_exec(db, sql) == 0 && db_exec(db, set) == 0 &&
	    db_commit(db) == 0)
		return 0;
	db_rollback(db);
	return -1;
}

int
db_begin(struct db *db)
{
	return db_exec(db, "BEGIN IMMEDIATE");
}

int
db_commit(struct db *db)
{
	return db_exec(db, "COMMIT");
}

/* Keeps the fault that made the caller give up. */
void
db_rollback(struct db *db)
{
	if (sqlite3_get_autocommit(db->h) == 0)
		sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}

int
db_checkpoint(struct db *db)
{
	int rc = sqlite3_wal_checkpoint_v2(db->h, NULL,
	    SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	return rc == SQLITE_BUSY ? 0 : result(db, rc);
}

int64_t
db_changes(struct db *db)
{
	return sqlite3_changes64(db->h);
}

struct db_stmt *
db_prepare(struct db *db, const char *sql)
{
	struct db_stmt *st;
	sqlite3_stmt *h = NULL;

	if (result(db, sqlite3_prepare_v3(db->h, sql, -1,
		SQLITE_PREPARE_PERSISTENT, &h, NULL)) != 0)
		return NULL;
	st = mem_zalloc(1, sizeof(*st));
	st->st = h;
	st->db = db;
	st->next = db->statements;
	db->statements = st;
	return st;
}

void
db_finalize(struct db_stmt *st)
{
	struct db_stmt **p;

	if (st == NULL)
		return;
	for (p = &st->db->statements; *p != st; p = &(*p)->next)
		bug_on((*p)->next == NULL);
	*p = st->next;
	sqlite3_finalize(st->st);
	free(st);
}

int
db_step(struct db_stmt *st)
{
	int rc = sqlite3_step(st->st);

	if (rc == SQLITE_ROW)
		return 1;
	rc = result(st->db, rc);
	db_reset(st);
	return rc;
}

void
db_reset(struct db_stmt *st)
{
	sqlite3_reset(st->st);
	sqlite3_clear_bindings(st->st);
}

int
db_run(struct db_stmt *st)
{
	int rc = db_step(st);

	bug_on(rc == 1);
	return rc;
}

static void
bound(int rc)
{
	bug_on(rc != SQLITE_OK);
}

void
db_bind_i64(struct db_stmt *st, int i, int64_t v)
{
	bound(sqlite3_bind_int64(st->st, i, v));
}

void
db_bind_u64(struct db_stmt *st, int i, uint64_t v)
{
	bound(sqlite3_bind_int64(st->st, i, (int64_t)v));
}

void
db_bind_real(struct db_stmt *st, int i, double v)
{
	bound(sqlite3_bind_double(st->st, i, v));
}

void
db_bind_text(struct db_stmt *st, int i, struct slice v)
{
	bound(sqlite3_bind_text64(st->st, i, (const char *)v.p, v.len,
	    SQLITE_TRANSIENT, SQLITE_UTF8));
}

void
db_bind_str(struct db_stmt *st, int i, const char *v)
{
	db_bind_text(st, i, slice_str(v));
}

void
db_bind_blob(struct db_stmt *st, int i, struct slice v)
{
	bound(sqlite3_bind_blob64(st->st, i, v.p, v.len, SQLITE_TRANSIENT));
}

void
db_bind_null(struct db_stmt *st, int i)
{
	bound(sqlite3_bind_null(st->st, i));
}

int64_t
db_column_i64(struct db_stmt *st, int i)
{
	return sqlite3_column_int64(st->st, i);
}

uint64_t
db_column_u64(struct db_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st->st, i);
}

double
db_column_real(struct db_stmt *st, int i)
{
	return sqlite3_column_double(st->st, i);
}

bool
db_column_is_null(struct db_stmt *st, int i)
{
	return sqlite3_column_type(st->st, i) == SQLITE_NULL;
}

struct slice
db_column_text(struct db_stmt *st, int i)
{
	const void *p = sqlite3_column_text(st->st, i);

	if (p == NULL)
		return SLICE_NULL;
	return slice_of(p, (size_t)sqlite3_column_bytes(st->st, i));
}

struct slice
db_column_blob(struct db_stmt *st, int i)
{
	const void *p = sqlite3_column_blob(st->st, i);

	if (db_column_is_null(st, i))
		return SLICE_NULL;
	if (p == NULL)	/* sqlite has no pointer for an empty blob */
		return SLICE_EMPTY;
	return slice_of(p, (size_t)sqlite3_column_bytes(st->st, i));
}
