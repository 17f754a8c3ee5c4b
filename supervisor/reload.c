/* SIGHUP and `bulkhead reload`: all of the new file, or nothing of it. */
#include "base/config_plan.h"
#include "base/json.h"
#include "base/log.h"
#include "supervisor/auth.h"
#include "supervisor/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool
reload_read(const char *file, struct buf *text, char *why, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1) {
		snprintf(why, size, "%s: %s", file, strerror(errno));
		return false;
	}
	do {
		n = read(fd, buf_reserve(text, 65536), 65536);
		if (n > 0)
			buf_commit(text, (size_t)n);
	} while (n > 0 && buf_len(text) <= DOC_TEXT_MAX);
	if (n < 0)
		snprintf(why, size, "%s: %s", file, strerror(errno));
	close(fd);
	return n >= 0;
}

/* What a request has made is not taken over by the file. */
static void
names_check(struct json_object *connectors, struct faults *faults)
{
	const struct connector *c;
	char path[128];

	json_object_object_foreach(connectors, name, unused) {
		(void)unused;
		c = connector_find(name);
		if (c == NULL || c->is_from_file)
			continue;
		snprintf(path, sizeof(path), "connectors.%.63s", name);
		fault_add(faults, (struct doc_place){0}, path, "was created "
		    "by a request: delete it there, or use another name");
	}
}

/*
 * The new configuration with what only a new start changes taken from the
 * one that runs; NULL after a fault.
 */
static struct config *
reload_parse(struct slice text, struct plan *plan, struct faults *faults)
{
	struct config *c = config_parse(text, &tree.input, faults);

	*plan = (struct plan){0};
	if (c == NULL)
		return NULL;
	names_check(json_member(c->resolved, "connectors"), faults);
	plan_make(plan, tree.config->resolved, c->resolved, faults);
	if (faults->total == 0)
		return c;
	plan_fini(plan);
	config_free(c);
	return NULL;
}

static void
section_keep(struct json_object *to, struct json_object *from,
    const char *name)
{
	struct json_object *v = json_member(from, name);

	if (v == NULL)
		json_object_object_del(to, name);
	else
		json_object_object_add(to, name, json_object_get(v));
}

static void
connectors_apply(const struct plan *plan)
{
	struct json_object *written = json_member(tree.config->written,
	    "connectors");
	struct json_object *resolved = json_member(tree.config->resolved,
	    "connectors");
	struct connector *c;
	size_t i;

	for (i = 0; i < plan->n; i++) {
		if (plan->v[i].what != PLAN_CONNECTOR)
			continue;
		c = connector_find(plan->v[i].name);
		if (plan->v[i].action != PLAN_DELETE)
			connector_apply(plan->v[i].name,
			    json_member(written, plan->v[i].name),
			    json_member(resolved, plan->v[i].name));
		else if (c != NULL)
			connector_drop(c);
	}
}

static void
children_tell(bool all)
{
	struct json_object *config;
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next) {
		if (!child_is_linked(c) || (!all && c->kind != KIND_ROUTER))
			continue;
		config = setup_child(c);
		link_put_reconfigure(c->link,
		    &(struct ipc_reconfigure){.config = json_text(config)});
		json_object_put(config);
	}
}

static void
log_apply(void)
{
	struct json_object *log = json_member(tree.config->resolved, "log");
	enum log_level level = LOG_INFO;

	log_level_parse(json_get_str(log, "level", "info"), &level);
	log_set(level, strcmp(json_get_str(log, "format", "text"), "json") ==
	    0);
}

static void
reload_apply(struct config *c, const struct plan *plan)
{
	bool has_streams = false, has_log = false;
	struct config *old = tree.config;
	size_t i;

	auth_files_commit();
	for (i = 0; i < plan->n; i++) {
		has_streams |= plan->v[i].what == PLAN_STREAM;
		has_log |= plan->v[i].what == PLAN_LOG;
		if (plan->v[i].what != PLAN_SECTION)
			continue;
		section_keep(c->resolved, old->resolved, plan->v[i].name);
		section_keep(c->written, old->written, plan->v[i].name);
	}
	tree.config = c;
	config_free(old);
	listeners_commit();
	if (has_log)
		log_apply();
	/* Streams first: connectors ask the router for them. */
	if (has_streams || has_log)
		children_tell(has_log);
	/* What its files say may differ where the section does not. */
	auth_reload();
	connectors_apply(plan);
}

static struct json_object *
plan_answer(const struct plan *plan)
{
	struct json_object *o = json_object_new_object();
	struct buf text;

	buf_init(&text);
	plan_print(plan, &text);
	json_object_object_add(o, "plan", plan_json(plan));
	json_add_str(o, "text", plan_is_empty(plan) ? "nothing differs\n" :
	    buf_cstr(&text));
	buf_fini(&text);
	return o;
}

static void
plan_log(const struct plan *plan)
{
	struct buf text;
	char *line, *rest;

	if (plan_is_empty(plan))
		log_info("reload: nothing differs");
	buf_init(&text);
	plan_print(plan, &text);
	rest = slice_dup(buf_slice(&text));
	buf_fini(&text);
	line = strtok(rest, "\n");
	for (; line != NULL; line = strtok(NULL, "\n"))
		log_info("reload: %s", line);
	free(rest);
}

static void
faults_log(const struct faults *faults)
{
	struct buf line;
	size_t i;

	buf_init(&line);
	for (i = 0; i < faults->n; i++) {
		buf_clear(&line);
		fault_print(&faults->v[i], &line);
		log_error("reload: %s", buf_cstr(&line));
	}
	log_error("reload: nothing was changed");
	buf_fini(&line);
}

void
reload_run(struct answer to)
{
	struct faults faults;
	struct config *c;
	struct buf text;
	struct plan plan;
	const char *wrong;
	char why[4400];

	buf_init(&text);
	faults_init(&faults);
	if (tree.is_stopping || (tree.config_file != NULL &&
	    !reload_read(tree.config_file, &text, why, sizeof(why)))) {
		if (tree.is_stopping)
			snprintf(why, sizeof(why), "the tree is stopping");
		log_error("reload: %s", why);
		answer_error(to, 409, "unreadable", "%s", why);
		buf_fini(&text);
		return;
	}
	c = reload_parse(buf_slice(&text), &plan, &faults);
	wrong = NULL;
	if (c != NULL && !auth_files_read(c->resolved, why, sizeof(why)))
		wrong = why;
	else if (c != NULL)
		wrong = listeners_prepare(c->resolved);
	if (wrong != NULL) {
		fault_add(&faults, (struct doc_place){0},
		    wrong == why ? "auth" : "listeners", "%s", wrong);
		plan_fini(&plan);
		config_free(c);
		c = NULL;
	}
	if (c == NULL) {
		faults_log(&faults);
		answer_faults(to, &faults);
	} else {
		plan_log(&plan);
		answer_json(to, 200, plan_answer(&plan));
		reload_apply(c, &plan);
		plan_fini(&plan);
	}
	faults_fini(&faults);
	buf_fini(&text);
}

void
reload_plan(struct answer to, struct slice text)
{
	struct faults faults;
	struct config *c;
	struct plan plan;

	faults_init(&faults);
	c = reload_parse(text, &plan, &faults);
	if (c == NULL) {
		answer_faults(to, &faults);
	} else {
		answer_json(to, 200, plan_answer(&plan));
		plan_fini(&plan);
	}
	config_free(c);
	faults_fini(&faults);
}
