#include "cli/table.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 16
#define WIDTH_MIN 6	/* no column is cut below it */

struct column {
	char field[48];
	char title[32];
	char format[16];
	size_t width;
	bool is_right;		/* numbers */
};

struct table {
	struct column v[COLUMNS_MAX];
	size_t n;
	size_t rows;
	char **cells;		/* rows * n, NUL-terminated */
};

static void
column_parse(struct column *c, const char *spec, size_t len)
{
	const char *end = spec + len, *mark;
	size_t i;

	memset(c, 0, sizeof(*c));
	mark = memchr(spec, ':', len);
	snprintf(c->field, sizeof(c->field), "%.*s",
	    (int)((mark == NULL ? end : mark) - spec), spec);
	if (mark != NULL) {
		spec = mark + 1;
		mark = memchr(spec, ':', (size_t)(end - spec));
		snprintf(c->title, sizeof(c->title), "%.*s",
		    (int)((mark == NULL ? end : mark) - spec), spec);
	}
	if (mark != NULL)
		snprintf(c->format, sizeof(c->format), "%.*s",
		    (int)(end - mark - 1), mark + 1);
	for (i = 0; c->title[0] == '\0' && c->field[i] != '\0' &&
	    i < sizeof(c->title) - 1; i++)
		;
	for (size_t k = 0; k < i; k++)
		c->title[k] = c->field[k] == '_' ? '-' :
		    (char)toupper((unsigned char)c->field[k]);
	c->width = strlen(c->title);
}

static void
table_measure(struct table *t, struct json_object *rows)
{
	struct json_object *v;
	struct buf b;
	size_t w;

	buf_init(&b);
	t->rows = json_object_array_length(rows);
	t->cells = mem_zalloc(t->rows * t->n, sizeof(*t->cells));
	for (size_t i = 0; i < t->rows; i++)
		for (size_t k = 0; k < t->n; k++) {
			v = field_find(json_object_array_get_idx(rows, i),
			    t->v[k].field);
			buf_clear(&b);
			cell_format(&b, v, t->v[k].format);
			t->cells[i * t->n + k] = slice_dup(buf_slice(&b));
			w = text_width(buf_slice(&b));
			if (w > t->v[k].width)
				t->v[k].width = w;
			if (json_object_is_type(v, json_type_int) ||
			    json_object_is_type(v, json_type_double))
				t->v[k].is_right = true;
		}
	buf_fini(&b);
}

static size_t
table_width(const struct table *t)
{
	size_t sum = 2 * (t->n - 1);

	for (size_t k = 0; k < t->n; k++)
		sum += t->v[k].width;
	return sum;
}

/* Takes from the widest until it fits. */
static void
table_fit(struct table *t, size_t width)
{
	struct column *widest;

	while (width > 0 && table_width(t) > width) {
		widest = &t->v[0];
		for (size_t k = 1; k < t->n; k++)
			if (t->v[k].width > widest->width)
				widest = &t->v[k];
		if (widest->width <= WIDTH_MIN)
			return;
		widest->width--;
	}
}

static const char *
colour_of(const char *state)
{
	if (strcmp(state, "running") == 0 || strcmp(state, "healthy") == 0)
		return "\x1b[32m";
	if (strcmp(state, "backoff") == 0 || strcmp(state, "stopped") == 0 ||
	    strcmp(state, "unavailable") == 0)
		return "\x1b[31m";
	return "\x1b[33m";
}

/* At most width columns of text; one that is cut ends in "…". */
static size_t
add_cut(struct buf *out, const char *text, size_t width)
{
	struct slice s = slice_str(text);
	size_t used = 0, n, w;

	if (text_width(s) <= width) {
		buf_add_slice(out, s);
		return text_width(s);
	}
	for (size_t i = 0; i < s.len; i += n) {
		n = utf8_len(slice_of(s.p + i, s.len - i));
		n = n == 0 ? 1 : n;
		w = text_width(slice_of(s.p + i, n));
		if (used + w > width - 1)
			break;
		buf_add(out, s.p + i, n);
		used += w;
	}
	buf_add_str(out, "…");
	return used + 1;
}

static void
add_cell(struct buf *out, const struct column *c, const char *text,
    bool is_last, const char *colour)
{
	struct buf cut;
	size_t pad;

	buf_init(&cut);
	pad = c->width - add_cut(&cut, text, c->width);
	if (c->is_right)
		buf_addf(out, "%*s", (int)pad, "");
	if (colour != NULL)
		buf_add_str(out, colour);
	buf_add_slice(out, buf_slice(&cut));
	if (colour != NULL)
		buf_add_str(out, "\x1b[0m");
	if (!c->is_right && !is_last)
		buf_addf(out, "%*s", (int)pad, "");
	buf_add_str(out, is_last ? "\n" : "  ");
	buf_fini(&cut);
}

static void
table_free(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->n; i++)
		free(t->cells[i]);
	free(t->cells);
}

void
table_print(struct buf *out, const char *columns, struct json_object *rows,
    const struct table_style *style)
{
	struct table t = {0};
	const char *colour;
	size_t n;

	for (const char *s = columns; *s != '\0' && t.n < COLUMNS_MAX; s += n) {
		s += strspn(s, " ");
		n = strcspn(s, " ");
		if (n > 0)
			column_parse(&t.v[t.n++], s, n);
	}
	table_measure(&t, rows);
	table_fit(&t, style->width);
	for (size_t k = 0; k < t.n; k++)
		add_cell(out, &t.v[k], t.v[k].title, k + 1 == t.n, NULL);
	for (size_t i = 0; i < t.rows * t.n; i++) {
		n = i % t.n;
		colour = style->has_colour &&
		    strcmp(t.v[n].field, "state") == 0 ?
		    colour_of(t.cells[i]) : NULL;
		add_cell(out, &t.v[n], t.cells[i], n + 1 == t.n, colour);
	}
	table_free(&t);
}
