#include "base/schema.h"

#include "base/mem.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_LEN 512

static const struct option broker_options[] = {
#define OPTION(path, kind, fallback, min, max, choices, flags, en, zh) \
	{path, OPTION_##kind, fallback, min, max, choices, flags, en, zh},
#include "base/options.def"
#undef OPTION
};

static const struct schema broker = {
    broker_options, sizeof(broker_options) / sizeof(broker_options[0])};

struct check {
	const struct schema *schema;
	const struct secret_source *secrets;
	struct faults *faults;
};

const struct schema *
schema_broker(void)
{
	return &broker;
}

const char *
option_kind_name(enum option_kind kind)
{
	static const char *const names[] = {"string", "int", "bool", "size",
	    "duration", "enum", "map", "list", "object", "list of objects",
	    "named objects", "object"};

	return names[kind];
}

const char *
option_name(const struct option *o)
{
	const char *dot = strrchr(o->path, '.');

	return dot == NULL ? o->path : dot + 1;
}

const struct option *
schema_child(const struct schema *s, const char *base, size_t *at)
{
	size_t n = strlen(base);
	const char *path;

	while (*at < s->n) {
		path = s->v[(*at)++].path;
		if (n > 0 && (strncmp(path, base, n) != 0 || path[n] != '.'))
			continue;
		path += n > 0 ? n + 1 : 0;
		if (strchr(path, '.') == NULL)
			return &s->v[*at - 1];
	}
	return NULL;
}

const struct option *
schema_find(const struct schema *s, const char *path)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (strcmp(s->v[i].path, path) == 0)
			return &s->v[i];
	return NULL;
}

static void
path_join(char *out, const char *base, const char *key)
{
	snprintf(out, PATH_MAX_LEN, "%s%s%.100s", base,
	    base[0] == '\0' ? "" : ".", key);
}

/* Edit distance, for names of at most 63 characters. */
static unsigned
name_distance(const char *a, const char *b)
{
	unsigned row[65], left, up, i, j, n = (unsigned)strlen(b);

	if (strlen(a) > 63 || n > 63)
		return 99;
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		left = row[0];
		row[0] = i;
		for (j = 1; j <= n; j++) {
			up = row[j];
			row[j] = left + (a[i - 1] != b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			left = up;
		}
	}
	return row[n];
}

static const char *
name_nearest(const struct schema *s, const char *base, const char *name)
{
	unsigned best = (unsigned)strlen(name) / 3 + 2, d;
	const char *nearest = NULL;
	const struct option *o;
	size_t at = 0;

	while ((o = schema_child(s, base, &at)) != NULL) {
		d = name_distance(name, option_name(o));
		if (d < best) {
			best = d;
			nearest = option_name(o);
		}
	}
	return nearest;
}

static const char *
node_called(const struct doc_node *n)
{
	if (n->kind == DOC_MAP)
		return "an object";
	if (n->kind == DOC_LIST)
		return "a list";
	return n->is_plain ? "a plain value" : "a text in quotes";
}

static bool
number_check(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n, int64_t v)
{
	void (*format)(int64_t, char *, size_t) = o->kind == OPTION_SIZE ?
	    size_format : o->kind == OPTION_DURATION ? duration_format : NULL;
	bool is_below = v < o->min;
	char bound[32];

	if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
		return true;
	if (format != NULL)
		format(is_below ? o->min : o->max, bound, sizeof(bound));
	else
		snprintf(bound, sizeof(bound), "%lld",
		    (long long)(is_below ? o->min : o->max));
	fault_add(c->faults, n->place, path, "%.40s is %s %s", n->text,
	    is_below ? "below" : "above", bound);
	return false;
}

static struct json_object *
quantity_written(enum option_kind kind, int64_t v)
{
	char text[32];

	if (kind == OPTION_SIZE)
		size_format(v, text, sizeof(text));
	else
		duration_format(v, text, sizeof(text));
	return json_object_new_string(text);
}

static struct json_object *
number_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	static const char *const wanted[] = {
	    [OPTION_INT] = "a whole number",
	    [OPTION_SIZE] = "a size such as 64MiB",
	    [OPTION_DURATION] = "a time such as 30s"};
	bool is_good;
	int64_t v = 0;

	if (o->kind == OPTION_INT && !n->is_plain) {
		fault_add(c->faults, n->place, path,
		    "a text in quotes where a whole number is wanted");
		return NULL;
	}
	is_good = o->kind == OPTION_INT ? int_parse(n->text, &v) :
	    o->kind == OPTION_SIZE ? size_parse(n->text, &v) :
	    duration_parse(n->text, &v);
	if (!is_good) {
		fault_add(c->faults, n->place, path, "`%.60s` is not %s",
		    n->text, wanted[o->kind]);
		return NULL;
	}
	if (!number_check(c, o, path, n, v))
		return NULL;
	return c->secrets != NULL || o->kind == OPTION_INT ?
	    json_object_new_int64(v) : quantity_written(o->kind, v);
}

static struct json_object *
bool_read(const struct check *c, const char *path, const struct doc_node *n)
{
	bool is_true = strcmp(n->text, "true") == 0;

	if (n->is_plain && (is_true || strcmp(n->text, "false") == 0))
		return json_object_new_boolean(is_true);
	fault_add(c->faults, n->place, path, "`%.60s` is not true or false",
	    n->text);
	return NULL;
}

/* "a, b, c" out of "a|b|!c". */
static void
choices_print(const char *choices, char *out, size_t size)
{
	size_t len = 0;

	for (; *choices != '\0' && len + 3 < size; choices++) {
		if (*choices == '|') {
			out[len++] = ',';
			out[len++] = ' ';
		} else if (*choices != '!') {
			out[len++] = *choices;
		}
	}
	out[len] = '\0';
}

static struct json_object *
enum_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	const char *at = o->choices;
	char names[256];
	size_t len;

	while (at != NULL && *at != '\0') {
		bool is_unbuilt = *at == '!';

		at += is_unbuilt;
		len = strcspn(at, "|");
		if (strlen(n->text) == len && memcmp(at, n->text, len) == 0) {
			if (!is_unbuilt)
				return json_object_new_string(n->text);
			fault_add(c->faults, n->place, path,
			    "`%s` is not built", n->text);
			return NULL;
		}
		at += len + (at[len] == '|');
	}
	choices_print(o->choices == NULL ? "" : o->choices, names,
	    sizeof(names));
	fault_add(c->faults, n->place, path, "`%.60s` is not one of %s",
	    n->text, names);
	return NULL;
}

/* A text with its references resolved; NULL after a fault. */
static char *
text_read(const struct check *c, const char *path, const struct doc_node *n)
{
	char why[256], *text;

	if (n->is_typed) {
		fault_add(c->faults, n->place, path,
		    "`%.60s` without quotes where a text is wanted", n->text);
		return NULL;
	}
	if (c->secrets == NULL || !secret_is_reference(n->text))
		return mem_strdup(n->text);
	text = secret_resolve(n->text, c->secrets, why, sizeof(why));
	if (text == NULL)
		fault_add(c->faults, n->place, path, "%s", why);
	return text;
}

static struct json_object *
string_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	char *text = text_read(c, path, n);
	struct json_object *v;
	int64_t len;

	if (text == NULL)
		return NULL;
	len = (int64_t)strlen(text);
	if (o->max > 0 && len > o->max)
		fault_add(c->faults, n->place, path,
		    "%lld bytes, more than %lld", (long long)len,
		    (long long)o->max);
	if (len == 0 && o->min > 0)
		fault_add(c->faults, n->place, path, "is empty");
	else if (len < o->min)
		fault_add(c->faults, n->place, path,
		    "%lld bytes, fewer than %lld", (long long)len,
		    (long long)o->min);
	v = json_object_new_string(text);
	free(text);
	return v;
}

static struct json_object *
scalar_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	if (n->kind != DOC_SCALAR) {
		fault_add(c->faults, n->place, path, "%s where %s is wanted",
		    node_called(n), o->kind == OPTION_STRING ? "a text" :
		    o->kind == OPTION_INT ? "a whole number" :
		    o->kind == OPTION_BOOL ? "true or false" :
		    o->kind == OPTION_SIZE ? "a size" :
		    o->kind == OPTION_DURATION ? "a time" : "a name");
		return NULL;
	}
	if (o->kind == OPTION_STRING)
		return string_read(c, o, path, n);
	if (o->kind == OPTION_BOOL)
		return bool_read(c, path, n);
	if (o->kind == OPTION_ENUM)
		return enum_read(c, o, path, n);
	return number_read(c, o, path, n);
}

static bool
branch_check(const struct check *c, const char *path,
    const struct doc_node *n, enum doc_kind kind)
{
	if (n->kind == kind)
		return true;
	fault_add(c->faults, n->place, path, "%s where %s is wanted",
	    node_called(n), kind == DOC_MAP ? "an object" : "a list");
	return false;
}

/* A map's or a list's texts. */
static struct json_object *
texts_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	bool is_map = o->kind == OPTION_MAP;
	struct json_object *all;
	const struct doc_node *m;
	char at[PATH_MAX_LEN], *text;
	int64_t i = 0;

	if (!branch_check(c, path, n, is_map ? DOC_MAP : DOC_LIST))
		return NULL;
	all = is_map ? json_object_new_object() : json_object_new_array();
	for (m = n->first; m != NULL; m = m->next, i++) {
		if (is_map)
			path_join(at, path, m->key);
		else
			snprintf(at, sizeof(at), "%s[%lld]", path,
			    (long long)i);
		if (m->kind != DOC_SCALAR) {
			fault_add(c->faults, m->place, at,
			    "%s where a text is wanted", node_called(m));
			continue;
		}
		text = text_read(c, at, m);
		if (text != NULL && is_map)
			json_object_object_add(all, m->key,
			    json_object_new_string(text));
		else if (text != NULL)
			json_object_array_add(all,
			    json_object_new_string(text));
		free(text);
	}
	if (o->max > 0 && i > o->max)
		fault_add(c->faults, n->place, path,
		    "%lld entries, more than %lld", (long long)i,
		    (long long)o->max);
	if (i < o->min)
		fault_add(c->faults, n->place, path,
		    "%lld entries, fewer than %lld", (long long)i,
		    (long long)o->min);
	return all;
}

static struct json_object *object_read(const struct check *, const char *base,
    const char *path, const struct doc_node *);

static struct json_object *
rows_read(const struct check *c, const struct option *o, const char *base,
    const char *path, const struct doc_node *n)
{
	bool is_table = o->kind == OPTION_TABLE;
	char below[PATH_MAX_LEN + 4], at[PATH_MAX_LEN];
	struct json_object *all, *one;
	const struct doc_node *m;
	unsigned i = 0;

	if (!branch_check(c, path, n, is_table ? DOC_MAP : DOC_LIST))
		return NULL;
	all = is_table ? json_object_new_object() : json_object_new_array();
	snprintf(below, sizeof(below), "%s%s", base, is_table ? ".*" : "[]");
	for (m = n->first; m != NULL; m = m->next) {
		if (is_table)
			path_join(at, path, m->key);
		else
			snprintf(at, sizeof(at), "%s[%u]", path, i++);
		one = object_read(c, below, at, m);
		if (is_table)
			json_object_object_add(all, m->key, one);
		else
			json_object_array_add(all, one);
	}
	return all;
}

static struct json_object *
value_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	switch (o->kind) {
	case OPTION_STRING:
	case OPTION_INT:
	case OPTION_BOOL:
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_ENUM:
		return scalar_read(c, o, path, n);
	case OPTION_MAP:
	case OPTION_LIST:
		return texts_read(c, o, path, n);
	case OPTION_OBJECT:
		return object_read(c, o->path, path, n);
	case OPTION_ROWS:
	case OPTION_TABLE:
		return rows_read(c, o, o->path, path, n);
	case OPTION_OPEN:
		break;
	}
	return NULL;
}

/* What an option that is not written has; NULL when it has nothing. */
static struct json_object *
default_read(const struct check *c, const struct option *o, const char *path)
{
	struct json_object *v = NULL;
	struct doc_node *n;
	struct check silent = *c;
	struct faults none;

	if (o->kind == OPTION_OBJECT)
		return object_read(c, o->path, path, NULL);
	if (o->fallback == NULL)
		return NULL;
	if (o->kind == OPTION_STRING)
		return json_object_new_string(o->fallback);
	faults_init(&none);
	silent.faults = &none;
	n = yaml_doc_parse(slice_str(o->fallback), &none);
	if (n != NULL)
		v = value_read(&silent, o, path, n);
	yaml_doc_free(n);
	faults_fini(&none);
	return v;
}

/* True where a document says no more than the default does. */
static bool
is_default(const struct check *c, const struct option *o, const char *path,
    struct json_object *v)
{
	struct json_object *other = default_read(c, o, path);
	bool is_same = json_object_equal(v, other) != 0;

	json_object_put(other);
	return is_same;
}

static struct json_object *
option_read(const struct check *c, const struct option *o, const char *path,
    const struct doc_node *n)
{
	struct json_object *v;
	size_t before = c->faults->total;

	if (n == NULL || (doc_is_null(n) && o->kind >= OPTION_MAP))
		return default_read(c, o, path);
	if ((o->flags & OPTION_UNBUILT) != 0 && o->kind >= OPTION_OBJECT &&
	    (n->kind == DOC_SCALAR || n->first != NULL))
		fault_add(c->faults, n->place, path, "not built");
	if (o->kind == OPTION_OPEN || c->faults->total > before)
		return NULL;
	if (doc_is_null(n)) {
		fault_add(c->faults, n->place, path, "has no value");
		return NULL;
	}
	v = value_read(c, o, path, n);
	if ((o->flags & OPTION_UNBUILT) != 0 && c->faults->total == before &&
	    !is_default(c, o, path, v))
		fault_add(c->faults, n->place, path, "not built");
	return v;
}

static void
keys_check(const struct check *c, const char *base, const char *path,
    const struct doc_node *n)
{
	char at[PATH_MAX_LEN], below[PATH_MAX_LEN];
	const struct doc_node *m;
	const char *nearest;

	for (m = n->first; m != NULL; m = m->next) {
		path_join(below, base, m->key);
		if (strpbrk(m->key, ".*[") == NULL &&
		    schema_find(c->schema, below) != NULL)
			continue;
		path_join(at, path, m->key);
		nearest = name_nearest(c->schema, base, m->key);
		if (nearest == NULL)
			fault_add(c->faults, m->key_place, at,
			    "unknown option");
		else
			fault_add(c->faults, m->key_place, at,
			    "unknown option; did you mean `%s`?", nearest);
	}
}

static struct json_object *
object_read(const struct check *c, const char *base, const char *path,
    const struct doc_node *n)
{
	struct json_object *all = json_object_new_object(), *v;
	const struct doc_node *m;
	const struct option *o;
	char at_path[PATH_MAX_LEN];
	size_t at = 0;

	if (doc_is_null(n) && n != NULL && strpbrk(base, "*[") == NULL)
		n = NULL;
	if (n != NULL && !branch_check(c, path, n, DOC_MAP))
		return all;
	if (n != NULL)
		keys_check(c, base, path, n);
	while ((o = schema_child(c->schema, base, &at)) != NULL) {
		m = doc_find(n, option_name(o));
		path_join(at_path, path, option_name(o));
		if ((o->flags & OPTION_REQUIRED) != 0 && m == NULL) {
			if (n != NULL)
				fault_add(c->faults, doc_place(n), at_path,
				    "is required");
			continue;
		}
		v = option_read(c, o, at_path, m);
		if (v != NULL)
			json_object_object_add(all, option_name(o), v);
	}
	return all;
}

struct json_object *
schema_check(const struct schema *s, const char *base, const char *path,
    const struct doc_node *n, const struct secret_source *secrets,
    struct faults *faults)
{
	struct check c = {s, secrets, faults};

	return object_read(&c, base, path, n);
}
