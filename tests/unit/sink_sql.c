/* links: worker base */
#include "connector-worker/sql_state.h"
#include "connector-worker/sql_text.h"

#include <criterion/criterion.h>

Test(sql_state, verdicts)
{
	static const struct {
		const char *state;
		struct sql_verdict verdict;
	} rows[] = {
	    {"22P02", {SINK_REFUSED, true}},
	    {"22021", {SINK_REFUSED, true}},
	    {"23505", {SINK_REFUSED, true}},
	    {"23514", {SINK_REFUSED, true}},
	    {"P0001", {SINK_REFUSED, true}},
	    {"54000", {SINK_REFUSED, true}},
	    {"08006", {SINK_UNAVAILABLE, false}},
	    {"53100", {SINK_UNAVAILABLE, false}},
	    {"53300", {SINK_UNAVAILABLE, false}},
	    {"57P01", {SINK_UNAVAILABLE, false}},
	    {"57014", {SINK_UNAVAILABLE, false}},
	    {"28P01", {SINK_UNAVAILABLE, false}},
	    {"3D000", {SINK_UNAVAILABLE, false}},
	    {"42P01", {SINK_UNAVAILABLE, false}},
	    {"42501", {SINK_UNAVAILABLE, false}},
	    {"25006", {SINK_UNAVAILABLE, false}},
	    {"25P02", {SINK_RETRYABLE, false}},
	    {"40001", {SINK_RETRYABLE, false}},
	    {"40P01", {SINK_RETRYABLE, false}},
	    {"55P03", {SINK_RETRYABLE, false}},
	    {"21000", {SINK_RETRYABLE, true}},
	    {"XX000", {SINK_UNSURE, true}},
	    {"P0002", {SINK_UNSURE, true}},
	    {"", {SINK_UNSURE, true}},
	    {"22", {SINK_UNSURE, true}},
	    {"225050", {SINK_UNSURE, true}},
	    {NULL, {SINK_UNSURE, true}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sql_verdict v = sql_state_verdict(rows[i].state);

		cr_assert(v.outcome == rows[i].verdict.outcome &&
			      v.is_of_row == rows[i].verdict.is_of_row,
		    "%s", rows[i].state != NULL ? rows[i].state : "NULL");
	}
}

static void
expect_table(const char *table, const char *sql)
{
	struct buf b;
	const char *wrong;

	buf_init(&b);
	wrong = sql_table_add(&b, slice_str(table));
	if (sql == NULL)
		cr_assert_not_null(wrong, "%s", table);
	else {
		cr_assert_null(wrong, "%s: %s", table, wrong);
		cr_assert_str_eq(buf_cstr(&b), sql);
	}
	buf_fini(&b);
	wrong = sql_table_add(NULL, slice_str(table));
	cr_assert_eq(wrong == NULL, sql != NULL);
}

Test(sql_text, tables)
{
	expect_table("t", "\"t\"");
	expect_table("Public.Tele metry", "\"Public\".\"Tele metry\"");
	expect_table("a.b.c", "\"a\".\"b\".\"c\"");
	expect_table("\"a.b\".c", "\"a.b\".\"c\"");
	expect_table("\"a\"\"b\"", "\"a\"\"b\"");
	expect_table("t; drop table x", "\"t; drop table x\"");
	expect_table("", NULL);
	expect_table("a.", NULL);
	expect_table(".a", NULL);
	expect_table("a..b", NULL);
	expect_table("a.b.c.d", NULL);
	expect_table("a\"b", NULL);
	expect_table("\"a", NULL);
	expect_table("\"a\"b", NULL);
	expect_table("\"\"", NULL);
}

Test(sql_text, nul_in_a_name)
{
	cr_assert_not_null(sql_table_add(NULL, slice_of("a\0b", 3)));
}

static void
expect_params(const char *statement, const char *sql, size_t want)
{
	static struct slice params[SQL_PARAMS_MAX];
	struct buf b;
	size_t count;
	const char *wrong;

	buf_init(&b);
	wrong = sql_params_take(slice_str(statement), &b, params, &count);
	if (sql == NULL)
		cr_assert_not_null(wrong, "%s", statement);
	else {
		cr_assert_null(wrong, "%s: %s", statement, wrong);
		cr_assert_str_eq(buf_cstr(&b), sql);
		cr_assert_eq(count, want);
		for (size_t i = 0; i < count; i++)
			cr_assert(params[i].p[0] == '$' &&
				  params[i].p[params[i].len - 1] == '}');
	}
	buf_fini(&b);
}

Test(sql_text, params)
{
	expect_params("insert into t values (${a}, ${b.c[0]|x}, ${a})",
	    "insert into t values ($1, $2, $3)", 3);
	expect_params("select 1", "select 1", 0);
	expect_params("", "", 0);
	expect_params(
	    "x '$' \"y\" -- $ {\n ${a}", "x '$' \"y\" -- $ {\n $1", 1);
	expect_params("select 'it''s', E'a\\'b', ${x}",
	    "select 'it''s', E'a\\'b', $1", 1);
	expect_params("select $$a$$, $t$ $$ $t$, ${x}",
	    "select $$a$$, $t$ $$ $t$, $1", 1);
	expect_params("/* a /* b */ c */ ${x}", "/* a /* b */ c */ $1", 1);
	expect_params("a - b / ${c} $", "a - b / $1 $", 1);
	expect_params("type'\\' || ${x}", "type'\\' || $1", 1);
	expect_params("f(${payload[\"a}b\\\"}\"]}, ${x|a\\}b\\\\}, 1)",
	    "f($1, $2, 1)", 2);
	expect_params("${payload[\"a}", NULL, 0);
	expect_params("${x|\\}", NULL, 0);
	expect_params("'${a}'", NULL, 0);
	expect_params("\"${a}\"", NULL, 0);
	expect_params("-- ${a}", NULL, 0);
	expect_params("/* ${a} */", NULL, 0);
	expect_params("$$ ${a} $$", NULL, 0);
	expect_params("$t$ ${a}", NULL, 0);
	expect_params("E'\\' ${a}'", NULL, 0);
	expect_params("${a", NULL, 0);
}

Test(sql_text, too_many_params)
{
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; i <= SQL_PARAMS_MAX; i++)
		buf_add_str(&b, "${x}");
	expect_params(buf_cstr(&b), NULL, 0);
	buf_fini(&b);
}
