#include "base/config_plan.h"

#include "base/mem.h"

#include <stdlib.h>

static const char *const action_names[] = {"create", "update", "delete",
    "keep", "restart"};
static const char *const what_names[] = {"stream", "connector", "log",
    "section", "section", "section"};

static void
plan_add(struct plan *p, enum plan_action action, enum plan_what what,
    const char *name, const char *detail)
{
	p->v = mem_realloc(p->v, (p->n + 1) * sizeof(*p->v));
	p->v[p->n++] = (struct plan_item){action, what, mem_strdup(name),
	    mem_strdup(detail)};
}

/* The names of the members that differ, objects one level down. */
static void
difference_print(struct json_object *from, struct json_object *to,
    const char *prefix, struct buf *out)
{
	struct json_object *all = json_object_new_object(), *a, *b;

	json_object_object_foreach(from, name_from, v_from)
		json_object_object_add(all, name_from,
		    json_object_get(v_from));
	json_object_object_foreach(to, name_to, v_to)
		json_object_object_add(all, name_to, json_object_get(v_to));
	json_object_object_foreach(all, name, unused) {
		(void)unused;
		a = json_object_object_get(from, name);
		b = json_object_object_get(to, name);
		if (json_object_equal(a, b))
			continue;
		if (prefix[0] == '\0' &&
		    json_object_is_type(a, json_type_object) &&
		    json_object_is_type(b, json_type_object)) {
			difference_print(a, b, name, out);
			continue;
		}
		buf_addf(out, "%s%s%s%s", buf_len(out) > 0 ? ", " : "", prefix,
		    prefix[0] == '\0' ? "" : ".", name);
	}
	json_object_put(all);
}

static void
plan_add_update(struct plan *p, enum plan_what what, const char *name,
    struct json_object *from, struct json_object *to)
{
	struct buf detail;

	buf_init(&detail);
	difference_print(from, to, "", &detail);
	plan_add(p, PLAN_UPDATE, what, name, buf_cstr(&detail));
	buf_fini(&detail);
}

/* Records are not deleted because a line of a file is. */
static void
plan_add_gone(struct plan *p, enum plan_what what, const char *name)
{
	if (what == PLAN_STREAM)
		plan_add(p, PLAN_KEEP, what, name, "it left the file; "
		    "`bulkhead stream delete` deletes it");
	else
		plan_add(p, PLAN_DELETE, what, name, "");
}

static void
table_compare(struct plan *p, enum plan_what what, struct json_object *from,
    struct json_object *to)
{
	struct json_object *old;

	if (to != NULL) {
		json_object_object_foreach(to, name, v) {
			old = json_object_object_get(from, name);
			if (old == NULL)
				plan_add(p, PLAN_CREATE, what, name, "");
			else if (!json_object_equal(old, v))
				plan_add_update(p, what, name, old, v);
		}
	}
	if (from != NULL) {
		json_object_object_foreach(from, gone, unused) {
			(void)unused;
			if (json_object_object_get(to, gone) == NULL)
				plan_add_gone(p, what, gone);
		}
	}
}

static void
partitions_check(struct json_object *from, struct json_object *to,
    struct faults *faults)
{
	struct json_object *old;
	int64_t had, has;
	char *path;

	json_object_object_foreach(to, name, v) {
		old = json_object_object_get(from, name);
		had = json_object_get_int64(json_object_object_get(old,
		    "partitions"));
		has = json_object_get_int64(json_object_object_get(v,
		    "partitions"));
		if (old == NULL || has >= had)
			continue;
		path = mem_printf("streams.%s.partitions", name);
		fault_add(faults, (struct doc_place){0}, path,
		    "%lld is fewer than the %lld that the stream has",
		    (long long)has, (long long)had);
		free(path);
	}
}

static bool
section_is(const char *name, const char *a, const char *b)
{
	return strcmp(name, a) == 0 || strcmp(name, b) == 0;
}

void
plan_make(struct plan *p, struct json_object *from, struct json_object *to,
    struct faults *faults)
{
	struct json_object *old;

	*p = (struct plan){0};
	partitions_check(json_object_object_get(from, "streams"),
	    json_object_object_get(to, "streams"), faults);
	table_compare(p, PLAN_STREAM, json_object_object_get(from, "streams"),
	    json_object_object_get(to, "streams"));
	table_compare(p, PLAN_CONNECTOR,
	    json_object_object_get(from, "connectors"),
	    json_object_object_get(to, "connectors"));
	json_object_object_foreach(to, name, v) {
		old = json_object_object_get(from, name);
		if (section_is(name, "streams", "connectors") ||
		    json_object_equal(old, v))
			continue;
		if (strcmp(name, "log") == 0)
			plan_add_update(p, PLAN_LOG, name, old, v);
		else if (strcmp(name, "listeners") == 0)
			plan_add(p, PLAN_UPDATE, PLAN_LISTENERS, name, "");
		else if (strcmp(name, "auth") == 0)
			plan_add_update(p, PLAN_AUTH, name, old, v);
		else
			plan_add(p, PLAN_RESTART, PLAN_SECTION, name,
			    "takes effect at the next start");
	}
}

void
plan_fini(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].detail);
	}
	free(p->v);
	*p = (struct plan){0};
}

bool
plan_is_empty(const struct plan *p)
{
	return p->n == 0;
}

void
plan_print(const struct plan *p, struct buf *out)
{
	const struct plan_item *i;

	for (i = p->v; i < p->v + p->n; i++)
		buf_addf(out, "%s %s %s%s%s%s\n", action_names[i->action],
		    what_names[i->what], i->name,
		    i->detail[0] == '\0' ? "" : " (", i->detail,
		    i->detail[0] == '\0' ? "" : ")");
}

struct json_object *
plan_json(const struct plan *p)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct plan_item *i;

	for (i = p->v; i < p->v + p->n; i++) {
		o = json_object_new_object();
		json_object_object_add(o, "action",
		    json_object_new_string(action_names[i->action]));
		json_object_object_add(o, "what",
		    json_object_new_string(what_names[i->what]));
		json_object_object_add(o, "name",
		    json_object_new_string(i->name));
		json_object_object_add(o, "detail",
		    json_object_new_string(i->detail));
		json_object_array_add(list, o);
	}
	return list;
}
