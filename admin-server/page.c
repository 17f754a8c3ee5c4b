#include "admin-server/page.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

/* The array in an answer: itself, `items`, or the first member that is one. */
static struct json_object *
rows_of(struct json_object *body)
{
	struct json_object *items;

	if (json_object_is_type(body, json_type_array))
		return body;
	if (!json_object_is_type(body, json_type_object))
		return NULL;
	items = json_member(body, "items");
	if (json_object_is_type(items, json_type_array))
		return items;
	json_object_object_foreach(body, key, v) {
		(void)key;
		if (json_object_is_type(v, json_type_array))
			return v;
	}
	return NULL;
}

static struct json_object *
cursor_of(struct json_object *body)
{
	struct json_object *cursor;

	if (!json_object_is_type(body, json_type_object))
		return NULL;
	cursor = json_member(body, "cursor");
	return cursor != NULL ? cursor : json_member(body, "next_cursor");
}

struct json_object *
page_new(struct json_object *body, struct json_object *args)
{
	struct json_object *page = json_object_new_object();
	struct json_object *items = json_object_new_array();
	struct json_object *rows = rows_of(body), *cursor = cursor_of(body);
	size_t n = rows == NULL ? 0 : json_object_array_length(rows);
	size_t limit = (size_t)json_get_u64(args, "limit", PAGE_LIMIT);
	size_t first = 0, end;
	char next[24];
	bool is_paged = json_object_is_type(body, json_type_object) &&
	    (json_object_object_get_ex(body, "cursor", NULL) ||
		json_object_object_get_ex(body, "next_cursor", NULL));

	if (limit == 0 || limit > PAGE_LIMIT_MAX)
		limit = PAGE_LIMIT_MAX;
	if (!is_paged)
		first = (size_t)json_get_u64(args, "cursor", 0);
	if (first > n)
		first = n;
	end = is_paged || n - first < limit ? n : first + limit;
	for (size_t i = first; i < end; i++)
		json_object_array_add(items, json_object_get(
		    json_object_array_get_idx(rows, i)));
	json_object_object_add(page, "items", items);
	if (is_paged) {
		json_object_object_add(page, "cursor",
		    json_object_get(cursor));
	} else if (end < n) {
		snprintf(next, sizeof(next), "%zu", end);
		json_add_str(page, "cursor", next);
	} else {
		json_object_object_add(page, "cursor", NULL);
	}
	return page;
}
