/*
 * sql_text - names and statements of a definition made into SQL.
 *
 * Pure. Values never become part of a statement: they are parameters. Names
 * come from the definition and are always quoted, so they are taken as they
 * are written, upper case too.
 */
#ifndef CONNECTOR_WORKER_SQL_TEXT_H
#define CONNECTOR_WORKER_SQL_TEXT_H

#include "base/buf.h"

/* At most this many parameters of a statement or columns of a table. */
#define SQL_PARAMS_MAX 1600

/* A name in double quotes, as ISO 9075 has it. */
void sql_name_add(struct buf *, struct slice name);

/*
 * "table", "schema.table" or "catalog.schema.table"; a part that holds a
 * dot or a quote stands in double quotes. NULL, or what is wrong with it;
 * out may be NULL.
 */
const char *sql_table_add(struct buf *out, struct slice table);

/*
 * Takes a statement that holds templates, ${...}, apart: out gets it with $1,
 * $2, ... in their places, params[i] the loan of what stood there, braces
 * included; params has room for SQL_PARAMS_MAX. The same template twice is
 * two parameters: their types may differ. NULL, or what is wrong: a template
 * inside quotes or a comment, an end that is missing, too many.
 */
const char *sql_params_take(struct slice statement, struct buf *out,
    struct slice *params, size_t *count);

#endif
