#include "connector-worker/sinks/mysql_lane.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "connector-worker/excerpt.h"

#include <errno.h>
#include <mariadb/mysql.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define STATEMENT_MAX (1u << 20) /* a statement ends behind this */
#define END_WAIT_S 2

struct mysql_lane {
	const struct mysql_plan *plan;
	void (*done)(struct mysql_job *, void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct mysql_job *job; /* locked, as is_ending and fd */
	bool is_ending;
	int fd; /* of the connection, -1: none */
	/* The thread's own. */
	MYSQL *db;
	MYSQL_STMT *stmt;
	enum enum_field_types *types; /* of the columns */
	struct buf sql;
	char reason[600];
};

void
mysql_job_free(struct mysql_job *j)
{
	for (size_t i = 0; j->answers != NULL && i < j->count; i++)
		free(j->answers[i].reason);
	free(j->answers);
	free(j->records);
	free(j->cells);
	buf_fini(&j->text);
	buf_fini(&j->found);
	buf_fini(&j->reason);
	free(j);
}

/* --- the connection ------------------------------------------------------- */

static void
lane_set_fd(struct mysql_lane *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	l->fd = fd;
	pthread_mutex_unlock(&l->lock);
}

static void
lane_disconnect(struct mysql_lane *l)
{
	lane_set_fd(l, -1);
	if (l->stmt != NULL)
		mysql_stmt_close(l->stmt);
	l->stmt = NULL;
	if (l->db != NULL)
		mysql_close(l->db);
	l->db = NULL;
}

/* Keeps the reason; what the error means. */
static struct mysql_verdict
lane_fault(
    struct mysql_lane *l, unsigned code, const char *state, const char *text)
{
	struct mysql_verdict v = mysql_error_verdict(code, state);
	struct buf b;

	buf_init(&b);
	buf_addf(&b, "MySQL error %u (%s): ", code, state);
	excerpt_add(&b, slice_str(text), 400);
	snprintf(l->reason, sizeof(l->reason), "%s", buf_cstr(&b));
	buf_fini(&b);
	return v;
}

static struct mysql_verdict
db_fault(struct mysql_lane *l)
{
	return lane_fault(
	    l, mysql_errno(l->db), mysql_sqlstate(l->db), mysql_error(l->db));
}

static void
set_options(struct mysql_lane *l)
{
	const struct mysql_plan *p = l->plan;
	my_bool yes = 1, verify = p->verifies, no = 0;
	unsigned tcp = MYSQL_PROTOCOL_TCP;

	/* "localhost" would mean the file of a socket to the library. */
	mysql_options(l->db, MYSQL_OPT_PROTOCOL, &tcp);
	mysql_options(l->db, MYSQL_OPT_CONNECT_TIMEOUT, &p->timeout_s);
	mysql_options(l->db, MYSQL_OPT_READ_TIMEOUT, &p->timeout_s);
	mysql_options(l->db, MYSQL_OPT_WRITE_TIMEOUT, &p->timeout_s);
	mysql_options(l->db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	/* The server must not ask this client for files. */
	mysql_options(l->db, MYSQL_OPT_LOCAL_INFILE, &no);
	mysql_options(l->db, MYSQL_INIT_COMMAND,
	    "SET SESSION sql_mode = CONCAT(@@sql_mode, "
	    "',STRICT_ALL_TABLES'), time_zone = '+00:00', autocommit = 1");
	if (!p->has_tls)
		return;
	mysql_options(l->db, MYSQL_OPT_SSL_ENFORCE, &yes);
	mysql_options(l->db, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	mysql_ssl_set(l->db, p->key, p->cert, p->ca, NULL, NULL);
}

/* Rows of a question; NULL and the verdict. */
static MYSQL_RES *
ask(struct mysql_lane *l, const char *sql, struct mysql_verdict *v)
{
	MYSQL_RES *res = NULL;

	if (mysql_query(l->db, sql) == 0)
		res = mysql_store_result(l->db);
	if (res == NULL)
		*v = db_fault(l);
	return res;
}

/* The types of the columns, in which the table is seen to be there. */
static bool
learn_columns(struct mysql_lane *l, struct mysql_verdict *v)
{
	const struct mysql_plan *p = l->plan;
	MYSQL_RES *res;

	buf_clear(&l->sql);
	buf_add_str(&l->sql, "SELECT ");
	for (size_t i = 0; i < p->columns_len; i++) {
		if (i > 0)
			buf_add_u8(&l->sql, ',');
		mysql_name_add(&l->sql, slice_str(p->columns[i].name));
	}
	buf_addf(&l->sql, " FROM %s LIMIT 0", p->table);
	res = ask(l, buf_cstr(&l->sql), v);
	if (res == NULL)
		return false;
	for (unsigned i = 0; i < mysql_num_fields(res); i++)
		l->types[i] = mysql_fetch_field_direct(res, i)->type;
	mysql_free_result(res);
	return true;
}

/* Whether a unique index has just the key columns. */
static bool
index_matches(struct mysql_lane *l, MYSQL_RES *res, const char *name)
{
	size_t found = 0, all = 0;
	MYSQL_ROW row;

	mysql_data_seek(res, 0);
	while ((row = mysql_fetch_row(res)) != NULL) {
		/* Table, Non_unique, Key_name, Seq, Column, ., ., Sub_part */
		if (strcmp(row[2], name) != 0)
			continue;
		all++;
		for (size_t i = 0; i < l->plan->columns_len; i++)
			if (l->plan->columns[i].is_key && row[7] == NULL &&
			    strcasecmp(l->plan->columns[i].name, row[4]) == 0)
				found++;
	}
	return all == l->plan->keys_len && found == all;
}

static bool
check_index(struct mysql_lane *l, struct mysql_verdict *v)
{
	MYSQL_RES *res;
	bool is_found = false;
	unsigned long long at = 0;
	MYSQL_ROW row;

	if (l->plan->keys_len == 0)
		return true;
	buf_clear(&l->sql);
	buf_addf(
	    &l->sql, "SHOW INDEX FROM %s WHERE Non_unique = 0", l->plan->table);
	res = ask(l, buf_cstr(&l->sql), v);
	if (res == NULL)
		return false;
	for (; !is_found && at < mysql_num_rows(res); at++) {
		char name[256];

		mysql_data_seek(res, at);
		row = mysql_fetch_row(res);
		snprintf(name, sizeof(name), "%s", row[2]);
		is_found = index_matches(l, res, name);
	}
	mysql_free_result(res);
	if (is_found)
		return true;
	snprintf(l->reason, sizeof(l->reason),
	    "table %s has no unique index "
	    "of just key_columns",
	    l->plan->table_name);
	*v = (struct mysql_verdict){SINK_UNAVAILABLE, false};
	return false;
}

static bool
prepare(struct mysql_lane *l, struct mysql_verdict *v)
{
	const char *text = l->plan->statement;

	if (text == NULL)
		return learn_columns(l, v) && check_index(l, v);
	l->stmt = mysql_stmt_init(l->db);
	bug_on(l->stmt == NULL);
	if (mysql_stmt_prepare(l->stmt, text, strlen(text)) == 0 &&
	    mysql_stmt_param_count(l->stmt) == l->plan->columns_len)
		return true;
	*v = mysql_stmt_errno(l->stmt) != 0
		 ? lane_fault(l, mysql_stmt_errno(l->stmt),
		       mysql_stmt_sqlstate(l->stmt), mysql_stmt_error(l->stmt))
		 : lane_fault(l, 1064, "42000",
		       "the statement has not as many places as templates");
	v->is_of_row = false;
	return false;
}

static bool
lane_connect(struct mysql_lane *l, struct mysql_verdict *v)
{
	const struct mysql_plan *p = l->plan;

	if (l->db != NULL)
		return true;
	l->db = mysql_init(NULL);
	bug_on(l->db == NULL);
	set_options(l);
	if (mysql_real_connect(l->db, p->host, p->username, p->password,
		p->database, p->port, NULL, CLIENT_FOUND_ROWS) == NULL) {
		/* Whatever it is: there is no connection. */
		(void)db_fault(l);
		*v = (struct mysql_verdict){SINK_UNAVAILABLE, false};
		lane_disconnect(l);
		return false;
	}
	lane_set_fd(l, (int)mysql_get_socket(l->db));
	if (prepare(l, v))
		return true;
	if (v->outcome != SINK_UNSURE)
		v->outcome = SINK_UNAVAILABLE;
	lane_disconnect(l);
	return false;
}

/* --- rows ----------------------------------------------------------------- */

static void
literal_add(struct mysql_lane *l, struct slice s)
{
	char *to;

	buf_add_str(&l->sql, utf8_check(s) ? "'" : "_binary'");
	to = (char *)buf_reserve(&l->sql, s.len * 2 + 1);
	buf_commit(&l->sql, mysql_real_escape_string(l->db, to,
				(const char *)s.p, (unsigned long)s.len));
	buf_add_u8(&l->sql, '\'');
}

static bool
is_time(enum enum_field_types type)
{
	return type == MYSQL_TYPE_TIMESTAMP || type == MYSQL_TYPE_DATETIME ||
	       type == MYSQL_TYPE_DATE;
}

static void
value_add(
    struct mysql_lane *l, const struct mysql_job *j, size_t row, size_t column)
{
	const struct mysql_cell *c =
	    &j->cells[row * l->plan->columns_len + column];
	struct slice s = slice_of(buf_data(&j->text) + c->at, c->len);

	switch (c->kind) {
	case VALUE_NULL:
		buf_add_str(&l->sql, "NULL");
		return;
	case VALUE_NUMBER:
		/* Numbers in times are milliseconds, as timestamp_ms is. */
		if (is_time(l->types[column]))
			buf_addf(&l->sql, "FROM_UNIXTIME((%.*s) / 1000)",
			    SLICE_ARG(s));
		else
			buf_add_slice(&l->sql, s);
		return;
	case VALUE_BOOL:
		buf_add_str(&l->sql, slice_is(s, "true") ? "1" : "0");
		return;
	case VALUE_TEXT:
	case VALUE_BYTES:
	case VALUE_JSON:
		literal_add(l, s);
		return;
	}
}

/* Rows from first on, as many as a statement should have. */
static bool
insert_some(
    struct mysql_lane *l, const struct mysql_job *j, size_t *first, size_t end)
{
	const struct mysql_plan *p = l->plan;
	size_t row = *first;

	buf_clear(&l->sql);
	mysql_insert_add(&l->sql, p);
	for (; row < end && (row == *first || buf_len(&l->sql) < STATEMENT_MAX);
	     row++) {
		buf_add_str(&l->sql, row > *first ? ",(" : "(");
		for (size_t i = 0; i < p->columns_len; i++) {
			if (i > 0)
				buf_add_u8(&l->sql, ',');
			value_add(l, j, row, i);
		}
		buf_add_u8(&l->sql, ')');
	}
	mysql_conflict_add(&l->sql, p);
	*first = row;
	return mysql_real_query(l->db, (const char *)buf_data(&l->sql),
		   (unsigned long)buf_len(&l->sql)) == 0;
}

/* The statement for one record, its values bound. */
static bool
execute_one(struct mysql_lane *l, const struct mysql_job *j, size_t row)
{
	size_t n = l->plan->columns_len;
	MYSQL_BIND *binds = mem_zalloc(n + 1, sizeof(*binds));
	unsigned long *lengths = mem_zalloc(n + 1, sizeof(*lengths));
	bool is_good;

	for (size_t i = 0; i < n; i++) {
		const struct mysql_cell *c = &j->cells[row * n + i];

		lengths[i] = (unsigned long)c->len;
		binds[i].buffer_type = c->kind == VALUE_NULL ? MYSQL_TYPE_NULL
				       : c->kind == VALUE_BYTES
					   ? MYSQL_TYPE_BLOB
					   : MYSQL_TYPE_STRING;
		binds[i].buffer = j->text.p + j->text.off + c->at;
		binds[i].buffer_length = lengths[i];
		binds[i].length = &lengths[i];
	}
	is_good = mysql_stmt_bind_param(l->stmt, binds) == 0 &&
		  mysql_stmt_execute(l->stmt) == 0;
	if (is_good)
		mysql_stmt_free_result(l->stmt);
	free(binds);
	free(lengths);
	return is_good;
}

/* Rows [first, end) as one transaction. */
static bool
run_transaction(struct mysql_lane *l, const struct mysql_job *j, size_t first,
    size_t end, struct mysql_verdict *v)
{
	bool is_good = mysql_query(l->db, "START TRANSACTION") == 0;

	while (is_good && first < end) {
		if (l->stmt == NULL) {
			is_good = insert_some(l, j, &first, end);
			continue;
		}
		is_good = execute_one(l, j, first++);
		if (!is_good && mysql_stmt_errno(l->stmt) != 0) {
			*v = lane_fault(l, mysql_stmt_errno(l->stmt),
			    mysql_stmt_sqlstate(l->stmt),
			    mysql_stmt_error(l->stmt));
			goto fail;
		}
	}
	if (is_good && mysql_query(l->db, "COMMIT") == 0)
		return true;
	*v = db_fault(l);
fail:
	/* What the connection is now is known only of a new one. */
	if (!v->is_of_row || mysql_query(l->db, "ROLLBACK") != 0)
		lane_disconnect(l);
	return false;
}

static void
answer(struct mysql_lane *l, struct mysql_job *j, size_t first, size_t end,
    enum sink_outcome outcome)
{
	for (; first < end; first++) {
		j->answers[first].outcome = outcome;
		if (outcome != SINK_DELIVERED)
			j->answers[first].reason = mem_strdup(l->reason);
	}
}

/* In halves where a row is to blame, as http_batch has it. */
static void
run_batch(struct mysql_lane *l, struct mysql_job *j)
{
	size_t at = 0, size = j->count, end;
	struct mysql_verdict v = {SINK_UNSURE, false};

	while (at < j->count) {
		end = j->count - at > size ? at + size : j->count;
		if (lane_connect(l, &v) && run_transaction(l, j, at, end, &v)) {
			answer(l, j, at, end, SINK_DELIVERED);
			at = end;
			size *= 2;
			continue;
		}
		if (v.is_of_row && end - at > 1) {
			size = (end - at) / 2;
			continue;
		}
		answer(l, j, at, end, v.outcome);
		at = end;
		if (v.outcome == SINK_REFUSED)
			continue;
		answer(l, j, at, j->count,
		    v.outcome == SINK_UNAVAILABLE ? SINK_UNAVAILABLE
						  : SINK_HELD);
		return;
	}
}

static void
run_probe(struct mysql_lane *l, struct mysql_job *j)
{
	struct mysql_verdict v;
	MYSQL_RES *res;

	/* A new connection: the old one may be the only one that works. */
	lane_disconnect(l);
	j->is_good = lane_connect(l, &v);
	if (j->is_good) {
		buf_addf(&j->found, "MySQL or MariaDB %s, %s",
		    mysql_get_server_info(l->db),
		    mysql_get_ssl_cipher(l->db) != NULL ? "encrypted"
							: "not encrypted");
		res = ask(l, "SELECT 1", &v);
		j->is_good = res != NULL;
		mysql_free_result(res);
	}
	if (!j->is_good)
		buf_add_str(&j->reason, l->reason);
	lane_disconnect(l);
}

/* --- the thread ----------------------------------------------------------- */

static void *
lane_main(void *arg)
{
	struct mysql_lane *l = arg;
	struct mysql_job *j;

	mysql_thread_init();
	for (;;) {
		pthread_mutex_lock(&l->lock);
		while (l->job == NULL && !l->is_ending)
			pthread_cond_wait(&l->wake, &l->lock);
		j = l->job;
		l->job = NULL;
		if (l->is_ending) {
			pthread_mutex_unlock(&l->lock);
			break;
		}
		pthread_mutex_unlock(&l->lock);
		if (j->batch != NULL)
			run_batch(l, j);
		else
			run_probe(l, j);
		l->done(j, l->arg);
	}
	if (j != NULL)
		mysql_job_free(j);
	lane_disconnect(l);
	mysql_thread_end();
	return NULL;
}

struct mysql_lane *
mysql_lane_new(const struct mysql_plan *plan,
    void (*done)(struct mysql_job *, void *arg), void *arg)
{
	struct mysql_lane *l = mem_zalloc(1, sizeof(*l));

	l->plan = plan;
	l->done = done;
	l->arg = arg;
	l->fd = -1;
	l->types = mem_zalloc(plan->columns_len + 1, sizeof(*l->types));
	buf_init(&l->sql);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	bug_on(pthread_create(&l->thread, NULL, lane_main, l) != 0);
	return l;
}

bool
mysql_lane_free(struct mysql_lane *l)
{
	struct timespec until;

	pthread_mutex_lock(&l->lock);
	l->is_ending = true;
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_WAIT_S;
	if (pthread_timedjoin_np(l->thread, NULL, &until) != 0) {
		pthread_detach(l->thread);
		return false;
	}
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	buf_fini(&l->sql);
	free(l->types);
	free(l);
	return true;
}

void
mysql_lane_give(struct mysql_lane *l, struct mysql_job *j)
{
	pthread_mutex_lock(&l->lock);
	bug_on(l->job != NULL);
	j->lane = l;
	l->job = j;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}
