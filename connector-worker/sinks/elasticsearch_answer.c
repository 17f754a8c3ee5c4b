#include "connector-worker/sinks/elasticsearch_answer.h"

#include "base/json_text.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/http_answer.h"

static bool
member_find(struct slice object, const char *want, struct slice *value)
{
	struct slice name;
	size_t at = 0;

	if (json_kind_of(object) != JSON_OBJECT)
		return false;
	while (json_member_next(object, &at, &name, value))
		if (json_string_is(name, slice_str(want)))
			return true;
	return false;
}

bool
elasticsearch_items(struct slice body, struct slice *items)
{
	struct slice whole;

	return json_value(body, &whole) && member_find(whole, "items", items) &&
	       json_kind_of(*items) == JSON_ARRAY;
}

static long
status_of(struct slice value)
{
	long n = 0;

	if (value.len != 3)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return 0;
		n = n * 10 + (value.p[i] - '0');
	}
	return n;
}

bool
elasticsearch_item_next(
    struct slice items, size_t *at, struct elasticsearch_item *item)
{
	struct slice name, row, result, value;
	size_t first = 0;

	*item = (struct elasticsearch_item){0};
	if (!json_member_next(items, at, &name, &row))
		return false;
	if (json_kind_of(row) != JSON_OBJECT ||
	    !json_member_next(row, &first, &name, &result))
		return true;
	if (member_find(result, "status", &value))
		item->status = status_of(value);
	if (!member_find(result, "error", &value))
		return true;
	if (json_kind_of(value) == JSON_STRING) {
		item->message = value;
		return true;
	}
	if (!member_find(value, "type", &item->type) ||
	    json_kind_of(item->type) != JSON_STRING)
		item->type = SLICE_NULL;
	if (!member_find(value, "reason", &item->message) ||
	    json_kind_of(item->message) != JSON_STRING)
		item->message = SLICE_NULL;
	return true;
}

enum sink_outcome
elasticsearch_outcome(long status, bool is_create)
{
	if (status == 409)
		return is_create ? SINK_DELIVERED : SINK_RETRYABLE;
	if (status == 404) /* the index may not be made by itself */
		return SINK_UNAVAILABLE;
	return http_answer_outcome(status);
}

static void
reason_make(const struct elasticsearch_item *item, struct buf *reason)
{
	struct buf text;

	buf_init(&text);
	buf_clear(reason);
	buf_addf(reason, "status %ld", item->status);
	if (!slice_is_null(item->type)) {
		json_add_unquoted(&text, item->type);
		buf_add_str(reason, ", ");
		excerpt_add(reason, buf_slice(&text), 100);
	}
	if (!slice_is_null(item->message)) {
		buf_clear(&text);
		json_add_unquoted(&text, item->message);
		buf_add_str(reason, ": ");
		excerpt_add(reason, buf_slice(&text), 300);
	}
	buf_fini(&text);
}

struct http_verdict
elasticsearch_judge(struct http_run *run, long status, struct slice body,
    bool is_create, struct buf *reason)
{
	struct elasticsearch_item item;
	struct slice items;
	size_t at = 0, i = 0;
	struct buf text;

	if (status < 200 || status > 299)
		return http_batch_judge(status);
	buf_init(&text);
	if (elasticsearch_items(body, &items)) {
		for (; i < run->count &&
		       elasticsearch_item_next(items, &at, &item);
		     i++) {
			enum sink_outcome outcome =
			    elasticsearch_outcome(item.status, is_create);

			if (outcome != SINK_DELIVERED)
				reason_make(&item, &text);
			http_run_answer(run, i, outcome,
			    outcome == SINK_DELIVERED ? NULL : buf_cstr(&text));
		}
	}
	buf_fini(&text);
	if (i < run->count)
		buf_addf(reason, "the answer speaks of %zu of %zu documents", i,
		    run->count);
	return (struct http_verdict){
	    .outcome = i < run->count ? SINK_UNSURE : SINK_DELIVERED};
}
