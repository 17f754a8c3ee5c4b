#include "base/config_types.h"

#include "base/mem.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TYPE_OPTIONS_MAX 256
#define TYPE_DEPTH_MAX 4
#define TYPES_FILE_MAX (8 << 20)

struct loader {
	struct option *v;
	size_t n;
	char *why;
	size_t size;
};

static const struct {
	const char *name;
	enum option_kind kind;
} kinds[] = {
    {"string", OPTION_STRING}, {"int", OPTION_INT}, {"bool", OPTION_BOOL},
    {"size", OPTION_SIZE}, {"duration", OPTION_DURATION},
    {"enum", OPTION_ENUM}, {"map", OPTION_MAP}, {"list", OPTION_LIST},
    {"object", OPTION_OBJECT}};

static bool
kind_parse(const char *name, enum option_kind *kind)
{
	size_t i;

	for (i = 0; name != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(name, kinds[i].name) == 0) {
			*kind = kinds[i].kind;
			return true;
		}
	return false;
}

static const char *
text_of(struct json_object *o, const char *name)
{
	struct json_object *v = json_object_object_get(o, name);

	return json_object_is_type(v, json_type_string) ?
	    json_object_get_string(v) : NULL;
}

static char *
help_of(struct json_object *o, const char *language)
{
	const char *s = text_of(json_object_object_get(o, "help"), language);

	return mem_strdup(s == NULL ? "" : s);
}

static bool
flag_of(struct json_object *o, const char *name)
{
	return json_object_get_boolean(json_object_object_get(o, name)) != 0;
}

/* A bound as a number or, for sizes and times, as people write it. */
static int64_t
bound_of(struct json_object *o, const char *name, enum option_kind kind)
{
	struct json_object *v = json_object_object_get(o, name);
	int64_t n = 0;

	if (!json_object_is_type(v, json_type_string))
		return json_object_get_int64(v);
	if (kind == OPTION_DURATION)
		return duration_parse(json_object_get_string(v), &n) ? n : 0;
	return size_parse(json_object_get_string(v), &n) ? n : 0;
}

static char *
choices_of(struct json_object *o)
{
	struct json_object *list = json_object_object_get(o, "choices");
	struct buf out;
	char *text = NULL;
	size_t i;

	if (!json_object_is_type(list, json_type_array))
		return NULL;
	buf_init(&out);
	for (i = 0; i < json_object_array_length(list); i++)
		buf_addf(&out, "%s%s", i == 0 ? "" : "|",
		    json_object_get_string(json_object_array_get_idx(list, i)));
	text = mem_strdup(buf_cstr(&out));
	buf_fini(&out);
	return text;
}

static char *
default_of(struct json_object *o, enum option_kind kind)
{
	struct json_object *v = json_object_object_get(o, "default");
	char text[32];

	if (v == NULL)
		return NULL;
	/* A bare number of milliseconds is no duration in a configuration. */
	if (kind == OPTION_DURATION && json_object_is_type(v, json_type_int)) {
		duration_format(json_object_get_int64(v), text, sizeof(text));
		return mem_strdup(text);
	}
	return mem_strdup(json_object_get_string(v));
}

static bool options_load(struct loader *, const char *base,
    struct json_object *list, unsigned depth);

static bool
option_load(struct loader *l, const char *base, struct json_object *o,
    unsigned depth)
{
	const char *name = text_of(o, "name");
	struct option *to;
	enum option_kind kind;

	if (name == NULL || strpbrk(name, ".*[") != NULL ||
	    !kind_parse(text_of(o, "type"), &kind)) {
		snprintf(l->why, l->size, "option %s%s%s has no known type",
		    base, base[0] == '\0' ? "" : ".",
		    name == NULL ? "?" : name);
		return false;
	}
	if (l->n == TYPE_OPTIONS_MAX) {
		snprintf(l->why, l->size, "more than 256 options");
		return false;
	}
	to = &l->v[l->n++];
	*to = (struct option){
	    .path = mem_printf("%s%s%s", base, base[0] == '\0' ? "" : ".",
	    name),
	    .kind = kind,
	    .fallback = default_of(o, kind),
	    .min = bound_of(o, "min", kind),
	    .max = bound_of(o, "max", kind),
	    .choices = choices_of(o),
	    .flags = (flag_of(o, "required") ? OPTION_REQUIRED : 0u) |
		(flag_of(o, "secret") ? OPTION_SECRET : 0u) |
		(flag_of(o, "template") ? OPTION_TEMPLATE : 0u),
	    .help_en = help_of(o, "en"),
	    .help_zh = help_of(o, "zh")};
	if (to->min != 0 && to->max == 0)
		to->max = INT64_MAX;
	return kind != OPTION_OBJECT || options_load(l, to->path,
	    json_object_object_get(o, "options"), depth + 1);
}

static bool
options_load(struct loader *l, const char *base, struct json_object *list,
    unsigned depth)
{
	size_t i, n;

	if (!json_object_is_type(list, json_type_array) ||
	    depth > TYPE_DEPTH_MAX) {
		snprintf(l->why, l->size, "%s has no list of options", base);
		return false;
	}
	n = json_object_array_length(list);
	for (i = 0; i < n; i++)
		if (!option_load(l, base, json_object_array_get_idx(list, i),
		    depth))
			return false;
	return true;
}

static bool
type_load(struct connector_type *t, struct json_object *o, char *why,
    size_t size)
{
	struct loader l = {.why = why, .size = size};
	const char *name = text_of(o, "type");

	if (name == NULL) {
		snprintf(why, size, "a description without \"type\"");
		return false;
	}
	l.v = mem_zalloc(TYPE_OPTIONS_MAX, sizeof(*l.v));
	t->name = mem_strdup(name);
	t->help_en = help_of(o, "en");
	t->help_zh = help_of(o, "zh");
	t->description = json_object_get(o);
	if (!options_load(&l, "", json_object_object_get(o, "options"), 0)) {
		t->schema = (struct schema){l.v, l.n};
		return false;
	}
	t->schema = (struct schema){mem_realloc(l.v,
	    (l.n + 1) * sizeof(*l.v)), l.n};
	return true;
}

bool
types_parse(struct connector_types *types, struct slice text, char *why,
    size_t size)
{
	struct json_tokener *tok = json_tokener_new_ex(32);
	struct json_object *all, *list;
	char *whole = slice_dup(text);
	bool is_good = true;
	size_t i, n;

	*types = (struct connector_types){0};
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	all = json_tokener_parse_ex(tok, whole, (int)text.len + 1);
	list = json_object_is_type(all, json_type_object) ?
	    json_object_object_get(all, "types") : all;
	if (!json_object_is_type(list, json_type_array)) {
		snprintf(why, size, "not a JSON list of types");
		is_good = false;
	}
	n = is_good ? json_object_array_length(list) : 0;
	types->v = mem_zalloc(n + 1, sizeof(*types->v));
	for (i = 0; i < n && is_good; i++, types->n++)
		is_good = type_load(&types->v[i],
		    json_object_array_get_idx(list, i), why, size);
	json_object_put(all);
	json_tokener_free(tok);
	free(whole);
	if (!is_good)
		types_fini(types);
	return is_good;
}

bool
types_load(struct connector_types *types, const char *path, char *why,
    size_t size)
{
	FILE *f = fopen(path, "re");
	struct buf text;
	bool is_good;
	size_t n;

	*types = (struct connector_types){0};
	if (f == NULL) {
		snprintf(why, size, "%s", strerror(errno));
		return false;
	}
	buf_init(&text);
	while (buf_len(&text) < TYPES_FILE_MAX &&
	    (n = fread(buf_reserve(&text, 65536), 1, 65536, f)) > 0)
		buf_commit(&text, n);
	fclose(f);
	is_good = types_parse(types, buf_slice(&text), why, size);
	buf_fini(&text);
	return is_good;
}

static void
schema_free(struct schema s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		free((void *)(uintptr_t)s.v[i].path);
		free((void *)(uintptr_t)s.v[i].fallback);
		free((void *)(uintptr_t)s.v[i].choices);
		free((void *)(uintptr_t)s.v[i].help_en);
		free((void *)(uintptr_t)s.v[i].help_zh);
	}
	free((void *)(uintptr_t)s.v);
}

void
types_fini(struct connector_types *types)
{
	size_t i;

	for (i = 0; i < types->n; i++) {
		schema_free(types->v[i].schema);
		free(types->v[i].name);
		free(types->v[i].help_en);
		free(types->v[i].help_zh);
		json_object_put(types->v[i].description);
	}
	free(types->v);
	*types = (struct connector_types){0};
}

const struct connector_type *
types_find(const struct connector_types *types, const char *name)
{
	size_t i;

	for (i = 0; i < types->n; i++)
		if (strcmp(types->v[i].name, name) == 0)
			return &types->v[i];
	return NULL;
}

void
types_print(const struct connector_types *types, struct buf *out)
{
	size_t i;

	for (i = 0; i < types->n; i++)
		buf_addf(out, "%s%s", i == 0 ? "" : ", ", types->v[i].name);
}
