#include "admin-server/serve.h"

#include "base/json.h"

#include <stdio.h>

/* Connectors, section 3: the ledger. */
static const char *const members[] = {"matched", "delivered", "dlq",
    "discarded", "filtered", "expired", "damaged", "skipped", "pending",
    "unaccounted"};

#define MEMBERS (sizeof(members) / sizeof(members[0]))

static struct json_object *
row_new(const char *name, unsigned status, struct json_object *body)
{
	struct json_object *row = json_object_new_object();

	json_add_str(row, "name", name);
	if (status >= 400) {
		json_add_str(row, "error",
		    json_get_str(body, "message", "no answer"));
		return row;
	}
	if (json_object_is_type(body, json_type_object)) {
		json_object_object_foreach(body, key, v)
			json_object_object_add(row, key, json_object_get(v));
	}
	return row;
}

static void
on_audited(struct questions *q, void *arg)
{
	struct exchange *x = arg;

	if (serve_expect(x, q, 0))
		exchange_json(x, 200, row_new(json_get_str(x->args, "name",
		    ""), 200, questions_body(q, 0)));
}

void
serve_audit(struct exchange *x)
{
	struct questions *q;
	char worker[80];

	if (!serve_worker(x, worker, sizeof(worker)))
		return;
	q = serve_questions(x, QUESTION_LONG_S, on_audited);
	questions_add(q, "", worker, "audit", NULL);
	questions_ask(q);
}

static void
on_all_audited(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *body = json_object_new_object();
	struct json_object *rows = json_object_new_array(), *row, *v;
	int64_t sums[MEMBERS] = {0};

	x->on_gone = NULL;
	for (size_t i = 0; i < questions_count(q); i++) {
		row = row_new(questions_about(q, i), questions_status(q, i),
		    questions_body(q, i));
		for (size_t k = 0; k < MEMBERS; k++) {
			v = json_member(row, members[k]);
			sums[k] += v == NULL ? 0 : json_object_get_int64(v);
		}
		json_object_array_add(rows, row);
	}
	for (size_t k = 0; k < MEMBERS; k++)
		json_object_object_add(body, members[k],
		    json_object_new_int64(sums[k]));
	json_object_object_add(body, "connectors", rows);
	exchange_json(x, 200, body);
}

static void
on_connectors(struct questions *q, void *arg)
{
	struct exchange *x = arg;
	struct json_object *list, *row;
	struct questions *next;
	const char *name;
	char worker[80];

	if (!serve_expect(x, q, 0))
		return;
	list = questions_body(q, 0);
	if (json_object_is_type(list, json_type_object))
		list = json_member(list, "items");
	next = serve_questions(x, QUESTION_LONG_S, on_all_audited);
	for (size_t i = 0; json_object_is_type(list, json_type_array) &&
	    i < json_object_array_length(list); i++) {
		row = json_object_array_get_idx(list, i);
		name = json_get_str(row, "name", "");
		snprintf(worker, sizeof(worker), "connector.%.63s", name);
		questions_add(next, name, worker, "audit", NULL);
	}
	questions_ask(next);
}

void
serve_audit_all(struct exchange *x)
{
	struct questions *q = serve_questions(x, QUESTION_S, on_connectors);

	questions_add(q, "", "supervisor", "connector.list", NULL);
	questions_ask(q);
}
