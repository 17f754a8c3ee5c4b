/* links: db base */
#include "base/db/db.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static enum db_fault fault;
static char text[512];

static void
enter(void)
{
	snprintf(folder, sizeof(folder), "/tmp/bulkhead-db-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
}

static void
leave(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder);
	cr_assert_eq(system(cmd), 0);
}

static struct db *
open_one(unsigned flags)
{
	return db_open("a.db", flags, DB_APP_ROUTER, &fault, text,
	    sizeof(text));
}

TestSuite(db, .init = enter, .fini = leave);

Test(db, rows_come_back)
{
	struct db *db = open_one(DB_CREATE);
	struct db_stmt *st;

	cr_assert_not_null(db, "%s", text);
	cr_assert_eq(db_version(db), 0);
	cr_assert_eq(db_migrate(db,
	    "CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB, c TEXT)", 3), 0);
	cr_assert_eq(db_version(db), 3);
	st = db_prepare(db, "INSERT INTO t VALUES(?,?,?)");
	db_bind_u64(st, 1, UINT64_MAX);
	db_bind_blob(st, 2, SLICE_EMPTY);
	db_bind_str(st, 3, "text");
	cr_assert_eq(db_run(st), 0);
	db_bind_i64(st, 1, 1);
	cr_assert_eq(db_run(st), 0);
	cr_assert_eq(db_changes(db), 1);
	st = db_prepare(db, "SELECT * FROM t ORDER BY a");
	cr_assert_eq(db_step(st), 1);
	cr_assert_eq(db_column_u64(st, 0), UINT64_MAX);
	cr_assert_not(slice_is_null(db_column_blob(st, 1)));
	cr_assert(slice_is(db_column_text(st, 2), "text"));
	cr_assert_eq(db_step(st), 1);
	cr_assert(db_column_is_null(st, 1));
	cr_assert(slice_is_null(db_column_text(st, 2)));
	cr_assert_eq(db_step(st), 0);
	db_close(db);
}

Test(db, a_refused_row_is_a_constraint)
{
	struct db *db = open_one(DB_CREATE);
	struct db_stmt *st;

	cr_assert_eq(db_exec(db, "CREATE TABLE t(a INTEGER PRIMARY KEY)"), 0);
	st = db_prepare(db, "INSERT INTO t VALUES(1)");
	cr_assert_eq(db_run(st), 0);
	cr_assert_eq(db_run(st), -1);
	cr_assert_eq(db_fault(db), DB_CONSTRAINT);
	db_close(db);
}

Test(db, a_lock_is_told_from_damage)
{
	struct db *a = open_one(DB_CREATE), *b;

	cr_assert_eq(db_exec(a, "CREATE TABLE t(a)"), 0);
	b = open_one(0);
	cr_assert_not_null(b, "%s", text);
	db_set_patience(b, 0);
	cr_assert_eq(db_begin(a), 0);
	cr_assert_eq(db_begin(b), -1);
	cr_assert_eq(db_fault(b), DB_LOCKED);
	cr_assert_not_null(strstr(db_error(b), "a.db: locked"));
	db_rollback(a);
	cr_assert_eq(db_begin(b), 0);
	cr_assert_eq(db_fault(b), DB_OK);
	cr_assert_eq(db_commit(b), 0);
	db_close(a);
	db_close(b);
}

static void
write_at(off_t at, const void *p, size_t n)
{
	int fd = open("a.db", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	cr_assert_eq(pwrite(fd, p, n, at), (ssize_t)n);
	close(fd);
}

Test(db, a_file_that_is_no_database_stays_as_it_is)
{
	static char bytes[4096];
	struct stat before, after;

	memset(bytes, 'x', sizeof(bytes));
	write_at(0, bytes, sizeof(bytes));
	cr_assert_eq(stat("a.db", &before), 0);
	cr_assert_null(open_one(DB_CREATE));
	cr_assert_eq(fault, DB_FOREIGN, "%s", text);
	cr_assert_eq(stat("a.db", &after), 0);
	cr_assert_eq(before.st_size, after.st_size);
	cr_assert_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

Test(db, damaged_pages_are_found)
{
	struct db *db = open_one(DB_CREATE);
	static char bytes[3000];

	cr_assert_eq(db_exec(db, "CREATE TABLE t(a); CREATE INDEX i ON t(a);"
	    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n "
	    "LIMIT 5000) INSERT INTO t SELECT x||'abcdefgh' FROM n"), 0);
	db_close(db);
	memset(bytes, 0x5a, sizeof(bytes));
	write_at(3 * 4096, bytes, sizeof(bytes));
	cr_assert_null(open_one(DB_CREATE | DB_CHECK));
	cr_assert_eq(fault, DB_DAMAGED, "%s", text);
	cr_assert_not_null(strstr(text, "move it away"));
}

Test(db, anothers_database_is_refused)
{
	struct db *db = db_open("a.db", DB_CREATE, DB_APP_CONNECTOR, &fault,
	    text, sizeof(text));

	cr_assert_not_null(db);
	db_close(db);
	cr_assert_null(open_one(DB_CREATE));
	cr_assert_eq(fault, DB_FOREIGN);
}

Test(db, a_missing_one_is_not_made_without_being_asked)
{
	cr_assert_null(open_one(0));
	cr_assert_eq(fault, DB_MISSING, "%s", text);
	cr_assert_neq(access("a.db", F_OK), 0);
	write_at(0, "", 0);
	cr_assert_null(open_one(0));
	cr_assert_eq(fault, DB_MISSING, "%s", text);
}

Test(db, an_unusable_path_is_told)
{
	cr_assert_eq(mkdir("a.db", 0700), 0);
	cr_assert_null(open_one(DB_CREATE));
	cr_assert_eq(fault, DB_FOREIGN, "%s", text);
	cr_assert_null(db_open("none/a.db", DB_CREATE, DB_APP_ROUTER, &fault,
	    text, sizeof(text)));
	cr_assert_eq(fault, DB_MISSING, "%s", text);
}

Test(db, a_relative_path_needs_no_parents)
{
	struct db *db;

	if (getuid() != 0)
		return;
	cr_assert_eq(mkdir("closed", 0700), 0);
	cr_assert_eq(mkdir("closed/in", 0711), 0);
	cr_assert_eq(chown("closed/in", 65534, 65534), 0);
	cr_assert_eq(chdir("closed/in"), 0);
	cr_assert_eq(seteuid(65534), 0);
	db = open_one(DB_CREATE);
	cr_assert_not_null(db, "%s", text);
	cr_assert_eq(db_exec(db, "CREATE TABLE t(a)"), 0);
	cr_assert_eq(db_exec(db, "INSERT INTO t VALUES(1)"), 0);
	db_close(db);
	db = open_one(0);
	cr_assert_not_null(db, "%s", text);
	db_close(db);
	cr_assert_eq(seteuid(0), 0);
}
