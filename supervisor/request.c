/*
 * Questions: those to us are answered by the table of operations, those to
 * others handed on under a number of ours, our own carry a callback.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/auth.h"
#include "supervisor/connector.h"
#include "supervisor/crash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct pending {
	struct pending *next;
	uint64_t id;
	struct child *to;
	struct answer asker;	/* of a question that was handed on */
	request_done *done;	/* of our own */
	void *arg;
};

static struct {
	struct pending *all;
	uint64_t last_id;
} requests;

static void
op_status(struct answer to, struct json_object *args)
{
	(void)args;
	answer_json(to, 200, status_json());
}

static void
op_metrics(struct answer to, struct json_object *args)
{
	(void)args;
	answer_json(to, 200, status_metrics());
}

static void
op_stop(struct answer to, struct json_object *args)
{
	struct json_object *o = json_object_new_object();

	(void)args;
	json_add_bool(o, "stopping", true);
	answer_json(to, 202, o);
	stop_begin(0);
}

static void
op_reload(struct answer to, struct json_object *args)
{
	(void)args;
	reload_run(to);
}

static void
op_plan(struct answer to, struct json_object *args)
{
	reload_plan(to, slice_str(json_get_str(args, "text", "")));
}

static void
op_config(struct answer to, struct json_object *args)
{
	(void)args;
	answer_json(to, 200, config_masked(tree.config, &tree.types));
}

static const struct {
	const char *name;
	void (*run)(struct answer, struct json_object *args);
} operations[] = {
    {"status", op_status}, {"metrics", op_metrics}, {"stop", op_stop},
    {"reload", op_reload}, {"config.plan", op_plan},
    {"config.show", op_config},
    {"connector.list", connector_list}, {"connector.show", connector_show},
    {"connector.create", connector_create},
    {"connector.update", connector_update},
    {"connector.delete", connector_delete},
    {"connector.pause", connector_pause},
    {"connector.resume", connector_resume},
    {"connector.restart", connector_restart},
    {"connector.test", connector_test}, {"connector.types", connector_types},
    {"crash.list", crash_list}, {"crash.show", crash_show},
};

/* ---- answers ------------------------------------------------------------ */

void
answer_json(struct answer a, unsigned status, struct json_object *body)
{
	struct child *c = tree.children;

	while (c != NULL && (c->session != a.asker || a.asker == 0))
		c = c->next;
	if (c != NULL && child_is_linked(c))
		link_put_reply(c->link, &(struct ipc_reply){
		    .id = a.id,
		    .status = (uint16_t)status,
		    .body = json_text(body)});
	json_object_put(body);
}

static struct json_object *
error_new(const char *code, const char *message)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "code", code);
	json_add_str(o, "message", message);
	return o;
}

void
answer_error(struct answer a, unsigned status, const char *code,
    const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_json(a, status, error_new(code, text));
}

void
answer_faults(struct answer a, const struct faults *faults)
{
	struct json_object *o;
	struct buf first;
	char *message;

	buf_init(&first);
	if (faults->n > 0)
		fault_print(&faults->v[0], &first);
	message = faults->total <= 1 ? mem_strdup(buf_cstr(&first)) :
	    mem_printf("%s, and %zu more", buf_cstr(&first),
	    faults->total - 1);
	o = error_new("invalid", message);
	json_object_object_add(o, "details", faults_json(faults));
	answer_json(a, 422, o);
	free(message);
	buf_fini(&first);
}

/* ---- handing on ------------------------------------------------------------ */

static struct pending *
pending_add(struct child *to)
{
	struct pending *p = mem_zalloc(1, sizeof(*p));

	p->id = ++requests.last_id;
	p->to = to;
	p->next = requests.all;
	requests.all = p;
	return p;
}

static void
request_send(struct child *to, uint64_t id, struct slice op,
    struct slice args)
{
	link_put_request(to->link, &(struct ipc_request){
	    .id = id, .target = SLICE_EMPTY, .op = op, .args = args});
}

static void
request_own(struct answer from, const struct ipc_request *m)
{
	struct json_object *args = m->args.len == 0 ?
	    json_object_new_object() : json_parse(m->args);
	size_t i, n = sizeof(operations) / sizeof(operations[0]);

	for (i = 0; i < n && !slice_is(m->op, operations[i].name); i++)
		continue;
	if (i == n)
		answer_error(from, 404, "unknown_operation",
		    "no operation %.*s", SLICE_ARG(m->op));
	else if (!json_object_is_type(args, json_type_object))
		answer_error(from, 400, "malformed",
		    "the arguments are no JSON object");
	else
		operations[i].run(from, args);
	json_object_put(args);
}

void
request_on(struct child *asker, const struct ipc_request *m)
{
	struct answer from = {asker->session, m->id};
	struct child *to;
	char *name;

	/* Only what an administrator's process asks is obeyed. */
	if (asker->kind != KIND_ADMIN) {
		answer_error(from, 403, "forbidden", "%s asks nothing",
		    asker->name);
		return;
	}
	if (m->target.len == 0 || slice_is(m->target, "supervisor")) {
		request_own(from, m);
		return;
	}
	name = slice_dup(m->target);
	to = tree_find(name);
	/* It is there when it is needed first. */
	if (to == NULL && strcmp(name, "auth") == 0 && !tree.is_stopping)
		to = auth_start();
	if (to == NULL) {
		answer_error(from, 404, "not_found", "no process %s", name);
	} else if (!child_is_linked(to)) {
		answer_error(from, 503, "not_running", "%s is not running%s%s",
		    name, to->reason == NULL ? "" : ": ",
		    to->reason == NULL ? "" : to->reason);
	} else {
		struct pending *p = pending_add(to);

		p->asker = from;
		request_send(to, p->id, m->op, m->args);
	}
	free(name);
}

void
request_ask(struct child *to, const char *op, struct json_object *args,
    request_done *done, void *arg)
{
	struct pending *p;

	if (to == NULL || !child_is_linked(to)) {
		done(arg, 503, NULL);
		return;
	}
	p = pending_add(to);
	p->done = done;
	p->arg = arg;
	request_send(to, p->id, slice_str(op), args == NULL ? SLICE_EMPTY :
	    json_text(args));
}

static void
pending_done(struct pending *p, unsigned status, struct slice body)
{
	struct json_object *json;

	if (p->done == NULL) {
		json = json_parse(body);
		answer_json(p->asker, status, json == NULL ?
		    json_object_new_object() : json);
	} else {
		json = json_parse(body);
		p->done(p->arg, status, json);
		json_object_put(json);
	}
	free(p);
}

void
request_on_reply(struct child *from, const struct ipc_reply *m)
{
	struct pending **at = &requests.all, *p;

	while (*at != NULL && ((*at)->id != m->id || (*at)->to != from))
		at = &(*at)->next;
	p = *at;
	if (p == NULL)
		return;
	*at = p->next;
	pending_done(p, m->status, m->body);
}

void
request_on_gone(struct child *c)
{
	static const char lost[] = "{\"code\":\"not_running\",\"message\":"
	    "\"the process ended before it answered\"}";
	struct pending **at = &requests.all, *p, *gone = NULL;

	while ((p = *at) != NULL) {
		if (p->to != c) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		p->next = gone;
		gone = p;
	}
	/* What is done with them may ask again. */
	while ((p = gone) != NULL) {
		gone = p->next;
		pending_done(p, 503, SLICE_LIT(lost));
	}
}
