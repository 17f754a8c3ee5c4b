/*
 * mysql_lane - connections of the mysql type, each with a thread of its own.
 *
 * libmariadb's calls block, so a lane's thread makes them; rows come to it as
 * rendered values, its answers go back over the owner's queue. A lane has one
 * job at a time. The loop's thread owns a job before lane_give and again when
 * the done callback is called, on the loop.
 */
#ifndef CONNECTOR_WORKER_SINKS_MYSQL_LANE_H
#define CONNECTOR_WORKER_SINKS_MYSQL_LANE_H

#include "base/template.h"
#include "connector-worker/sink.h"

/* The order of the option's choices. */
enum mysql_conflict {
	MYSQL_CONFLICT_ERROR,
	MYSQL_CONFLICT_IGNORE,
	MYSQL_CONFLICT_UPDATE
};

struct mysql_column {
	const char *name;
	const struct template *value;
	struct template *own;
	bool is_key;
};

/* Read by all threads, changed by none after open. */
struct mysql_plan {
	const char *host, *database, *username, *password;
	unsigned port, timeout_s;
	bool has_tls, verifies;
	const char *ca, *cert, *key;
	char *table; /* quoted; NULL: there is a statement */
	const char *table_name;
	char *statement; /* with ? for each column */
	enum mysql_conflict conflict;
	struct mysql_column *columns;
	size_t columns_len;
	size_t keys_len;
};

struct mysql_cell {
	size_t at, len;
	enum value_kind kind;
};

struct mysql_answer {
	enum sink_outcome outcome;
	char *reason; /* NULL: delivered */
};

struct mysql_lane;

struct mysql_job {
	struct mysql_job *next;
	struct sink_batch *batch; /* NULL: a probe or test */
	struct sink_record **records;
	size_t count;
	struct buf text;
	struct mysql_cell *cells; /* row by row */
	struct mysql_answer *answers;
	struct mysql_lane *lane; /* that has it, or had it */
	bool is_test;
	/* Of a probe or test. */
	bool is_good;
	struct buf found;
	struct buf reason;
};

void mysql_job_free(struct mysql_job *);

/* done is called in the lane's thread. */
struct mysql_lane *mysql_lane_new(const struct mysql_plan *,
    void (*done)(struct mysql_job *, void *arg), void *arg);
/* Cuts the connection; false: its thread did not end in time, and lives. */
bool mysql_lane_free(struct mysql_lane *);
void mysql_lane_give(struct mysql_lane *, struct mysql_job *);

/* --- pure: mysql_text.c ----------------------------------------------------
 */

struct mysql_verdict {
	enum sink_outcome outcome;
	bool is_of_row;
};

/* Of a statement; what is the client's own (2000 and on) too. */
struct mysql_verdict mysql_error_verdict(unsigned code, const char *state);
void mysql_name_add(struct buf *, struct slice name);
/* TABLE or DATABASE.TABLE, quoted. */
void mysql_table_add(struct buf *, const char *table);
void mysql_insert_add(struct buf *, const struct mysql_plan *);
void mysql_conflict_add(struct buf *, const struct mysql_plan *);
/* $1, $2, ... of sql_params_take become ?. */
char *mysql_statement_make(struct slice text, size_t params);

#endif
