#include "admin-server/route.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

#define BODY_MAX (4u << 20)
#define BODY_MAX_PUBLISH (24u << 20)	/* base64 of the largest message */

bool
route_parameter_next(const char **path, struct slice *name)
{
	const char *open = strchr(*path, '{'), *close;

	if (open == NULL || (close = strchr(open, '}')) == NULL)
		return false;
	*name = slice_of(open + 1, (size_t)(close - open - 1));
	*path = close + 1;
	return true;
}

bool
route_query_next(const char **spec, struct slice *name, struct slice *kind)
{
	const char *s = *spec, *mark, *end;

	while (*s == ' ')
		s++;
	mark = strchr(s, '=');
	if (mark == NULL)
		return false;
	end = mark + strcspn(mark, " ");
	*name = slice_of(s, (size_t)(mark - s));
	*kind = slice_of(mark + 1, (size_t)(end - mark - 1));
	*spec = end;
	return true;
}

/* Takes "/segment" off the front; false at the end. */
static bool
segment_next(struct slice *path, struct slice *segment)
{
	const uint8_t *end;

	if (path->len == 0 || path->p[0] != '/')
		return false;
	*segment = slice_of(path->p + 1, path->len - 1);
	end = memchr(segment->p, '/', segment->len);
	if (end != NULL)
		segment->len = (size_t)(end - segment->p);
	*path = slice_of(segment->p + segment->len,
	    path->len - 1 - segment->len);
	return true;
}

static bool
path_matches(const char *pattern, struct slice path, struct slice *values)
{
	struct slice rest = slice_str(pattern), want, got;
	size_t n = 0;

	while (segment_next(&rest, &want)) {
		if (!segment_next(&path, &got))
			return false;
		if (want.len > 0 && want.p[0] == '{') {
			if (got.len == 0 || n == ROUTE_PARAMETERS_MAX)
				return false;
			values[n++] = got;
		} else if (!slice_eq(want, got)) {
			return false;
		}
	}
	return path.len == 0;
}

static void
allow_add(struct route_match *m, enum http_method method)
{
	size_t n = strlen(m->allow);

	snprintf(m->allow + n, sizeof(m->allow) - n, "%s%s",
	    n > 0 ? ", " : "", http_method_name(method));
}

unsigned
route_find(const struct route_table *t, enum http_method method,
    struct slice path, struct route_match *m)
{
	enum http_method wanted = method == METHOD_HEAD ? METHOD_GET : method;
	struct slice values[ROUTE_PARAMETERS_MAX];

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < t->n; i++) {
		if (!path_matches(t->v[i].path, path, values))
			continue;
		if (t->v[i].method == wanted) {
			memcpy(m->values, values, sizeof(values));
			m->route = &t->v[i];
			return 0;
		}
		allow_add(m, t->v[i].method);
	}
	return m->allow[0] != '\0' ? 405 : 404;
}

size_t
route_body_max(const struct route *r)
{
	if (r->body == BODY_NONE)
		return 4096;	/* some clients send {} with everything */
	return strcmp(r->name, "publish") == 0 ? BODY_MAX_PUBLISH : BODY_MAX;
}

static bool
bad(struct route_fault *f, unsigned status, struct slice path,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool
bad(struct route_fault *f, unsigned status, struct slice path,
    const char *fmt, ...)
{
	va_list ap;

	f->status = status;
	snprintf(f->path, sizeof(f->path), "%.*s", SLICE_ARG(path));
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	return false;
}

static void
add(struct json_object *args, struct slice name, struct json_object *v)
{
	char *key = slice_dup(name);

	json_object_object_add(args, key, v);
	free(key);
}

static void
add_to_list(struct json_object *args, struct slice name, const char *text)
{
	char *key = slice_dup(name);
	struct json_object *list = json_object_object_get(args, key);

	if (list == NULL) {
		list = json_object_new_array();
		json_object_object_add(args, key, list);
	}
	json_object_array_add(list, json_object_new_string(text));
	free(key);
}

static bool
add_value(struct json_object *args, struct slice name, struct slice kind,
    const char *text, struct route_fault *f)
{
	int64_t v;

	if (slice_is(kind, "int")) {
		if (!int_parse(text, &v) || v < 0)
			return bad(f, 400, name, "%.40s is not a number", text);
		add(args, name, json_object_new_int64(v));
	} else if (slice_is(kind, "bool")) {
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0 &&
		    text[0] != '\0')
			return bad(f, 400, name, "%.40s is neither true nor "
			    "false", text);
		add(args, name,
		    json_object_new_boolean(strcmp(text, "false") != 0));
	} else if (slice_is(kind, "list")) {
		add_to_list(args, name, text);
	} else {
		add(args, name, json_object_new_string(text));
	}
	return true;
}

static bool
unescape(struct slice in, bool is_query, struct buf *out, struct slice name,
    struct route_fault *f)
{
	buf_clear(out);
	if (!http_unescape(in, is_query, out) ||
	    !utf8_check(buf_slice(out)))
		return bad(f, 400, name, "is not well escaped UTF-8");
	return true;
}

static bool
add_parameters(struct json_object *args, const struct route_match *m,
    struct buf *b, struct route_fault *f)
{
	const char *path = m->route->path;
	struct slice name;

	for (size_t i = 0; route_parameter_next(&path, &name); i++) {
		if (!unescape(m->values[i], false, b, name, f))
			return false;
		add(args, name, json_object_new_string(buf_cstr(b)));
	}
	return true;
}

static bool
add_query(struct json_object *args, const struct route *r, struct slice query,
    struct buf *b, struct route_fault *f)
{
	struct slice name, value, known, kind;
	const char *spec;
	bool found;

	while (http_query_next(&query, &name, &value)) {
		found = false;
		for (spec = r->query; !found &&
		    route_query_next(&spec, &known, &kind);)
			found = slice_eq(known, name);
		if (!found)
			return bad(f, 400, name, "is not a parameter here");
		if (!unescape(value, true, b, name, f) ||
		    !add_value(args, name, kind, buf_cstr(b), f))
			return false;
	}
	return true;
}

static bool
add_body(struct json_object *args, const struct route *r, struct slice body,
    struct route_fault *f)
{
	struct json_object *o;

	if (r->body == BODY_NONE)
		return true;
	if (r->body == BODY_TEXT) {
		if (!utf8_check(body))
			return bad(f, 400, SLICE_EMPTY, "the body is not UTF-8");
		json_object_object_add(args, "text",
		    json_object_new_string_len((const char *)body.p,
		    (int)body.len));
		return true;
	}
	if (body.len == 0 && r->body == BODY_MERGE)
		return true;
	o = json_parse(body);
	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		return bad(f, 400, SLICE_EMPTY, "the body is not a JSON object");
	}
	if (r->body == BODY_DEFINITION) {
		json_object_object_add(args, "definition", o);
		return true;
	}
	json_object_object_foreach(o, key, v) {
		if (json_object_object_get_ex(args, key, NULL))
			continue;	/* the path says who is meant */
		json_object_object_add(args, key, json_object_get(v));
	}
	json_object_put(o);
	return true;
}

struct json_object *
route_args(const struct route_match *m, const struct http_request *r,
    struct route_fault *fault)
{
	struct json_object *args = json_object_new_object();
	struct buf b;
	bool ok;

	buf_init(&b);
	ok = add_parameters(args, m, &b, fault) &&
	    add_query(args, m->route, r->query, &b, fault) &&
	    add_body(args, m->route, r->body, fault);
	buf_fini(&b);
	if (ok)
		return args;
	json_object_put(args);
	return NULL;
}
