#include "admin-server/serve.h"

#include "admin-server/page.h"
#include "base/json.h"

#include <stdio.h>

static const struct route routes[] = {
#define ROUTE(name, method, path, serve, target, op, query, body, text) \
	{#name, METHOD_##method, path, serve_##serve, target, op, query, \
	    BODY_##body, text},
#include "admin-server/routes.def"
#undef ROUTE
};

static const struct route_table table = {routes,
    sizeof(routes) / sizeof(routes[0])};

const struct route_table *
serve_routes(void)
{
	return &table;
}

static void
on_gone(struct exchange *x)
{
	questions_cancel(x->state);
}

struct questions *
serve_questions(struct exchange *x, double seconds, questions_done *done)
{
	struct questions *q = questions_new(seconds, done, x);

	x->state = q;
	x->on_gone = on_gone;
	return q;
}

bool
serve_worker(struct exchange *x, char *out, size_t cap)
{
	const char *name = json_get_str(x->args, "name", "");

	if (strlen(name) > 63) {
		exchange_error(x, 404, "not_found", "there is no connector "
		    "%.80s", name);
		return false;
	}
	snprintf(out, cap, "connector.%s", name);
	return true;
}

bool
serve_expect(struct exchange *x, struct questions *q, size_t i)
{
	unsigned status = questions_status(q, i);
	struct json_object *body = questions_body(q, i);

	x->on_gone = NULL;
	if (status < 400)
		return true;
	exchange_fault(x, status, body);
	return false;
}

/* A worker is asked under its connector's name; that is the one to name. */
static bool
is_no_worker(struct exchange *x, struct questions *q)
{
	if (strcmp(x->route->target, "worker") != 0 ||
	    questions_status(q, 0) != 404 || strncmp(json_get_str(
	    questions_body(q, 0), "message", ""), "no process ", 11) != 0)
		return false;
	x->on_gone = NULL;
	exchange_error(x, 404, "not_found", "there is no connector %s",
	    json_get_str(x->args, "name", ""));
	return true;
}

static void
on_relayed(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *body = questions_body(q, 0);

	if (!is_no_worker(x, q) && serve_expect(x, q, 0))
		exchange_json(x, questions_status(q, 0),
		    body == NULL ? json_object_new_object() :
		    json_object_get(body));
}

static void
on_listed(struct questions *q, void *arg)
{
	struct exchange *x = arg;

	if (!is_no_worker(x, q) && serve_expect(x, q, 0))
		exchange_json(x, 200, page_new(questions_body(q, 0), x->args));
}

static void
ask_one(struct exchange *x, questions_done *done)
{
	const char *target = x->route->target;
	struct questions *q;
	char worker[80];

	if (strcmp(target, "worker") == 0) {
		if (!serve_worker(x, worker, sizeof(worker)))
			return;
		target = worker;
	}
	q = serve_questions(x, QUESTION_S, done);
	questions_add(q, "", target, x->route->op, x->args);
	questions_ask(q);
}

void
serve_relay(struct exchange *x)
{
	ask_one(x, on_relayed);
}

void
serve_list(struct exchange *x)
{
	ask_one(x, on_listed);
}

void
serve_connector_create(struct exchange *x)
{
	struct json_object *definition = json_member(x->args, "definition");
	const char *name = json_get_str(definition, "name", NULL);

	if (name != NULL)
		json_add_str(x->args, "name", name);
	ask_one(x, on_relayed);
}

void
serve_version(struct exchange *x)
{
	struct json_object *body = json_object_new_object();

	json_add_str(body, "version", BULKHEAD_VERSION);
	exchange_json(x, 200, body);
}

void
serve_openapi(struct exchange *x)
{
	exchange_json(x, 200, route_openapi(&table, BULKHEAD_VERSION));
}
