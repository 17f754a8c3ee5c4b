#include "connector-worker/pg_statement.h"

#include "base/mem.h"
#include "connector-worker/sql_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- the table ---------------------------------------------------------- */

void
pg_table_clear(struct pg_table *t)
{
	for (size_t i = 0; i < t->columns_len; i++) {
		template_free(t->columns[i].own_value);
		free(t->columns[i].name);
		free(t->columns[i].type);
	}
	free(t->columns);
	t->columns = NULL;
	t->columns_len = 0;
}

void
pg_table_fini(struct pg_table *t)
{
	pg_table_clear(t);
	free(t->name);
	t->name = NULL;
}

struct pg_column *
pg_table_add(struct pg_table *t, const char *name, const struct template *value)
{
	struct pg_column *c;
	char fault[128];

	t->columns =
	    mem_realloc(t->columns, (t->columns_len + 1) * sizeof(*t->columns));
	c = &t->columns[t->columns_len++];
	*c = (struct pg_column){.name = mem_strdup(name), .value = value};
	if (value == NULL) {
		char *text = mem_printf("${%s}", name);

		c->own_value =
		    template_parse(slice_str(text), fault, sizeof(fault));
		c->value = c->own_value;
		free(text);
	}
	return c;
}

struct pg_column *
pg_table_find(const struct pg_table *t, const char *name)
{
	for (size_t i = 0; i < t->columns_len; i++)
		if (strcmp(t->columns[i].name, name) == 0)
			return &t->columns[i];
	return NULL;
}

/* --- statements ----------------------------------------------------------- */

static void
add_names(struct buf *b, const struct pg_table *t, bool only_keys)
{
	const char *comma = "";

	for (size_t i = 0; i < t->columns_len; i++) {
		if (only_keys && !t->columns[i].is_key)
			continue;
		buf_add_str(b, comma);
		sql_name_add(b, slice_str(t->columns[i].name));
		comma = ", ";
	}
}

static void
add_into(struct buf *b, const struct pg_table *t)
{
	buf_addf(b, "INSERT INTO %s (", t->name);
	add_names(b, t, false);
	buf_add_str(b, ") SELECT ");
}

static void
add_conflict(struct buf *b, const struct pg_table *t)
{
	const char *lead = ") DO UPDATE SET ";

	if (t->conflict == PG_CONFLICT_ERROR)
		return;
	buf_add_str(b, " ON CONFLICT (");
	add_names(b, t, true);
	for (size_t i = 0;
	     t->conflict == PG_CONFLICT_UPDATE && i < t->columns_len; i++) {
		struct slice name = slice_str(t->columns[i].name);

		if (t->columns[i].is_key)
			continue;
		buf_add_str(b, lead);
		sql_name_add(b, name);
		buf_add_str(b, " = EXCLUDED.");
		sql_name_add(b, name);
		lead = ", ";
	}
	/* An update of nothing but the key is none. */
	if (lead[0] == ')')
		buf_add_str(b, ") DO NOTHING");
}

static bool
is_bytea(const struct pg_column *c)
{
	return c->oid == PG_OID_BYTEA;
}

void
pg_statement_insert(struct buf *b, const struct pg_table *t)
{
	add_into(b, t);
	for (size_t i = 0; i < t->columns_len; i++)
		buf_addf(b, "%su.c%zu::%s", i > 0 ? ", " : "", i,
		    t->columns[i].type);
	buf_add_str(b, " FROM unnest(");
	for (size_t i = 0; i < t->columns_len; i++)
		buf_addf(b, "%s$%zu::%s[]", i > 0 ? ", " : "", i + 1,
		    is_bytea(&t->columns[i]) ? "bytea" : "text");
	buf_add_str(b, ") AS u(");
	for (size_t i = 0; i < t->columns_len; i++)
		buf_addf(b, "%sc%zu", i > 0 ? ", " : "", i);
	buf_add_str(b, ")");
	add_conflict(b, t);
}

void
pg_statement_stage(struct buf *b, const struct pg_table *t)
{
	buf_add_str(b, "CREATE TEMPORARY TABLE bulkhead_stage "
		       "ON COMMIT DELETE ROWS AS SELECT ");
	add_names(b, t, false);
	buf_addf(b, " FROM %s WITH NO DATA", t->name);
}

void
pg_statement_copy(struct buf *b, const struct pg_table *t)
{
	bool is_direct = t->conflict == PG_CONFLICT_ERROR;

	buf_addf(b, "BEGIN; COPY %s (",
	    is_direct ? t->name : "pg_temp.bulkhead_stage");
	add_names(b, t, false);
	buf_add_str(b, ") FROM STDIN; ");
	if (!is_direct) {
		add_into(b, t);
		add_names(b, t, false);
		buf_add_str(b, " FROM pg_temp.bulkhead_stage");
		add_conflict(b, t);
		buf_add_str(b, "; ");
	}
	buf_add_str(b, "COMMIT");
}

/* --- rows ----------------------------------------------------------------- */

void
pg_rows_init(struct pg_rows *r)
{
	*r = (struct pg_rows){0};
	buf_init(&r->text);
}

void
pg_rows_fini(struct pg_rows *r)
{
	buf_fini(&r->text);
	free(r->cells);
}

void
pg_rows_clear(struct pg_rows *r, size_t columns)
{
	r->columns = columns;
	r->n = 0;
	r->cells_len = 0;
	buf_trim(&r->text, 4u << 20);
}

/*
 * Thirteen digits are no date that the server would read, but the very form
 * of timestamp_ms and of most devices' clocks: milliseconds since 1970.
 */
static void
time_translate(struct buf *text, size_t at)
{
	size_t n = buf_len(text) - at;
	const uint8_t *p = buf_data(text) + at;
	char out[40];
	struct tm tm;
	int64_t ms = 0;
	time_t s;

	if (n != 13)
		return;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return;
		ms = ms * 10 + (p[i] - '0');
	}
	s = (time_t)(ms / 1000);
	gmtime_r(&s, &tm);
	text->len -= n;
	n = strftime(out, sizeof(out), "%Y-%m-%d %H:%M:%S", &tm);
	buf_add(text, out, n);
	buf_addf(text, ".%03d+00", (int)(ms % 1000));
}

bool
pg_rows_add(struct pg_rows *r, const struct template *t,
    struct template_input *in, unsigned oid, const char **why)
{
	struct pg_cell *cell;
	enum value_kind kind;
	size_t at = buf_len(&r->text);

	if (!template_value(t, in, &r->text, &kind, why))
		return false;
	if (oid == PG_OID_TIMESTAMP || oid == PG_OID_TIMESTAMPTZ)
		time_translate(&r->text, at);
	if (r->cells_len == r->cells_cap) {
		r->cells_cap = r->cells_cap == 0 ? 256 : r->cells_cap * 2;
		r->cells =
		    mem_realloc(r->cells, r->cells_cap * sizeof(*r->cells));
	}
	cell = &r->cells[r->cells_len++];
	cell->at = at;
	cell->len = buf_len(&r->text) - at;
	cell->is_null = kind == VALUE_NULL;
	buf_add_u8(&r->text, '\0');
	return true;
}

void
pg_rows_end(struct pg_rows *r)
{
	r->n++;
}

void
pg_rows_undo(struct pg_rows *r)
{
	size_t whole = r->n * r->columns;

	if (r->cells_len > whole)
		r->text.len = r->text.off + r->cells[whole].at;
	r->cells_len = whole;
}

struct slice
pg_rows_get(const struct pg_rows *r, size_t row, size_t column)
{
	const struct pg_cell *c = &r->cells[row * r->columns + column];

	if (c->is_null)
		return SLICE_NULL;
	return slice_of(buf_data(&r->text) + c->at, c->len);
}

/* The format of array_recv in PostgreSQL's source: one dimension from 1. */
void
pg_rows_array(const struct pg_rows *r, size_t column, size_t first, size_t end,
    unsigned oid, struct buf *b)
{
	buf_add_be32(b, 1);
	buf_add_be32(b, 1); /* may hold NULLs */
	buf_add_be32(b, oid);
	buf_add_be32(b, (uint32_t)(end - first));
	buf_add_be32(b, 1);
	for (size_t i = first; i < end; i++) {
		struct slice s = pg_rows_get(r, i, column);

		if (slice_is_null(s)) {
			buf_add_be32(b, UINT32_MAX);
			continue;
		}
		buf_add_be32(b, (uint32_t)s.len);
		buf_add_slice(b, s);
	}
}

static void
copy_add_text(struct buf *b, struct slice s)
{
	size_t from = 0;

	for (size_t i = 0; i < s.len; i++) {
		const char *escape = s.p[i] == '\\'   ? "\\\\"
				     : s.p[i] == '\n' ? "\\n"
				     : s.p[i] == '\r' ? "\\r"
				     : s.p[i] == '\t' ? "\\t"
						      : NULL;

		if (escape == NULL)
			continue;
		buf_add(b, s.p + from, i - from);
		buf_add(b, escape, 2);
		from = i + 1;
	}
	buf_add(b, s.p + from, s.len - from);
}

static void
copy_add_bytes(struct buf *b, struct slice s)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t *p;

	buf_add_str(b, "\\\\x");
	p = buf_reserve(b, s.len * 2);
	for (size_t i = 0; i < s.len; i++) {
		*p++ = (uint8_t)digits[s.p[i] >> 4];
		*p++ = (uint8_t)digits[s.p[i] & 15];
	}
	buf_commit(b, s.len * 2);
}

void
pg_rows_copy(const struct pg_rows *r, const struct pg_table *t, size_t first,
    size_t end, struct buf *b)
{
	for (size_t i = first; i < end; i++) {
		for (size_t c = 0; c < r->columns; c++) {
			struct slice s = pg_rows_get(r, i, c);

			if (c > 0)
				buf_add_u8(b, '\t');
			if (slice_is_null(s))
				buf_add_str(b, "\\N");
			else if (is_bytea(&t->columns[c]))
				copy_add_bytes(b, s);
			else
				copy_add_text(b, s);
		}
		buf_add_u8(b, '\n');
	}
}

/* FNV-1a over the values and their lengths; never 0. */
static uint64_t
key_hash(const struct pg_rows *r, const struct pg_table *t, size_t row)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t c = 0; c < r->columns; c++) {
		struct slice s;

		if (!t->columns[c].is_key)
			continue;
		s = pg_rows_get(r, row, c);
		for (size_t i = 0; i < s.len; i++)
			h = (h ^ s.p[i]) * 0x100000001b3u;
		h = (h ^ s.len) * 0x100000001b3u;
	}
	return h != 0 ? h : 1;
}

size_t
pg_rows_distinct(
    const struct pg_rows *r, const struct pg_table *t, size_t first, size_t end)
{
	uint64_t *seen;
	size_t size = 16, row;

	while (size < (end - first) * 2)
		size *= 2;
	seen = mem_zalloc(size, sizeof(*seen));
	for (row = first; row < end; row++) {
		uint64_t h = key_hash(r, t, row);
		size_t at = (h ^ h >> 32) & (size - 1);

		while (seen[at] != 0 && seen[at] != h)
			at = (at + 1) & (size - 1);
		/* Two keys of one hash only make the run shorter. */
		if (seen[at] == h)
			break;
		seen[at] = h;
	}
	free(seen);
	return row;
}
