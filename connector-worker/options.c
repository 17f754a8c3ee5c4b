#include "connector-worker/options.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct entry {
	const struct option *option;
	struct json_object *value;	/* NULL: absent */
	struct template *template;
	/* Of a list or map. */
	size_t n;
	const char **keys;
	const char **values;
	struct template **templates;
	bool is_read;
};

struct sink_options {
	const char *base;
	const struct doc_node *doc;
	struct json_object *config;
	size_t n;
	struct entry entries[];
};

/* The value at a path such as "tls.enable". */
static struct json_object *
config_find(struct json_object *config, const char *path)
{
	char name[64];
	size_t len;

	while (config != NULL && *path != '\0') {
		len = strcspn(path, ".");
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		config = json_member(config, name);
		path += len + (path[len] == '.');
	}
	return config;
}

void
sink_fault(const struct sink_options *o, struct faults *faults,
    const char *name, const char *fmt, ...)
{
	struct doc_place place = {0, 0};
	char path[256], text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s.%s", o->base, name);
	if (o->doc != NULL)
		place = doc_place_of(o->doc, name);
	fault_add(faults, place, path, "%s", text);
}

static struct template *
entry_parse(const struct sink_options *o, struct faults *faults,
    const char *name, const char *text)
{
	struct template *t;
	char fault[256];

	/* What is behind a reference is checked where it is resolved. */
	if (secret_is_reference(text))
		return NULL;
	t = template_parse(slice_str(text), fault, sizeof(fault));
	if (t == NULL)
		sink_fault(o, faults, name, "%s", fault);
	return t;
}

static void
entry_add(const struct sink_options *o, struct entry *e,
    struct faults *faults, const char *key, struct json_object *value)
{
	size_t i = e->n++;
	char name[200];

	e->keys[i] = key;
	e->values[i] = json_object_get_string(value);
	e->templates[i] = NULL;
	if ((e->option->flags & OPTION_TEMPLATE) == 0)
		return;
	if (key != NULL)
		snprintf(name, sizeof(name), "%s.%s", e->option->path, key);
	else
		snprintf(name, sizeof(name), "%s[%zu]", e->option->path, i);
	e->templates[i] = entry_parse(o, faults, name, e->values[i]);
}

static void
entry_load_many(const struct sink_options *o, struct entry *e,
    struct faults *faults)
{
	bool is_map = json_object_is_type(e->value, json_type_object);
	size_t i, n = is_map ? (size_t)json_object_object_length(e->value) :
	    json_object_array_length(e->value);

	e->keys = mem_zalloc(n + 1, sizeof(*e->keys));
	e->values = mem_zalloc(n + 1, sizeof(*e->values));
	e->templates = mem_zalloc(n + 1, sizeof(*e->templates));
	if (is_map) {
		json_object_object_foreach(e->value, key, value)
			entry_add(o, e, faults, key, value);
		return;
	}
	for (i = 0; i < n; i++)
		entry_add(o, e, faults, NULL,
		    json_object_array_get_idx(e->value, i));
}

static void
entry_load(const struct sink_options *o, struct entry *e,
    struct faults *faults)
{
	if (e->value == NULL)
		return;
	if (json_object_is_type(e->value, json_type_array) ||
	    (json_object_is_type(e->value, json_type_object) &&
	    e->option->kind == OPTION_MAP))
		entry_load_many(o, e, faults);
	else if ((e->option->flags & OPTION_TEMPLATE) != 0)
		e->template = entry_parse(o, faults, e->option->path,
		    json_object_get_string(e->value));
}

struct sink_options *
options_new(const struct sink_type *type, struct json_object *config,
    const struct doc_node *doc, const char *base, struct faults *faults)
{
	struct sink_options *o = mem_zalloc(1, sizeof(*o) +
	    type->option_count * sizeof(o->entries[0]));
	size_t i;

	o->base = base;
	o->doc = doc;
	o->config = json_object_get(config);
	o->n = type->option_count;
	for (i = 0; i < o->n; i++) {
		o->entries[i].option = &type->options[i];
		o->entries[i].value = config_find(config,
		    type->options[i].path);
		entry_load(o, &o->entries[i], faults);
	}
	o->doc = NULL;
	return o;
}

void
options_free(struct sink_options *o)
{
	struct entry *e;
	size_t i, j;

	if (o == NULL)
		return;
	for (i = 0; i < o->n; i++) {
		e = &o->entries[i];
		template_free(e->template);
		for (j = 0; j < e->n; j++)
			template_free(e->templates[j]);
		free(e->keys);
		free(e->values);
		free(e->templates);
	}
	json_object_put(o->config);
	free(o);
}

const char *
options_unread(const struct sink_options *o)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		if (!o->entries[i].is_read && o->entries[i].value != NULL &&
		    o->entries[i].option->kind != OPTION_OBJECT)
			return o->entries[i].option->path;
	return NULL;
}

static bool
entry_is_parsed(const struct entry *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (e->templates[i] == NULL)
			return false;
	return e->n > 0 || e->value == NULL || e->template != NULL ||
	    json_object_is_type(e->value, json_type_array) ||
	    json_object_is_type(e->value, json_type_object);
}

void
options_check_templates(const struct sink_options *o, struct faults *faults)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		if ((o->entries[i].option->flags & OPTION_TEMPLATE) != 0 &&
		    !entry_is_parsed(&o->entries[i]))
			sink_fault(o, faults, o->entries[i].option->path,
			    "holds a reference that was not resolved");
}

void
options_forget_reads(struct sink_options *o)
{
	size_t i;

	for (i = 0; i < o->n; i++)
		o->entries[i].is_read = false;
}

/* The mark is not part of the options' value: they stay const to a sink. */
static const struct entry *
entry_of(const struct sink_options *o, const char *name)
{
	struct sink_options *all = (struct sink_options *)(uintptr_t)o;
	size_t i;

	for (i = 0; i < all->n; i++)
		if (strcmp(all->entries[i].option->path, name) == 0) {
			all->entries[i].is_read = true;
			return &all->entries[i];
		}
	bug_abort(name, __FILE__, __LINE__);
}

bool
opt_is_set(const struct sink_options *o, const char *name)
{
	return entry_of(o, name)->value != NULL;
}

const char *
opt_string(const struct sink_options *o, const char *name)
{
	const struct entry *e = entry_of(o, name);

	return e->value == NULL ? NULL : json_object_get_string(e->value);
}

int64_t
opt_int(const struct sink_options *o, const char *name)
{
	const struct entry *e = entry_of(o, name);

	bug_on(e->option->kind != OPTION_INT &&
	    e->option->kind != OPTION_SIZE &&
	    e->option->kind != OPTION_DURATION);
	return e->value == NULL ? 0 : json_object_get_int64(e->value);
}

bool
opt_bool(const struct sink_options *o, const char *name)
{
	const struct entry *e = entry_of(o, name);

	bug_on(e->option->kind != OPTION_BOOL);
	return e->value != NULL && json_object_get_boolean(e->value);
}

int
opt_choice(const struct sink_options *o, const char *name)
{
	const struct entry *e = entry_of(o, name);
	const char *at = e->option->choices, *value;
	size_t len, want;
	int i = 0;

	bug_on(e->option->kind != OPTION_ENUM);
	if (e->value == NULL)
		return -1;
	value = json_object_get_string(e->value);
	want = strlen(value);
	while (at != NULL && *at != '\0') {
		at += *at == '!';
		len = strcspn(at, "|");
		if (len == want && memcmp(at, value, len) == 0)
			return i;
		at += len + (at[len] == '|');
		i++;
	}
	return -1;
}

const struct template *
opt_template(const struct sink_options *o, const char *name)
{
	const struct entry *e = entry_of(o, name);

	bug_on((e->option->flags & OPTION_TEMPLATE) == 0);
	return e->template;
}

size_t
opt_count(const struct sink_options *o, const char *name)
{
	return entry_of(o, name)->n;
}

const char *
opt_key(const struct sink_options *o, const char *name, size_t i)
{
	const struct entry *e = entry_of(o, name);

	return i < e->n ? e->keys[i] : NULL;
}

const char *
opt_value(const struct sink_options *o, const char *name, size_t i)
{
	const struct entry *e = entry_of(o, name);

	return i < e->n ? e->values[i] : NULL;
}

const struct template *
opt_value_template(const struct sink_options *o, const char *name, size_t i)
{
	const struct entry *e = entry_of(o, name);

	return i < e->n ? e->templates[i] : NULL;
}
