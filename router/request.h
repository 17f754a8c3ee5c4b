/*
 * request - answers to cold questions of the command and the API, in JSON.
 *
 * Lists answer {items, cursor}: at most `limit` of them (1000), from
 * `cursor` on. What changes anything answers after its commit.
 */
#ifndef ROUTER_REQUEST_H
#define ROUTER_REQUEST_H

#include "base/slice.h"

#include <json-c/json.h>

void request_take(uint64_t id, struct slice op, struct json_object *args);

/* One function per operation, by request.def. */
#define REQUEST(op, function) \
	void request_##function(uint64_t id, struct json_object *args);
#include "router/request.def"
#undef REQUEST

/* Answers {} once all that was gathered is committed. */
void request_reply_committed(uint64_t id);

/* A page of a list that is being made. */
struct page {
	struct json_object *items;
	size_t at, first, limit;
	bool has_more;
};
void page_init(struct page *p, struct json_object *args);
/* Whether the next one of the list is wanted; counts it. */
bool page_wants(struct page *p);
void page_reply(struct page *p, uint64_t id);

#endif
