#include "router/request.h"

#include "base/json.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/commit.h"

#include <stdio.h>

#define PAGE_LIMIT 1000

static const struct {
	const char *op;
	void (*answer)(uint64_t id, struct json_object *args);
} requests[] = {
#define REQUEST(op, function) {op, request_##function},
#include "router/request.def"
#undef REQUEST
};

void
request_take(uint64_t id, struct slice op, struct json_object *args)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (!slice_is(op, requests[i].op))
			continue;
		requests[i].answer(id, args);
		return;
	}
	proc_reply_error(id, 404, "unknown_operation",
	    "the router does not know %.*s", SLICE_ARG(op));
}

static void
after_change(struct after *a)
{
	proc_reply(a->request, 200, json_object_new_object());
}

void
request_reply_committed(uint64_t id)
{
	struct after *a = mem_zalloc(1, sizeof(*a));

	a->run = after_change;
	a->request = id;
	commit_after(a);
}

void
page_init(struct page *p, struct json_object *args)
{
	*p = (struct page){
	    .items = json_object_new_array(),
	    .first = (size_t)json_get_u64(args, "cursor", 0),
	    .limit = (size_t)json_get_u64(args, "limit", PAGE_LIMIT),
	};
	if (p->limit == 0 || p->limit > PAGE_LIMIT)
		p->limit = PAGE_LIMIT;
}

bool
page_wants(struct page *p)
{
	size_t i = p->at++;

	if (i < p->first)
		return false;
	if (i - p->first < p->limit)
		return true;
	p->has_more = true;
	return false;
}

void
page_reply(struct page *p, uint64_t id)
{
	struct json_object *body = json_object_new_object();
	char cursor[24];

	json_object_object_add(body, "items", p->items);
	snprintf(cursor, sizeof(cursor), "%zu", p->first + p->limit);
	if (p->has_more)
		json_add_str(body, "cursor", cursor);
	else
		json_object_object_add(body, "cursor", NULL);
	proc_reply(id, 200, body);
}
