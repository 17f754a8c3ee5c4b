#include "admin-server/serve.h"

#include "admin-server/page.h"
#include "base/json.h"
#include "base/units.h"

#include <stdio.h>

#define SHOW_S 5.

/* ---- show ------------------------------------------------------------------ */

/* What the contract names, in its order, with what an absent worker gives. */
static const struct {
	const char *name;
	const char *absent;
} members[] = {
	{"name", "null"}, {"type", "null"}, {"definition", "{}"},
	{"state", "\"stopped\""}, {"reason", "null"}, {"since", "null"},
	{"stream", "null"}, {"offsets", "{}"}, {"lag", "null"},
	{"counters", "{\"matched\":0,\"delivered\":0,\"retried\":0,"
	    "\"discarded\":0,\"dlq\":0,\"filtered\":0}"},
	{"rates", "{}"}, {"last_error", "null"}, {"last_success", "null"},
	{"in_flight", "0"},
};

/* Members of from that o does not have yet. */
static void
add_others(struct json_object *o, struct json_object *from)
{
	if (!json_object_is_type(from, json_type_object))
		return;
	json_object_object_foreach(from, key, v)
		if (!json_object_object_get_ex(o, key, NULL))
			json_object_object_add(o, key, json_object_get(v));
}

/* The worker knows best; the supervisor says what no worker can. */
static struct json_object *
show_merge(struct json_object *supervisor, struct json_object *worker)
{
	struct json_object *o = json_object_new_object(), *v;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		v = json_member(worker, members[i].name);
		if (v == NULL)
			v = json_member(supervisor, members[i].name);
		json_object_object_add(o, members[i].name, v != NULL ?
		    json_object_get(v) :
		    json_parse(slice_str(members[i].absent)));
	}
	v = json_member(o, "reason");
	if (json_object_is_type(v, json_type_string) &&
	    json_object_get_string_len(v) == 0)
		json_object_object_add(o, "reason", NULL);
	add_others(o, worker);
	add_others(o, supervisor);
	return o;
}

static struct json_object *
answer_of(struct questions *q, size_t i)
{
	return questions_status(q, i) < 400 ? questions_body(q, i) : NULL;
}

static void
on_shown(struct questions *q, void *arg)
{
	struct exchange *x = arg;

	if (serve_expect(x, q, 0))
		exchange_json(x, 200,
		    show_merge(questions_body(q, 0), answer_of(q, 1)));
}

static void
ask_show(struct exchange *x, questions_done *done)
{
	struct questions *q;
	char worker[80];

	if (!serve_worker(x, worker, sizeof(worker)))
		return;
	q = serve_questions(x, SHOW_S, done);
	questions_add(q, "", "supervisor", "connector.show", x->args);
	questions_add(q, "", worker, "show", NULL);
	questions_ask(q);
}

void
serve_connector_show(struct exchange *x)
{
	ask_show(x, on_shown);
}

/* ---- list ------------------------------------------------------------------ */

static void
row_add_worker(struct json_object *row, struct json_object *worker)
{
	static const char *const names[] = {"state", "reason", "since", "lag",
	    "counters", "last_error", "last_success"};
	struct json_object *v;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		v = json_member(worker, names[i]);
		if (v != NULL)
			json_object_object_add(row, names[i],
			    json_object_get(v));
		else if (!json_object_object_get_ex(row, names[i], NULL))
			json_object_object_add(row, names[i], NULL);
	}
}

/* The first answer is the page of connectors, the others their workers'. */
static void
on_workers_shown(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *page = json_member(x->args, "page");
	struct json_object *rows = json_member(page, "items"), *row;

	x->on_gone = NULL;
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		row_add_worker(row, answer_of(q, i));
	}
	exchange_json(x, 200, json_object_get(page));
}

static void
on_connectors_listed(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *page, *rows;
	struct questions *next;
	char worker[128];

	if (!serve_expect(x, q, 0))
		return;
	page = page_new(questions_body(q, 0), x->args);
	json_object_object_add(x->args, "page", page);
	rows = json_member(page, "items");
	next = serve_questions(x, SHOW_S, on_workers_shown);
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		snprintf(worker, sizeof(worker), "connector.%.63s",
		    json_get_str(json_object_array_get_idx(rows, i), "name",
		    ""));
		questions_add(next, "", worker, "show", NULL);
	}
	questions_ask(next);
}

void
serve_connector_list(struct exchange *x)
{
	struct questions *q = serve_questions(x, QUESTION_S,
	    on_connectors_listed);

	questions_add(q, "", "supervisor", "connector.list", NULL);
	questions_ask(q);
}

/* ---- reset ------------------------------------------------------------------ */

static const char *
reset_to(const struct exchange *x)
{
	struct json_object *to = json_member(x->args, "to");

	return to == NULL ? "" : json_object_get_string(to);
}

static void
on_reset(struct questions *q, void *arg)
{
	struct exchange *x = arg;

	if (serve_expect(x, q, 0))
		exchange_json(x, 200, json_object_get(questions_body(q, 0)));
}

/* The router's offsets, each replaced by the number that was asked for. */
static struct json_object *
reset_partitions(const struct exchange *x, struct json_object *offsets)
{
	struct json_object *only = json_member(x->args, "partition");
	struct json_object *out = json_object_new_object();
	int64_t to;
	bool is_number = int_parse(reset_to(x), &to);

	json_object_object_foreach(offsets, key, v) {
		if (only != NULL &&
		    strcmp(key, json_object_get_string(only)) != 0)
			continue;
		json_object_object_add(out, key, is_number ?
		    json_new_u64((uint64_t)to) : json_object_get(v));
	}
	return out;
}

static void
on_offsets(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *offsets, *args, *partitions;
	struct questions *next;
	char worker[80];

	if (!serve_expect(x, q, 0) || !serve_worker(x, worker, sizeof(worker)))
		return;
	offsets = json_member(questions_body(q, 0), "partitions");
	partitions = json_object_is_type(offsets, json_type_object) ?
	    reset_partitions(x, offsets) : json_object_new_object();
	if (json_object_object_length(partitions) == 0) {
		json_object_put(partitions);
		exchange_error(x, 404, "not_found", "its stream has no such "
		    "partition");
		return;
	}
	args = json_object_new_object();
	json_object_object_add(args, "partitions", partitions);
	json_object_object_add(args, "incarnation", json_object_get(
	    json_member(questions_body(q, 0), "incarnation")));
	next = serve_questions(x, QUESTION_S, on_reset);
	questions_add(next, "", worker, "reset", args);
	questions_ask(next);
	json_object_put(args);
}

static void
on_reset_shown(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *shown, *args;
	struct questions *next;
	const char *stream, *state;
	int64_t number;

	if (!serve_expect(x, q, 0) || !serve_expect(x, q, 1))
		return;
	shown = show_merge(questions_body(q, 0), questions_body(q, 1));
	state = json_get_str(shown, "state", "");
	stream = json_get_str(shown, "stream", json_get_str(
	    json_member(shown, "definition"), "stream", ""));
	if (strcmp(state, "paused") != 0) {
		exchange_error(x, 409, "not_paused", "connector %s is %s: "
		    "pause it before it is reset",
		    json_get_str(x->args, "name", ""), state);
		json_object_put(shown);
		return;
	}
	args = json_object_new_object();
	json_add_str(args, "stream", stream);
	json_add_str(args, "start", int_parse(reset_to(x), &number) ?
	    "earliest" : reset_to(x));
	next = serve_questions(x, QUESTION_S, on_offsets);
	questions_add(next, "", "router", "stream.offsets", args);
	questions_ask(next);
	json_object_put(args);
	json_object_put(shown);
}

void
serve_connector_reset(struct exchange *x)
{
	int64_t number;

	if (reset_to(x)[0] == '\0' ||
	    (int_parse(reset_to(x), &number) && number < 0)) {
		exchange_error(x, 400, "invalid", "`to` must be earliest, "
		    "latest, an offset or an RFC 3339 time");
		return;
	}
	ask_show(x, on_reset_shown);
}
