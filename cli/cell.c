#include "cli/table.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <wchar.h>

struct json_object *
field_find(struct json_object *o, const char *path)
{
	char key[64];
	size_t n;

	for (; o != NULL; path += n + 1) {
		n = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		o = json_member(o, key);
		if (path[n] == '\0')
			return o;
	}
	return NULL;
}

/* A peer chose the text: nothing in it may steer the terminal. */
static void
add_safe(struct buf *out, struct slice s)
{
	size_t n;

	for (size_t i = 0; i < s.len; i += n) {
		n = utf8_len(slice_of(s.p + i, s.len - i));
		if (n == 0 || s.p[i] < 0x20 || s.p[i] == 0x7f ||
		    (n == 2 && s.p[i] == 0xc2 && s.p[i + 1] < 0xa0)) {
			buf_add_str(out, "?");
			n = n == 0 ? 1 : n;
			continue;
		}
		buf_add(out, s.p + i, n);
	}
}

size_t
text_width(struct slice text)
{
	size_t width = 0, n;
	mbstate_t state = {0};
	wchar_t c;
	int w;

	for (size_t i = 0; i < text.len; i += n) {
		n = mbrtowc(&c, (const char *)text.p + i, text.len - i, &state);
		if (n == 0 || n > text.len - i)
			return width + (text.len - i);
		w = wcwidth(c);
		width += w > 0 ? (size_t)w : 0;
	}
	return width;
}

static void
format_bytes(struct buf *out, double v)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	while (v >= 1024 && i < 4) {
		v /= 1024;
		i++;
	}
	buf_addf(out, i == 0 || v >= 100 ? "%.0f %s" : "%.1f %s", v, units[i]);
}

static void
format_seconds(struct buf *out, uint64_t s)
{
	if (s >= 86400)
		buf_addf(out, "%" PRIu64 "d%" PRIu64 "h", s / 86400,
		    s % 86400 / 3600);
	else if (s >= 3600)
		buf_addf(out, "%" PRIu64 "h%" PRIu64 "m", s / 3600,
		    s % 3600 / 60);
	else if (s >= 60)
		buf_addf(out, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else
		buf_addf(out, "%" PRIu64 "s", s);
}

static void
format_list(struct buf *out, struct json_object *v)
{
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		buf_add_str(out, i > 0 ? ", " : "");
		cell_format(out, json_object_array_get_idx(v, i), "");
	}
}

/* {"signal", "status", ...}: what ended a process. */
static void
format_exit(struct buf *out, struct json_object *v)
{
	struct json_object *signo = json_member(v, "signal");
	struct json_object *name = json_member(v, "signal_name");

	if (!json_object_is_type(v, json_type_object)) {
		cell_format(out, v, "");
		return;
	}
	if (json_object_is_type(signo, json_type_string) ||
	    (signo != NULL && json_object_get_int(signo) != 0)) {
		if (name == NULL)
			buf_add_str(out, "signal ");
		cell_format(out, name == NULL ? signo : name, "");
		return;
	}
	buf_add_str(out, "exit ");
	cell_format(out, json_member(v, "status"), "");
}

static size_t
count_of(struct json_object *v)
{
	if (json_object_is_type(v, json_type_array))
		return json_object_array_length(v);
	return (size_t)json_object_object_length(v);
}

void
cell_format(struct buf *out, struct json_object *v, const char *format)
{
	bool is_number = json_object_is_type(v, json_type_int) ||
	    json_object_is_type(v, json_type_double);
	char when[40];

	if (v == NULL || (json_object_is_type(v, json_type_array) &&
	    json_object_array_length(v) == 0 && format[0] == '\0'))
		buf_add_str(out, "-");
	else if (is_number && strcmp(format, "bytes") == 0)
		format_bytes(out, json_object_get_double(v));
	else if (is_number && strcmp(format, "seconds") == 0)
		format_seconds(out, json_object_get_uint64(v));
	else if (is_number && strcmp(format, "percent") == 0)
		buf_addf(out, "%.1f", json_object_get_double(v));
	else if (is_number && strcmp(format, "time") == 0)
		buf_add_str(out, clock_rfc3339(json_object_get_uint64(v),
		    when, sizeof(when)));
	else if (strcmp(format, "exit") == 0)
		format_exit(out, v);
	else if (strcmp(format, "count") == 0 && !is_number &&
	    !json_object_is_type(v, json_type_string))
		buf_addf(out, "%zu", count_of(v));
	else if (json_object_is_type(v, json_type_double))
		buf_addf(out, "%.6g", json_object_get_double(v));
	else if (json_object_is_type(v, json_type_array))
		format_list(out, v);
	else if (json_object_is_type(v, json_type_string))
		add_safe(out, slice_of(json_object_get_string(v),
		    (size_t)json_object_get_string_len(v)));
	else
		add_safe(out, json_text(v));
}

static bool
is_nested(struct json_object *v)
{
	return (json_object_is_type(v, json_type_object) &&
	    json_object_object_length(v) > 0) ||
	    (json_object_is_type(v, json_type_array) &&
	    json_object_array_length(v) > 0 &&
	    json_object_get_type(json_object_array_get_idx(v, 0)) ==
	    json_type_object);
}

static void
indent(struct buf *out, unsigned depth)
{
	while (depth-- > 0)
		buf_add_str(out, "  ");
}

/* Text of several lines, such as a backtrace, keeps its lines. */
static void
add_lines(struct buf *out, struct json_object *v, unsigned depth)
{
	const char *s = json_object_get_string(v);
	size_t n;

	for (; *s != '\0'; s += n + (s[n] != '\0')) {
		n = strcspn(s, "\n");
		buf_add_str(out, "\n");
		indent(out, depth + 1);
		add_safe(out, slice_of(s, n));
	}
}

static void
tree_print_list(struct buf *out, struct json_object *list, unsigned depth)
{
	struct json_object *v;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		v = json_object_array_get_idx(list, i);
		indent(out, depth);
		buf_add_str(out, "-\n");
		tree_print(out, v, depth + 1);
	}
}

void
tree_print(struct buf *out, struct json_object *o, unsigned depth)
{
	if (!json_object_is_type(o, json_type_object)) {
		indent(out, depth);
		cell_format(out, o, "");
		buf_add_str(out, "\n");
		return;
	}
	json_object_object_foreach(o, key, v) {
		indent(out, depth);
		add_safe(out, slice_str(key));
		buf_add_str(out, ":");
		if (is_nested(v)) {
			buf_add_str(out, "\n");
			if (json_object_is_type(v, json_type_array))
				tree_print_list(out, v, depth + 1);
			else
				tree_print(out, v, depth + 1);
			continue;
		}
		if (json_object_is_type(v, json_type_string) &&
		    strchr(json_object_get_string(v), '\n') != NULL) {
			add_lines(out, v, depth);
		} else {
			buf_add_str(out, " ");
			cell_format(out, v, "");
		}
		buf_add_str(out, "\n");
	}
}
