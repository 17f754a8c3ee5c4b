#include "connector-worker/sinks/mysql_lane.h"

#include "base/mem.h"
#include "connector-worker/sql_state.h"

#include <stdio.h>

/* What SQLSTATE does not tell, or tells in another way than meant here. */
static const struct {
	unsigned code;
	struct mysql_verdict verdict;
} codes[] = {
    {1020, {SINK_RETRYABLE, false}},   /* row has changed */
    {1040, {SINK_UNAVAILABLE, false}}, /* too many connections */
    {1044, {SINK_UNAVAILABLE, false}}, /* no right to the database */
    {1049, {SINK_UNAVAILABLE, false}}, /* unknown database */
    {1053, {SINK_UNAVAILABLE, false}}, /* shutting down */
    {1114, {SINK_UNAVAILABLE, false}}, /* table is full */
    {1021, {SINK_UNAVAILABLE, false}}, /* disk is full */
    {1153, {SINK_REFUSED, true}},      /* packet too large */
    {1203, {SINK_UNAVAILABLE, false}}, /* user's connections */
    {1205, {SINK_RETRYABLE, false}},   /* lock wait timeout */
    {1226, {SINK_UNAVAILABLE, false}}, /* user's limits */
    {1265, {SINK_REFUSED, true}},      /* data truncated */
    {1290, {SINK_UNAVAILABLE, false}}, /* read only */
    {1292, {SINK_REFUSED, true}},      /* incorrect value */
    {1317, {SINK_RETRYABLE, false}},   /* interrupted */
    {1364, {SINK_UNAVAILABLE, false}}, /* a column has no default */
    {1366, {SINK_REFUSED, true}},      /* incorrect value */
    {1644, {SINK_REFUSED, true}},      /* a trigger's SIGNAL */
    {1690, {SINK_REFUSED, true}},      /* out of range */
    {1792, {SINK_UNAVAILABLE, false}}, /* read only transaction */
    {1836, {SINK_UNAVAILABLE, false}}, /* read only mode */
    {1927, {SINK_UNSURE, false}},      /* connection was killed */
    {2002, {SINK_UNAVAILABLE, false}}, /* cannot connect */
    {2003, {SINK_UNAVAILABLE, false}},
    {2005, {SINK_UNAVAILABLE, false}}, /* unknown host */
    {2026, {SINK_UNAVAILABLE, false}}, /* TLS */
    {3819, {SINK_REFUSED, true}},      /* CHECK, MySQL 8 */
    {4025, {SINK_REFUSED, true}},      /* CHECK, MariaDB */
};

struct mysql_verdict
mysql_error_verdict(unsigned code, const char *state)
{
	struct sql_verdict v;

	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].code == code)
			return codes[i].verdict;
	if (code >= 2000 && code < 3000)
		return (struct mysql_verdict){SINK_UNSURE, false};
	/* A trigger's own states; and the general HY000, which says nothing. */
	if (strncmp(state, "45", 2) == 0)
		return (struct mysql_verdict){SINK_REFUSED, true};
	if (strcmp(state, "HY000") == 0)
		return (struct mysql_verdict){SINK_RETRYABLE, true};
	v = sql_state_verdict(state);
	return (struct mysql_verdict){v.outcome, v.is_of_row};
}

void
mysql_name_add(struct buf *b, struct slice name)
{
	buf_add_u8(b, '`');
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '`')
			buf_add_u8(b, '`');
		buf_add_u8(b, name.p[i]);
	}
	buf_add_u8(b, '`');
}

void
mysql_table_add(struct buf *b, const char *table)
{
	const char *dot = strchr(table, '.');

	if (dot != NULL) {
		mysql_name_add(b, slice_of(table, (size_t)(dot - table)));
		buf_add_u8(b, '.');
		table = dot + 1;
	}
	mysql_name_add(b, slice_str(table));
}

void
mysql_insert_add(struct buf *b, const struct mysql_plan *p)
{
	buf_addf(b, "INSERT INTO %s (", p->table);
	for (size_t i = 0; i < p->columns_len; i++) {
		if (i > 0)
			buf_add_u8(b, ',');
		mysql_name_add(b, slice_str(p->columns[i].name));
	}
	buf_add_str(b, ") VALUES ");
}

void
mysql_conflict_add(struct buf *b, const struct mysql_plan *p)
{
	const char *between = " ON DUPLICATE KEY UPDATE ";
	bool is_update = p->conflict == MYSQL_CONFLICT_UPDATE;

	if (p->conflict == MYSQL_CONFLICT_ERROR)
		return;
	for (size_t i = 0; i < p->columns_len; i++) {
		struct slice name = slice_str(p->columns[i].name);

		if (p->columns[i].is_key == is_update &&
		    p->columns_len > p->keys_len)
			continue;
		buf_add_str(b, between);
		between = ",";
		mysql_name_add(b, name);
		buf_add_u8(b, '=');
		/* ignore: a key column stays what it is. */
		buf_add_str(b, is_update ? "VALUES(" : "");
		mysql_name_add(b, name);
		buf_add_str(b, is_update ? ")" : "");
		if (!is_update)
			break;
	}
}

char *
mysql_statement_make(struct slice text, size_t params)
{
	struct buf b;
	size_t next = 1, n;
	char mark[24], *made;

	buf_init(&b);
	snprintf(mark, sizeof(mark), "$%zu", next);
	for (size_t i = 0; i < text.len; i += n) {
		n = strlen(mark);
		if (next <= params && text.len - i >= n &&
		    memcmp(text.p + i, mark, n) == 0) {
			buf_add_u8(&b, '?');
			snprintf(mark, sizeof(mark), "$%zu", ++next);
			continue;
		}
		n = 1;
		buf_add_u8(&b, text.p[i]);
	}
	made = mem_strdup(buf_cstr(&b));
	buf_fini(&b);
	return made;
}
