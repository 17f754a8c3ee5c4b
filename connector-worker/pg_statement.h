/*
 * pg_statement - the statements and the row data of a PostgreSQL table.
 *
 * Pure. A batch of rows is sent as one array per column (INSERT ... SELECT
 * FROM unnest), the arrays in binary form, or as COPY text. Values go as
 * text and are cast by the server to the column's own type without its
 * length, so that what is too long is refused and never cut; bytea goes as
 * bytes.
 */
#ifndef CONNECTOR_WORKER_PG_STATEMENT_H
#define CONNECTOR_WORKER_PG_STATEMENT_H

#include "base/template.h"

#define PG_OID_BYTEA 17u
#define PG_OID_TEXT 25u
#define PG_OID_TIMESTAMP 1114u
#define PG_OID_TIMESTAMPTZ 1184u

/* The order of the option's choices. */
enum pg_conflict { PG_CONFLICT_ERROR, PG_CONFLICT_IGNORE, PG_CONFLICT_UPDATE };

struct pg_column {
	char *name;
	const struct template *value;
	struct template *own_value; /* of a default column */
	char *type;   /* what a text is cast to; NULL: not known yet */
	unsigned oid; /* of that type */
	bool is_key;
};

struct pg_table {
	char *name; /* as SQL */
	enum pg_conflict conflict;
	struct pg_column *columns;
	size_t columns_len;
};

void pg_table_fini(struct pg_table *);
/* Takes the columns away, the name stays. */
void pg_table_clear(struct pg_table *);
/* The value is a loan; NULL: "${NAME}". The column lives until clear. */
struct pg_column *pg_table_add(
    struct pg_table *, const char *name, const struct template *value);
struct pg_column *pg_table_find(const struct pg_table *, const char *name);

/* INSERT of $1..$n arrays. */
void pg_statement_insert(struct buf *, const struct pg_table *);
/* A temporary table for COPY where a conflict is no error. */
void pg_statement_stage(struct buf *, const struct pg_table *);
/* COPY as one whole transaction, through the stage where there is one. */
void pg_statement_copy(struct buf *, const struct pg_table *);

/* --- rows ------------------------------------------------------------- */

struct pg_cell {
	size_t at, len;
	bool is_null;
};

/* Values of rows, row by row; reused by clear. */
struct pg_rows {
	size_t columns;
	size_t n; /* whole rows */
	struct buf text;
	struct pg_cell *cells;
	size_t cells_len, cells_cap;
};

void pg_rows_init(struct pg_rows *);
void pg_rows_fini(struct pg_rows *);
void pg_rows_clear(struct pg_rows *, size_t columns);
/*
 * Renders the next value of the row that is being made. oid: of its type,
 * 0 if it is not known. False: the record is to be refused, *why says why.
 */
bool pg_rows_add(struct pg_rows *, const struct template *,
    struct template_input *, unsigned oid, const char **why);
/* Ends the row, or takes back what it has so far. */
void pg_rows_end(struct pg_rows *);
void pg_rows_undo(struct pg_rows *);
/* A null slice is NULL. Each value has a NUL behind it. */
struct slice pg_rows_get(const struct pg_rows *, size_t row, size_t column);

/* Rows [first, end) of a column as a binary array of oid (text or bytea). */
void pg_rows_array(const struct pg_rows *, size_t column, size_t first,
    size_t end, unsigned oid, struct buf *);
/* Rows [first, end) as COPY text; bytea columns in hex. */
void pg_rows_copy(const struct pg_rows *, const struct pg_table *, size_t first,
    size_t end, struct buf *);
/*
 * The end of the longest run of rows from first on, before end, in which no
 * two have the same values in the key columns.
 */
size_t pg_rows_distinct(
    const struct pg_rows *, const struct pg_table *, size_t first, size_t end);

#endif
