/*
 * table - rows of JSON as a table for people.
 *
 * Columns are "field:TITLE:format" words: a field may be a.b, the title is
 * the field in capitals where it is left out. With a width the widest
 * columns are cut to fit; control characters never reach the terminal.
 * Pure.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/buf.h"

#include <json-c/json.h>

struct table_style {
	size_t width;		/* columns of the terminal, 0 = no limit */
	bool has_colour;
};

void table_print(struct buf *out, const char *columns,
    struct json_object *rows, const struct table_style *style);
/*
 * One value in a format: "", bytes, seconds, percent, time (milliseconds
 * since 1970), count, exit, list.
 */
void cell_format(struct buf *out, struct json_object *v, const char *format);
/* An object as indented "name: value" lines. */
void tree_print(struct buf *out, struct json_object *o, unsigned depth);
/* Columns that the text takes. */
size_t text_width(struct slice text);
/* "a.b" in an object; NULL when there is none. */
struct json_object *field_find(struct json_object *o, const char *path);

#endif
