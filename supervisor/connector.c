#include "supervisor/connector.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct connector *connectors;

struct connector *
connector_first(void)
{
	return connectors;
}

struct connector *
connector_find(const char *name)
{
	struct connector *c = connectors;

	while (c != NULL && strcmp(c->name, name) != 0)
		c = c->next;
	return c;
}

bool
connector_is_enabled(const struct connector *c)
{
	return json_get_bool(c->resolved, "enabled", true);
}

/* ---- what outlives us ------------------------------------------------------ */

static void
state_path(const char *name, char *path, size_t size)
{
	snprintf(path, size, "connectors/%.63s.yaml", name);
}

bool
connector_save(const struct connector *c)
{
	struct json_object *o = json_object_new_object();
	char path[128];
	bool is_good;

	json_add_str(o, "name", c->name);
	json_add_str(o, "source", c->is_from_file ? "file" : "api");
	json_add_u64(o, "version", c->version);
	json_add_bool(o, "paused", c->is_paused);
	if (c->stream != NULL)
		json_add_str(o, "stream", c->stream);
	json_object_object_add(o, "start", json_object_get(c->start));
	json_object_object_add(o, "definition", json_object_get(c->written));
	state_path(c->name, path, sizeof(path));
	is_good = data_write(path, slice_str(json_object_to_json_string_ext(o,
	    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)));
	json_object_put(o);
	if (!is_good)
		log_error("cannot write %s/%s: %s", tree.data, path,
		    strerror(errno));
	return is_good;
}

static struct json_object *
state_read(const char *name)
{
	struct json_object *o = NULL;
	struct buf text;
	char path[128];

	state_path(name, path, sizeof(path));
	buf_init(&text);
	if (data_read(path, &text))
		o = json_parse(buf_slice(&text));
	buf_fini(&text);
	return o;
}

static void
state_take(struct connector *c, struct json_object *state)
{
	const char *stream = json_get_str(state, "stream", NULL);

	c->version = json_get_u64(state, "version", 0);
	c->is_paused = json_get_bool(state, "paused", false);
	if (stream != NULL) {
		c->stream = mem_strdup(stream);
		c->start = json_object_get(json_member(state, "start"));
	}
	c->written = json_object_get(json_member(state, "definition"));
}

/* ---- definitions ------------------------------------------------------------- */

struct connector *
connector_add(const char *name, bool is_from_file)
{
	struct connector *c = mem_zalloc(1, sizeof(*c)), **at = &connectors;

	c->name = mem_strdup(name);
	c->is_from_file = is_from_file;
	while (*at != NULL)
		at = &(*at)->next;
	*at = c;
	return c;
}

static void
connector_free(struct connector *c)
{
	struct connector **at = &connectors;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	json_object_put(c->written);
	json_object_put(c->resolved);
	json_object_put(c->next_written);
	json_object_put(c->next_resolved);
	json_object_put(c->start);
	free(c->stream);
	free(c->name);
	free(c);
}

static bool
member_differs(struct json_object *a, struct json_object *b, const char *name)
{
	return !json_object_equal(json_member(a, name), json_member(b, name));
}

void
connector_define(struct connector *c, struct json_object *written,
    struct json_object *resolved)
{
	struct json_object *old = c->written;
	bool is_new = old == NULL || !json_object_equal(old, written);

	/* Another stream: where to start is asked again. */
	if (old != NULL && (member_differs(old, written, "stream") ||
	    member_differs(old, written, "topics"))) {
		free(c->stream);
		c->stream = NULL;
	}
	if (is_new)
		c->version++;
	c->written = json_object_get(written);
	json_object_put(old);
	json_object_put(c->resolved);
	c->resolved = json_object_get(resolved);
}

static void
worker_add(struct connector *c)
{
	char name[80], program[80];

	snprintf(name, sizeof(name), "connector.%.63s", c->name);
	snprintf(program, sizeof(program), "connector-%.63s",
	    json_get_str(c->resolved, "type", "unknown"));
	c->worker = tree_add(KIND_WORKER, name, program);
	c->worker->connector = c;
	c->worker->is_held = connector_is_enabled(c);
}

static void
worker_park(struct connector *c, const char *reason)
{
	log_error("connector %s: %s", c->name, reason);
	child_reason(c->worker, reason);
	c->worker->is_held = false;
	if (!life_is_alive(c->worker->state))
		c->worker->state = LIFE_PARKED;
}

/* ---- where it starts --------------------------------------------------------- */

struct json_object *
connector_question(const char *name, struct json_object *resolved)
{
	static const char *const names[] = {"stream", "topics", "start"};
	struct json_object *o = json_object_new_object(), *v;
	struct json_object *limits = json_member(resolved, "limits");
	size_t i;

	json_add_str(o, "connector", name);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((v = json_member(resolved, names[i])) != NULL)
			json_object_object_add(o, names[i],
			    json_object_get(v));
	json_add_u64(o, "backlog", json_get_u64(limits, "backlog", 0));
	return o;
}

void
connector_place(struct connector *c, struct json_object *start)
{
	free(c->stream);
	c->stream = mem_strdup(json_get_str(start, "stream", ""));
	json_object_put(c->start);
	c->start = json_object_get(start);
}

static void
connector_run(struct connector *c, enum life_event e)
{
	struct child *router = tree_find_kind(KIND_ROUTER);

	if (c->is_deleted || c->stream == NULL || tree.is_stopping ||
	    c->resolved == NULL)
		return;
	if (!connector_is_enabled(c)) {
		c->worker->is_held = false;
		child_event(c->worker, LIFE_EVENT_STOP);
		return;
	}
	/* The first time, the router must be there. */
	if (c->worker->state == LIFE_IDLE && (router == NULL ||
	    router->state != LIFE_RUNNING))
		return;
	child_event(c->worker, e);
}

static void
on_resolved(void *arg, unsigned status, struct json_object *body)
{
	struct connector *c = connector_find(arg);

	free(arg);
	if (c == NULL || c->is_deleted || !c->is_resolving)
		return;
	c->is_resolving = false;
	/* Its end is seen by all; the next router is asked again. */
	if (status == 503)
		return;
	if (status >= 400 || json_get_str(body, "stream", NULL) == NULL) {
		worker_park(c, json_get_str(body, "message",
		    "the router does not know where it starts"));
	} else {
		connector_place(c, body);
		if (connector_save(c))
			connector_run(c, LIFE_EVENT_START);
		else
			worker_park(c, "its state cannot be stored");
	}
	connectors_resolve();
}

static void
connector_resolve(struct connector *c)
{
	struct json_object *args;

	if (c->is_resolving || c->resolved == NULL)
		return;
	c->is_resolving = true;
	args = connector_question(c->name, c->resolved);
	request_ask(tree_find_kind(KIND_ROUTER), "stream.resolve", args,
	    on_resolved, mem_strdup(c->name));
	json_object_put(args);
}

void
connector_start(struct connector *c)
{
	if (c->worker == NULL)
		worker_add(c);
	if (c->stream == NULL && connector_is_enabled(c)) {
		c->worker->is_held = true;
		child_event(c->worker, LIFE_EVENT_STOP);
		connector_resolve(c);
		return;
	}
	connector_run(c, LIFE_EVENT_RESTART);
}

/*
 * Listeners are served when every connector's start is known: a message
 * published before would be missed by one that starts at the latest.
 */
void
connectors_resolve(void)
{
	struct connector *c, *next;
	bool is_waiting = false;

	for (c = connectors; c != NULL; c = next) {
		next = c->next;
		if (c->is_deleted || c->worker == NULL ||
		    !c->worker->is_held)
			continue;
		if (c->stream == NULL)
			connector_resolve(c);
		else
			connector_run(c, LIFE_EVENT_START);
		is_waiting |= c->is_resolving;
	}
	if (!is_waiting)
		tree_open();
}

/* ---- their coming and going ---------------------------------------------------- */

static void
load_stored(const char *name, struct json_object *state)
{
	struct json_object *definition = json_member(state, "definition");
	struct connector *c;
	struct definition *d;
	struct faults faults;
	struct buf why;

	if (strcmp(json_get_str(state, "source", ""), "api") != 0)
		return;
	if (connector_find(name) != NULL) {
		log_warn("connector %s stands in the configuration file: the "
		    "stored definition is not used", name);
		return;
	}
	c = connector_add(name, false);
	state_take(c, state);
	faults_init(&faults);
	d = definition_parse(json_text(definition), name, NULL, &tree.input,
	    &faults);
	if (d != NULL)
		c->resolved = json_object_get(d->resolved);
	worker_add(c);
	if (d == NULL) {
		buf_init(&why);
		faults_drop_places(&faults);
		fault_print(&faults.v[0], &why);
		worker_park(c, buf_cstr(&why));
		buf_fini(&why);
	}
	definition_free(d);
	faults_fini(&faults);
}

static void
load_file(const char *name, struct json_object *written,
    struct json_object *resolved)
{
	struct json_object *state = state_read(name);
	struct connector *c = connector_add(name, true);

	if (state != NULL)
		state_take(c, state);
	connector_define(c, written, resolved);
	worker_add(c);
	json_object_put(state);
}

void
connectors_load(void)
{
	struct json_object *written = json_member(tree.config->written,
	    "connectors");
	struct json_object *all = json_member(tree.config->resolved,
	    "connectors"), *state;
	char path[4200], *end;
	struct dirent **names = NULL;
	int i, n;

	json_object_object_foreach(all, name, resolved)
		load_file(name, json_member(written, name), resolved);
	snprintf(path, sizeof(path), "%s/connectors", tree.data);
	n = scandir(path, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		end = strrchr(names[i]->d_name, '.');
		if (end != NULL && strcmp(end, ".yaml") == 0) {
			*end = '\0';
			state = state_read(names[i]->d_name);
			if (state == NULL)
				log_error("cannot read %s/%s.yaml: the "
				    "connector is not started", path,
				    names[i]->d_name);
			else
				load_stored(names[i]->d_name, state);
			json_object_put(state);
		}
		free(names[i]);
	}
	free(names);
}

void
connector_remove(struct connector *c, bool erase)
{
	c->is_deleted = true;
	c->wants_erase = erase;
	tree_remove(c->worker);
}

void
connector_apply(const char *name, struct json_object *written,
    struct json_object *resolved)
{
	struct connector *c = connector_find(name);

	/* Another program, or the old one still ends: one after the other. */
	if (c != NULL && (c->is_deleted ||
	    member_differs(c->written, written, "type"))) {
		json_object_put(c->next_written);
		json_object_put(c->next_resolved);
		c->next_written = json_object_get(written);
		c->next_resolved = json_object_get(resolved);
		if (!c->is_deleted)
			connector_remove(c, false);
		return;
	}
	if (c == NULL) {
		load_file(name, written, resolved);
		connectors_resolve();
		return;
	}
	connector_define(c, written, resolved);
	connector_save(c);
	connector_start(c);
}

void
connector_drop(struct connector *c)
{
	json_object_put(c->next_written);
	json_object_put(c->next_resolved);
	c->next_written = c->next_resolved = NULL;
	if (!c->is_deleted)
		connector_remove(c, false);
}

static void
files_erase(const char *name)
{
	static const char *const ends[] = {".yaml", ".db", ".db-wal",
	    ".db-shm", ".lock"};
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "connectors/%.63s%s", name,
		    ends[i]);
		if (unlinkat(tree.data_fd, path, 0) == -1 && errno != ENOENT)
			log_warn("cannot remove %s: %s", path,
			    strerror(errno));
	}
}

static void
on_stream_deleted(void *arg, unsigned status, struct json_object *body)
{
	(void)body;
	if (status >= 400 && status != 404)
		log_warn("the stream %s was not deleted", (char *)arg);
	free(arg);
}

/* The stream that was made for it goes with it. */
static void
own_stream_delete(const struct connector *c)
{
	struct json_object *args;
	char own[96];

	snprintf(own, sizeof(own), "$connector.%.63s", c->name);
	if (c->stream == NULL || strcmp(c->stream, own) != 0)
		return;
	args = json_object_new_object();
	json_add_str(args, "name", own);
	request_ask(tree_find_kind(KIND_ROUTER), "stream.delete", args,
	    on_stream_deleted, mem_strdup(own));
	json_object_put(args);
}

void
connector_on_gone(struct connector *c)
{
	struct json_object *o, *written, *resolved;
	char *next;

	c->worker = NULL;
	if (c->wants_erase) {
		files_erase(c->name);
		own_stream_delete(c);
		o = json_object_new_object();
		json_add_str(o, "name", c->name);
		json_add_bool(o, "deleted", true);
		answer_json(c->answer, 200, o);
		log_info("connector %s deleted", c->name);
	}
	next = c->next_written == NULL ? NULL : mem_strdup(c->name);
	written = json_object_get(c->next_written);
	resolved = json_object_get(c->next_resolved);
	connector_free(c);
	if (next != NULL && !tree.is_stopping)
		connector_apply(next, written, resolved);
	json_object_put(written);
	json_object_put(resolved);
	free(next);
}
