/* links: worker base */
#include "connector-worker/pg_statement.h"

#include <criterion/criterion.h>

static struct template *
parse(const char *text)
{
	char fault[200];
	struct template *t =
	    template_parse(slice_str(text), fault, sizeof(fault));

	cr_assert_not_null(t, "%s: %s", text, fault);
	return t;
}

static void
set_type(struct pg_column *c, const char *type, unsigned oid)
{
	c->type = strdup(type);
	c->oid = oid;
}

static struct pg_table
make_table(enum pg_conflict conflict)
{
	struct pg_table t = {
	    .name = strdup("\"s\".\"t\""), .conflict = conflict};

	pg_table_add(&t, "id", NULL)->is_key = true;
	set_type(&t.columns[0], "text", 25);
	pg_table_add(&t, "payload", NULL);
	set_type(&t.columns[1], "bytea", PG_OID_BYTEA);
	pg_table_add(&t, "timestamp_ms", NULL);
	set_type(&t.columns[2], "timestamp with time zone", PG_OID_TIMESTAMPTZ);
	return t;
}

static void
expect(void (*make)(struct buf *, const struct pg_table *),
    enum pg_conflict conflict, const char *sql)
{
	struct pg_table t = make_table(conflict);
	struct buf b;

	buf_init(&b);
	make(&b, &t);
	cr_assert_str_eq(buf_cstr(&b), sql);
	buf_fini(&b);
	pg_table_fini(&t);
}

#define INTO "INSERT INTO \"s\".\"t\" (\"id\", \"payload\", \"timestamp_ms\") "
#define ARRAYS                                                                 \
	INTO "SELECT u.c0::text, u.c1::bytea, "                                \
	     "u.c2::timestamp with time zone FROM unnest($1::text[], "         \
	     "$2::bytea[], "                                                   \
	     "$3::text[]) AS u(c0, c1, c2)"

Test(pg_statement, insert)
{
	expect(pg_statement_insert, PG_CONFLICT_ERROR, ARRAYS);
	expect(pg_statement_insert, PG_CONFLICT_IGNORE,
	    ARRAYS " ON CONFLICT (\"id\") DO NOTHING");
	expect(pg_statement_insert, PG_CONFLICT_UPDATE,
	    ARRAYS " ON CONFLICT (\"id\") DO UPDATE SET \"payload\" = "
		   "EXCLUDED.\"payload\", \"timestamp_ms\" = "
		   "EXCLUDED.\"timestamp_ms\"");
}

Test(pg_statement, update_of_nothing_but_the_key)
{
	struct pg_table t = {
	    .name = strdup("\"t\""), .conflict = PG_CONFLICT_UPDATE};
	struct buf b;

	buf_init(&b);
	pg_table_add(&t, "id", NULL)->is_key = true;
	set_type(&t.columns[0], "text", 25);
	pg_statement_insert(&b, &t);
	cr_assert_str_eq(buf_cstr(&b),
	    "INSERT INTO \"t\" (\"id\") SELECT "
	    "u.c0::text FROM unnest($1::text[]) AS u(c0) "
	    "ON CONFLICT (\"id\") DO NOTHING");
	buf_fini(&b);
	pg_table_fini(&t);
}

Test(pg_statement, copy)
{
	expect(pg_statement_copy, PG_CONFLICT_ERROR,
	    "BEGIN; COPY \"s\".\"t\" (\"id\", \"payload\", \"timestamp_ms\") "
	    "FROM STDIN; COMMIT");
	expect(pg_statement_copy, PG_CONFLICT_IGNORE,
	    "BEGIN; COPY pg_temp.bulkhead_stage (\"id\", \"payload\", "
	    "\"timestamp_ms\") FROM STDIN; " INTO "SELECT \"id\", "
	    "\"payload\", \"timestamp_ms\" FROM pg_temp.bulkhead_stage "
	    "ON CONFLICT (\"id\") DO NOTHING; COMMIT");
	expect(pg_statement_stage, PG_CONFLICT_IGNORE,
	    "CREATE TEMPORARY TABLE bulkhead_stage ON COMMIT DELETE ROWS AS "
	    "SELECT \"id\", \"payload\", \"timestamp_ms\" FROM \"s\".\"t\" "
	    "WITH NO DATA");
}

/* --- rows ----------------------------------------------------------------- */

static struct record
make_record(const char *topic, struct slice payload)
{
	return (struct record){.stream = SLICE_LIT("s"),
	    .incarnation = 1,
	    .topic = slice_str(topic),
	    .key = slice_str(topic),
	    .payload = payload,
	    .timestamp_ms = 1732200000123};
}

static struct pg_rows rows;
static struct template_input input;

static void
rows_begin(void)
{
	pg_rows_init(&rows);
	template_input_init(&input);
}

static void
rows_finish(void)
{
	pg_rows_fini(&rows);
	template_input_fini(&input);
}

TestSuite(pg_rows, .init = rows_begin, .fini = rows_finish);

static bool
add_row(const char *const *templates, const unsigned *oids, size_t n,
    const struct record *rec)
{
	const char *why = NULL;
	bool is_good = true;

	template_input_set(&input, rec);
	for (size_t i = 0; i < n && is_good; i++) {
		struct template *t = parse(templates[i]);

		is_good = pg_rows_add(&rows, t, &input, oids[i], &why);
		template_free(t);
	}
	if (is_good)
		pg_rows_end(&rows);
	else
		pg_rows_undo(&rows);
	return is_good;
}

Test(pg_rows, values)
{
	static const char *const templates[] = {"${topic}", "${payload}",
	    "${timestamp_ms}", "${payload.x|}", "${client_id}"};
	static const unsigned oids[] = {
	    25, PG_OID_BYTEA, PG_OID_TIMESTAMPTZ, 25, 25};
	struct record rec = make_record("a/b", slice_of("\0\\\xff", 3));

	pg_rows_clear(&rows, 5);
	cr_assert(add_row(templates, oids, 5, &rec));
	cr_assert_eq(rows.n, 1);
	cr_assert(slice_is(pg_rows_get(&rows, 0, 0), "a/b"));
	cr_assert(slice_eq(pg_rows_get(&rows, 0, 1), rec.payload));
	cr_assert(
	    slice_is(pg_rows_get(&rows, 0, 2), "2024-11-21 14:40:00.123+00"));
	cr_assert(slice_is(pg_rows_get(&rows, 0, 3), ""));
	cr_assert(slice_is_null(pg_rows_get(&rows, 0, 4)));
	cr_assert_eq(pg_rows_get(&rows, 0, 0).p[3], '\0');
}

Test(pg_rows, times_that_are_no_milliseconds)
{
	static const char *const templates[] = {
	    "2024-11-21", "173220000012", "17322000001234", "173220000012x"};
	static const unsigned oids[] = {PG_OID_TIMESTAMP, PG_OID_TIMESTAMP,
	    PG_OID_TIMESTAMP, PG_OID_TIMESTAMP};
	struct record rec = make_record("t", SLICE_EMPTY);

	pg_rows_clear(&rows, 4);
	cr_assert(add_row(templates, oids, 4, &rec));
	for (size_t i = 0; i < 4; i++)
		cr_assert(slice_is(pg_rows_get(&rows, 0, i), templates[i]));
}

Test(pg_rows, a_refused_row_leaves_nothing)
{
	static const char *const templates[] = {
	    "${topic}", "${payload:number}"};
	static const unsigned oids[] = {25, 23};
	struct record good = make_record("a", slice_str("1"));
	struct record bad = make_record("b", slice_str("x"));

	pg_rows_clear(&rows, 2);
	cr_assert_not(add_row(templates, oids, 2, &bad));
	cr_assert_eq(rows.n, 0);
	cr_assert(add_row(templates, oids, 2, &good));
	cr_assert_not(add_row(templates, oids, 2, &bad));
	cr_assert(add_row(templates, oids, 2, &good));
	cr_assert_eq(rows.n, 2);
	cr_assert(slice_is(pg_rows_get(&rows, 1, 0), "a"));
	cr_assert(slice_is(pg_rows_get(&rows, 1, 1), "1"));
}

Test(pg_rows, array)
{
	static const char *const templates[] = {"${payload}"};
	static const unsigned oids[] = {25};
	static const char want[] = "\0\0\0\1"
				   "\0\0\0\1"
				   "\0\0\0\31"
				   "\0\0\0\3"
				   "\0\0\0\1"
				   "\0\0\0\2"
				   "ab"
				   "\xff\xff\xff\xff"
				   "\0\0\0\0";
	struct record recs[] = {make_record("t", slice_str("drop")),
	    make_record("t", slice_str("ab")), make_record("t", SLICE_NULL),
	    make_record("t", SLICE_EMPTY)};
	struct buf b;

	buf_init(&b);
	pg_rows_clear(&rows, 1);
	for (size_t i = 0; i < 4; i++)
		cr_assert(add_row(templates, oids, 1, &recs[i]));
	pg_rows_array(&rows, 0, 1, 4, PG_OID_TEXT, &b);
	cr_assert(slice_eq(buf_slice(&b), slice_of(want, sizeof(want) - 1)));
	buf_fini(&b);
}

Test(pg_rows, copy)
{
	struct pg_table t = make_table(PG_CONFLICT_ERROR);
	static const char *const templates[] = {
	    "${topic}", "${payload}", "${client_id}"};
	static const unsigned oids[] = {25, PG_OID_BYTEA, 25};
	struct record rec = make_record("a\tb\\c\r\n", slice_of("\0\xab", 2));
	struct buf b;

	buf_init(&b);
	pg_rows_clear(&rows, 3);
	cr_assert(add_row(templates, oids, 3, &rec));
	cr_assert(add_row(templates, oids, 3, &rec));
	pg_rows_copy(&rows, &t, 1, 2, &b);
	cr_assert_str_eq(buf_cstr(&b), "a\\tb\\\\c\\r\\n\t\\\\x00ab\t\\N\n");
	buf_fini(&b);
	pg_table_fini(&t);
}

Test(pg_rows, distinct)
{
	struct pg_table t = make_table(PG_CONFLICT_UPDATE);
	static const char *const templates[] = {"${topic}", "", ""};
	static const unsigned oids[] = {25, 25, 25};
	static const char *const topics[] = {"a", "b", "c", "b", "b", "a"};

	pg_rows_clear(&rows, 3);
	for (size_t i = 0; i < 6; i++) {
		struct record rec = make_record(topics[i], SLICE_EMPTY);

		cr_assert(add_row(templates, oids, 3, &rec));
	}
	cr_assert_eq(pg_rows_distinct(&rows, &t, 0, 6), 3);
	cr_assert_eq(pg_rows_distinct(&rows, &t, 3, 6), 4);
	cr_assert_eq(pg_rows_distinct(&rows, &t, 4, 6), 6);
	cr_assert_eq(pg_rows_distinct(&rows, &t, 0, 1), 1);
	pg_table_fini(&t);
}
