#include "connector-worker/sinks/postgres_lane.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

void
lane_report(struct lane *l)
{
	struct sink *sink = l->pg->sink;
	int v = PQserverVersion(l->conn.pg);
	const struct buf *names = &l->text;

	sink_found(sink, "server", "PostgreSQL %d.%d", v / 10000, v % 10000);
	sink_found(sink, "tls", "%s", PQsslInUse(l->conn.pg) ? "yes" : "no");
	if (l->pg->statement == NULL) {
		buf_clear(&l->text);
		for (size_t i = 0; i < l->table.columns_len; i++)
			buf_addf(&l->text, "%s%s %s", i > 0 ? ", " : "",
			    l->table.columns[i].name, l->table.columns[i].type);
		sink_found(
		    sink, "columns", "%.*s", SLICE_ARG(buf_slice(names)));
	}
	sink_found(sink, "delivery", "%s",
	    postgres_is_exact(l->pg->opts) ? "effectively once"
					   : "at least once");
	lane_end_test(l, true, NULL);
}

static void
on_prepared(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	char reason[600];

	if (c->fault != PG_FAULT_NONE) {
		lane_reason(l, reason, sizeof(reason));
		if (l->pg->statement != NULL && strcmp(c->state, "42601") == 0)
			sink_reject(l->pg->sink, "config.sql: %s", reason);
		lane_fail(l, SINK_UNAVAILABLE, reason);
		return;
	}
	for (size_t i = 0; l->pg->statement != NULL && i < l->pg->params_len;
	     i++)
		l->oids[i] =
		    c->results_len > 0 && PQnparams(c->results[0]) > (int)i
			? PQparamtype(c->results[0], (int)i)
			: PG_OID_TEXT;
	l->is_prepared = true;
	if (l->job == JOB_TEST)
		lane_report(l);
	else
		lane_run_batch(l);
}

/* A server that asks now and then does not work on for the dead. */
static void
lane_send_settings(struct lane *l)
{
	lane_command(l, "SELECT set_config(name, '5000', false) FROM "
			"pg_catalog.pg_settings WHERE name = "
			"'client_connection_check_interval'");
}

static void
lane_prepare(struct lane *l)
{
	struct buf sql;

	buf_init(&sql);
	if (l->pg->statement != NULL) {
		(void)PQsendPrepare(
		    l->conn.pg, "row", l->pg->statement, 0, NULL);
		(void)PQsendDescribePrepared(l->conn.pg, "row");
		lane_send_settings(l);
	} else {
		pg_statement_insert(&sql, &l->table);
		(void)PQsendPrepare(l->conn.pg, "row", buf_cstr(&sql), 0, NULL);
	}
	if (l->pg->uses_copy && l->table.conflict != PG_CONFLICT_ERROR) {
		buf_clear(&sql);
		pg_statement_stage(&sql, &l->table);
		lane_command(l, buf_cstr(&sql));
	}
	buf_fini(&sql);
	pg_conn_wait(&l->conn, on_prepared, l);
}

/* Our columns with the types of the catalog; what is missing, or NULL. */
static const char *
lane_take_columns(struct lane *l, const PGresult *found)
{
	const struct pg_table *want = &l->pg->table;
	int rows = PQntuples(found);

	pg_table_clear(&l->table);
	for (size_t i = 0; i < want->columns_len; i++)
		pg_table_add(
		    &l->table, want->columns[i].name, want->columns[i].value)
		    ->is_key = want->columns[i].is_key;
	for (int i = 0; i < rows; i++) {
		const char *name = PQgetvalue(found, i, 0);
		struct pg_column *c = pg_table_find(&l->table, name);

		if (c == NULL && opt_count(l->pg->opts, "columns") == 0 &&
		    record_field_find(slice_str(name)) != FIELD_COUNT)
			c = pg_table_add(&l->table, name, NULL);
		if (c == NULL)
			continue;
		free(c->type);
		c->type = mem_strdup(PQgetvalue(found, i, 1));
		c->oid = (unsigned)strtoul(PQgetvalue(found, i, 2), NULL, 10);
	}
	for (size_t i = 0; i < l->table.columns_len; i++)
		if (l->table.columns[i].type == NULL)
			return l->table.columns[i].name;
	return NULL;
}

static void
on_catalog(struct pg_conn *c, void *arg)
{
	struct lane *l = arg;
	const char *missing;
	char reason[700];

	if (c->fault != PG_FAULT_NONE || c->results_len < 3) {
		lane_fail(l, SINK_UNAVAILABLE,
		    lane_reason(l, reason, sizeof(reason)));
		return;
	}
	missing = lane_take_columns(l, c->results[1]);
	if (missing != NULL)
		snprintf(reason, sizeof(reason),
		    "table %.250s has no column %.100s", l->table.name,
		    missing);
	else if (l->table.columns_len == 0)
		snprintf(reason, sizeof(reason),
		    "no column of table %.250s is called like a field of the "
		    "record: name them in columns",
		    l->table.name);
	else if (opt_count(l->pg->opts, "key_columns") > 0 &&
		 PQntuples(c->results[2]) == 0)
		snprintf(reason, sizeof(reason),
		    "table %.250s has no unique "
		    "index on exactly the key_columns: create one, or say "
		    "on_conflict: error",
		    l->table.name);
	else {
		lane_prepare(l);
		return;
	}
	lane_fail(l, SINK_UNAVAILABLE, reason);
}

static void
lane_look_up(struct lane *l)
{
	static const char columns[] =
	    "SELECT a.attname, pg_catalog.format_type(b.oid, -1), b.oid "
	    "FROM pg_catalog.pg_attribute a "
	    "JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
	    "JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype "
	    "WHEN 'd' THEN t.typbasetype ELSE t.oid END "
	    "WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 "
	    "AND NOT a.attisdropped ORDER BY a.attnum";
	static const char uniques[] =
	    "SELECT 1 FROM pg_catalog.pg_index i "
	    "WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisunique "
	    "AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL "
	    "AND i.indexprs IS NULL AND (SELECT array_agg(a.attname::text "
	    "ORDER BY a.attname::text) FROM pg_catalog.pg_attribute a "
	    "WHERE a.attrelid = i.indrelid AND a.attnum = "
	    "ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])) = "
	    "(SELECT array_agg(k ORDER BY k) FROM unnest($2::text[]) k)";
	const struct sink_options *o = l->pg->opts;
	const char *values[2] = {l->table.name, NULL};
	int lengths[2] = {0, 0}, formats[2] = {0, 1};
	size_t n = opt_count(o, "key_columns");
	struct buf keys;

	buf_init(&keys);
	buf_add_be32(&keys, n > 0);
	buf_add_be32(&keys, 0);
	buf_add_be32(&keys, PG_OID_TEXT);
	if (n > 0) {
		buf_add_be32(&keys, (uint32_t)n);
		buf_add_be32(&keys, 1);
	}
	for (size_t i = 0; i < n; i++) {
		struct slice key = slice_str(opt_value(o, "key_columns", i));

		buf_add_be32(&keys, (uint32_t)key.len);
		buf_add_slice(&keys, key);
	}
	values[1] = (const char *)buf_data(&keys);
	lengths[1] = (int)buf_len(&keys);
	lane_send_settings(l);
	(void)PQsendQueryParams(
	    l->conn.pg, columns, 1, NULL, values, NULL, NULL, 0);
	(void)PQsendQueryParams(
	    l->conn.pg, uniques, 2, NULL, values, lengths, formats, 0);
	buf_fini(&keys);
	pg_conn_wait(&l->conn, on_catalog, l);
}

void
lane_prepare_start(struct lane *l)
{
	if (l->pg->statement != NULL)
		lane_prepare(l);
	else
		lane_look_up(l);
}
