/* Connectors by request: connectors.md, section 1. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/connector.h"

#include <stdlib.h>

/* A definition on its way: checked, its place asked of the router. */
struct errand {
	struct errand *next;
	char *name;
	struct answer answer;
	struct definition *definition;
	bool is_update;
};

static struct errand *errands;

static struct connector *
connector_of(struct answer to, struct json_object *args)
{
	const char *name = json_get_str(args, "name", "");
	struct connector *c = connector_find(name);

	if (c != NULL && !c->is_deleted)
		return c;
	answer_error(to, 404, "not_found", "no connector %s", name);
	return NULL;
}

static bool
connector_is_writable(struct answer to, const struct connector *c)
{
	if (!c->is_from_file)
		return true;
	answer_error(to, 409, "read_only", "connector %s stands in the "
	    "configuration file: change it there and reload", c->name);
	return false;
}

static bool
name_is_free(struct answer to, const char *name)
{
	const struct errand *e;

	for (e = errands; e != NULL; e = e->next)
		if (strcmp(e->name, name) == 0) {
			answer_error(to, 409, "busy", "connector %s is being "
			    "changed by another request", name);
			return false;
		}
	return true;
}

/* ---- showing ----------------------------------------------------------------- */

static void
put_state(struct json_object *o, const struct connector *c)
{
	const struct child *w = c->worker;
	const char *reason = w->state == LIFE_RUNNING ? w->worker_reason :
	    w->reason;
	char text[40];

	json_add_str(o, "state", child_state(w));
	json_object_object_add(o, "reason", reason == NULL ? NULL :
	    json_object_new_string(reason));
	json_add_str(o, "since", clock_rfc3339(w->since_ms, text,
	    sizeof(text)));
	json_object_object_add(o, "stream", c->stream == NULL ? NULL :
	    json_object_new_string(c->stream));
	json_add_str(o, "source", c->is_from_file ? "file" : "api");
	json_add_u64(o, "version", c->version);
	json_add_bool(o, "paused", c->is_paused);
	json_add_u64(o, "restarts", w->restarts);
}

static struct json_object *
shown_json(const struct connector *c)
{
	struct json_object *o = json_object_new_object(), *d;

	d = definition_masked(c->written, &tree.types);
	json_object_object_add(d, "name", json_object_new_string(c->name));
	json_add_str(o, "name", c->name);
	json_add_str(o, "type", json_get_str(c->written, "type", ""));
	json_object_object_add(o, "definition", d);
	put_state(o, c);
	return o;
}

void
connector_list(struct answer to, struct json_object *args)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct connector *c;

	(void)args;
	for (c = connector_first(); c != NULL; c = c->next) {
		if (c->is_deleted)
			continue;
		o = json_object_new_object();
		json_add_str(o, "name", c->name);
		json_add_str(o, "type", json_get_str(c->written, "type", ""));
		put_state(o, c);
		json_object_array_add(list, o);
	}
	answer_json(to, 200, list);
}

void
connector_show(struct answer to, struct json_object *args)
{
	struct connector *c = connector_of(to, args);

	if (c != NULL)
		answer_json(to, 200, shown_json(c));
}

void
connector_types(struct answer to, struct json_object *args)
{
	struct json_object *list = json_object_new_array(), *o;
	size_t i;

	(void)args;
	for (i = 0; i < tree.types.n; i++) {
		o = json_object_new_object();
		json_add_str(o, "name", tree.types.v[i].name);
		json_object_object_foreach(tree.types.v[i].description, key, v)
			json_object_object_add(o, key, json_object_get(v));
		json_object_array_add(list, o);
	}
	answer_json(to, 200, list);
}

/* ---- making and changing ------------------------------------------------------ */

static void
errand_free(struct errand *e)
{
	struct errand **at = &errands;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	definition_free(e->definition);
	free(e->name);
	free(e);
}

static void
errand_end(struct errand *e, struct json_object *start)
{
	struct connector *c = connector_find(e->name);

	if (c == NULL && e->is_update) {
		answer_error(e->answer, 404, "not_found", "no connector %s",
		    e->name);
		return;
	}
	if (c == NULL)
		c = connector_add(e->name, false);
	connector_define(c, e->definition->written, e->definition->resolved);
	if (c->stream == NULL || strcmp(c->stream, json_get_str(start,
	    "stream", "")) != 0)
		connector_place(c, start);
	if (!connector_save(c))
		answer_error(e->answer, 507, "not_stored", "connector %s runs "
		    "and was not stored: it is gone with the next start",
		    c->name);
	connector_start(c);
	log_info("connector %s %s", c->name, e->is_update ? "updated" :
	    "created");
	answer_json(e->answer, e->is_update ? 200 : 201, shown_json(c));
}

static void
on_placed(void *arg, unsigned status, struct json_object *body)
{
	struct errand *e = arg;

	if (status >= 400 || body == NULL)
		answer_error(e->answer, status < 400 ? 502 : status,
		    json_get_str(body, "code", "not_running"),
		    "connector %s: %s", e->name, json_get_str(body, "message",
		    "the router is not running"));
	else
		errand_end(e, body);
	errand_free(e);
}

static bool
collides(struct answer to, const struct definition *d)
{
	const struct connector_type *t = types_find(&tree.types,
	    json_get_str(d->resolved, "type", ""));
	const struct connector *c;
	const char *option;

	for (c = connector_first(); c != NULL && t != NULL; c = c->next) {
		if (c->is_deleted || c->resolved == NULL ||
		    strcmp(c->name, d->name) == 0 ||
		    !definitions_collide(t, c->resolved, d->resolved, &option))
			continue;
		answer_error(to, 409, "in_use",
		    "connectors.%s.config.%s: connector %s writes the same "
		    "file", d->name, option, c->name);
		return true;
	}
	return false;
}

/* Answers and returns NULL when it is not acceptable. */
static struct definition *
definition_of(struct answer to, struct json_object *args, const char *name,
    struct json_object *previous)
{
	struct json_object *given = json_member(args, "definition");
	struct slice text = json_object_is_type(given, json_type_string) ?
	    slice_str(json_object_get_string(given)) : json_text(given);
	struct definition *d;
	struct faults faults;

	if (given == NULL) {
		answer_error(to, 400, "malformed", "no `definition`");
		return NULL;
	}
	faults_init(&faults);
	d = definition_parse(text, name, previous, &tree.input, &faults);
	/* Lines of a text that we made ourselves mean nothing. */
	if (!json_object_is_type(given, json_type_string))
		faults_drop_places(&faults);
	if (d == NULL)
		answer_faults(to, &faults);
	faults_fini(&faults);
	return d;
}

static void
errand_begin(struct answer to, struct definition *d, bool is_update)
{
	struct errand *e = mem_zalloc(1, sizeof(*e));
	struct json_object *args = connector_question(d->name, d->resolved);

	e->name = mem_strdup(d->name);
	e->answer = to;
	e->definition = d;
	e->is_update = is_update;
	e->next = errands;
	errands = e;
	request_ask(tree_find_kind(KIND_ROUTER), "stream.resolve", args,
	    on_placed, e);
	json_object_put(args);
}

void
connector_create(struct answer to, struct json_object *args)
{
	struct definition *d = definition_of(to, args,
	    json_get_str(args, "name", NULL), NULL);

	if (d == NULL)
		return;
	if (connector_find(d->name) != NULL)
		answer_error(to, 409, "exists", "connector %s exists already",
		    d->name);
	else if (name_is_free(to, d->name) && !collides(to, d)) {
		errand_begin(to, d, false);
		return;
	}
	definition_free(d);
}

void
connector_update(struct answer to, struct json_object *args)
{
	struct connector *c = connector_of(to, args);
	struct definition *d;

	if (c == NULL || !connector_is_writable(to, c) ||
	    !name_is_free(to, c->name))
		return;
	d = definition_of(to, args, c->name, c->written);
	if (d == NULL)
		return;
	if (strcmp(json_get_str(d->written, "type", ""),
	    json_get_str(c->written, "type", "")) != 0)
		answer_error(to, 409, "type_differs", "connector %s is of "
		    "type %s: its type cannot change", c->name,
		    json_get_str(c->written, "type", ""));
	else if (!collides(to, d)) {
		errand_begin(to, d, true);
		return;
	}
	definition_free(d);
}

void
connector_delete(struct answer to, struct json_object *args)
{
	struct connector *c = connector_of(to, args);

	if (c == NULL || !connector_is_writable(to, c) ||
	    !name_is_free(to, c->name))
		return;
	c->answer = to;
	connector_remove(c, true);
}

/* ---- pause, resume, restart --------------------------------------------------- */

struct pause {
	struct answer answer;
	char *name;
};

/* What counts is stored; a worker that is not there learns it at its start. */
static void
on_paused(void *arg, unsigned status, struct json_object *body)
{
	struct pause *p = arg;
	struct connector *c = connector_find(p->name);

	if (status >= 400 && status != 503)
		answer_json(p->answer, status, json_object_get(body));
	else if (c == NULL || c->is_deleted)
		answer_error(p->answer, 404, "not_found", "no connector %s",
		    p->name);
	else
		answer_json(p->answer, 200, shown_json(c));
	free(p->name);
	free(p);
}

static void
connector_set_paused(struct answer to, struct json_object *args, bool paused)
{
	struct connector *c = connector_of(to, args);
	struct pause *p;

	if (c == NULL)
		return;
	c->is_paused = paused;
	if (!connector_save(c)) {
		answer_error(to, 507, "not_stored",
		    "the state of connector %s cannot be stored", c->name);
		return;
	}
	p = mem_zalloc(1, sizeof(*p));
	p->answer = to;
	p->name = mem_strdup(c->name);
	request_ask(c->worker, paused ? "pause" : "resume", NULL, on_paused,
	    p);
}

void
connector_pause(struct answer to, struct json_object *args)
{
	connector_set_paused(to, args, true);
}

void
connector_resume(struct answer to, struct json_object *args)
{
	connector_set_paused(to, args, false);
}

void
connector_restart(struct answer to, struct json_object *args)
{
	struct connector *c = connector_of(to, args);

	if (c == NULL)
		return;
	if (c->resolved == NULL) {
		answer_error(to, 409, "invalid", "connector %s: %s", c->name,
		    c->worker->reason);
		return;
	}
	c->worker->backoff.quick = 0;
	connector_start(c);
	answer_json(to, 202, shown_json(c));
}

void
connector_test(struct answer to, struct json_object *args)
{
	struct json_object *given = json_member(args, "definition");
	const char *name = json_get_str(args, "name", NULL);
	struct connector *c;
	struct definition *d;

	if (given == NULL) {
		c = connector_of(to, args);
		if (c != NULL && c->resolved != NULL)
			trial_run(to, c->name, c->resolved);
		else if (c != NULL)
			answer_error(to, 409, "invalid", "connector %s: %s",
			    c->name, c->worker->reason);
		return;
	}
	if (name == NULL && json_object_is_type(given, json_type_object))
		name = json_get_str(given, "name", "unnamed");
	d = definition_of(to, args, name, NULL);
	if (d != NULL)
		trial_run(to, d->name, d->resolved);
	definition_free(d);
}
