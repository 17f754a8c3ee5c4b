#include "admin-server/serve.h"

#include "admin-server/prometheus.h"
#include "admin-server/router_link.h"
#include "admin-server/server.h"
#include "base/json.h"
#include "base/metrics.h"

#include <stdio.h>
#include <sys/statvfs.h>

#define HEALTH_S 3.
#define METRICS_S 3.
/* What the router keeps back; below it nothing is captured. */
#define DISK_MIN ((uint64_t)16 << 20)

void
serve_health_live(struct exchange *x)
{
	exchange_text(x, 200, "text/plain; charset=utf-8", SLICE_LIT("ok\n"));
}

static void
check_add(struct json_object *body, const char *name, bool ok,
    const char *message)
{
	struct json_object *check = json_object_new_object();

	json_add_str(check, "name", name);
	json_add_bool(check, "ok", ok);
	json_object_object_add(check, "message",
	    ok ? NULL : json_object_new_string(message));
	json_object_array_add(json_member(body, "checks"), check);
	if (!ok)
		json_add_bool(body, "ready", false);
}

/* A listener is ready while its acceptor runs. */
static void
check_processes(struct json_object *body, struct json_object *list)
{
	struct json_object *p;
	const char *kind, *state;

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		kind = json_get_str(p, "kind", "");
		state = json_get_str(p, "state", "");
		if (strcmp(kind, "router") != 0 && strcmp(kind, "acceptor") != 0)
			continue;
		check_add(body, json_get_str(p, "name", ""),
		    strcmp(state, "running") == 0,
		    json_get_str(p, "reason", state));
	}
}

static void
check_disk(struct json_object *body)
{
	struct statvfs s;
	bool known = statvfs(".", &s) == 0;

	check_add(body, "disk", known && (uint64_t)s.f_bavail * s.f_frsize >=
	    DISK_MIN, known ? "no space is left for new messages" :
	    "the data folder cannot be examined");
}

static void
on_status(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *body = json_object_new_object();
	struct json_object *list;

	x->on_gone = NULL;
	json_add_bool(body, "ready", true);
	json_object_object_add(body, "checks", json_object_new_array());
	list = json_member(questions_body(q, 0), "processes");
	if (questions_status(q, 0) < 400 &&
	    json_object_is_type(list, json_type_array))
		check_processes(body, list);
	else
		check_add(body, "supervisor", false, "it does not answer");
	check_add(body, "router_link", router_link_is_up(),
	    "the router is not reached");
	check_disk(body);
	exchange_json(x, json_get_bool(body, "ready", false) ? 200 : 503,
	    body);
}

void
serve_health_ready(struct exchange *x)
{
	struct questions *q = serve_questions(x, HEALTH_S, on_status);

	questions_add(q, "", "supervisor", "status", NULL);
	questions_ask(q);
}

/* ---- metrics ----------------------------------------------------------------- */

static void
own_metrics(struct prometheus *p)
{
	struct json_object *m = metrics_new();

	metrics_counter(m, "bulkhead_admin_requests_total",
	    "Requests that the API has served.", server_requests(), NULL);
	metrics_gauge(m, "bulkhead_admin_connections",
	    "Open connections of the API.", (double)server_connections(),
	    NULL);
	prometheus_add(p, "admin", m);
	json_object_put(m);
}

static void
on_metrics(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct prometheus *p = prometheus_new();
	struct buf text;

	x->on_gone = NULL;
	for (size_t i = 0; i < questions_count(q); i++)
		if (questions_status(q, i) < 400)
			prometheus_add(p, questions_about(q, i),
			    questions_body(q, i));
	own_metrics(p);
	buf_init(&text);
	prometheus_print(p, &text);
	prometheus_free(p);
	exchange_text(x, 200, "text/plain; version=0.0.4; charset=utf-8",
	    buf_slice(&text));
	buf_fini(&text);
}

static void
on_processes(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *list, *p;
	struct questions *next;
	const char *name;

	if (!serve_expect(x, q, 0))
		return;
	list = json_member(questions_body(q, 0), "processes");
	next = serve_questions(x, METRICS_S, on_metrics);
	questions_add(next, "supervisor", "supervisor", "metrics", NULL);
	for (size_t i = 0; json_object_is_type(list, json_type_array) &&
	    i < json_object_array_length(list); i++) {
		p = json_object_array_get_idx(list, i);
		name = json_get_str(p, "name", "");
		if (strcmp(json_get_str(p, "kind", ""), "admin") != 0)
			questions_add(next, name, name, "metrics", NULL);
	}
	questions_ask(next);
}

void
serve_metrics(struct exchange *x)
{
	struct questions *q = serve_questions(x, METRICS_S, on_processes);

	questions_add(q, "", "supervisor", "status", NULL);
	questions_ask(q);
}
