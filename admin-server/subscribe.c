#include "admin-server/subscribe.h"

#include "admin-server/live_json.h"
#include "admin-server/router_link.h"
#include "admin-server/serve.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/topic.h"

#include <stdlib.h>

#define FILTERS_MAX 64		/* of one subscriber */

struct subscriber {
	struct subscriber *next, **prev;
	struct exchange *x;
	uint64_t id;
	uint64_t seq;		/* begins once this was confirmed */
	bool has_begun;
	char *filters[FILTERS_MAX];
	size_t filter_count;
	uint64_t left;		/* messages until its end, 0 = no end */
	uint64_t dropped;
};

/* A filter that the router was told of, once for all who want it. */
struct wanted {
	struct wanted *next;
	char *filter;
	size_t count;
};

static struct {
	struct subscriber *first;
	struct wanted *wanted;
	uint64_t next_id;
	uint64_t seq, ok_seq;	/* of interest: sent, confirmed */
} subs = {.next_id = 1};

/* ---- interest -------------------------------------------------------------- */

static void
interest_send(struct ipc_batch *items)
{
	struct link *l = router_link_get();

	if (l == NULL)
		return;		/* the next link begins with all of it */
	link_put_interest(l, &(struct ipc_interest){.seq = ++subs.seq,
	    .items = ipc_batch_list(items)});
}

static void
interest_change(const char *filter, bool add)
{
	struct ipc_batch items = {0};

	ipc_add_interest_item(&items, &(struct ipc_interest_item){
	    .add = add, .filter = slice_str(filter)});
	interest_send(&items);
	buf_fini(&items.bytes);
}

static void
interest_add(const char *filter)
{
	struct wanted *w;

	for (w = subs.wanted; w != NULL; w = w->next)
		if (strcmp(w->filter, filter) == 0) {
			w->count++;
			return;
		}
	w = mem_zalloc(1, sizeof(*w));
	w->filter = mem_strdup(filter);
	w->count = 1;
	w->next = subs.wanted;
	subs.wanted = w;
	interest_change(filter, true);
}

static void
interest_remove(const char *filter)
{
	struct wanted **p, *w;

	for (p = &subs.wanted; (w = *p) != NULL; p = &w->next)
		if (strcmp(w->filter, filter) == 0)
			break;
	if (w == NULL || --w->count > 0)
		return;
	interest_change(filter, false);
	*p = w->next;
	free(w->filter);
	free(w);
}

void
subscribe_on_router(void)
{
	struct ipc_batch items = {0};
	struct subscriber *s;

	for (struct wanted *w = subs.wanted; w != NULL; w = w->next)
		ipc_add_interest_item(&items, &(struct ipc_interest_item){
		    .add = 1, .filter = slice_str(w->filter)});
	if (items.count > 0)
		interest_send(&items);
	buf_fini(&items.bytes);
	for (s = subs.first; s != NULL; s = s->next)
		if (!s->has_begun)
			s->seq = subs.seq;
}

/* ---- subscribers ------------------------------------------------------------ */

static void
subscriber_free(struct subscriber *s)
{
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	for (size_t i = 0; i < s->filter_count; i++) {
		interest_remove(s->filters[i]);
		free(s->filters[i]);
	}
	free(s);
}

static void
on_gone(struct exchange *x)
{
	subscriber_free(x->state);
}

static void
subscriber_end(struct subscriber *s)
{
	struct exchange *x = s->x;

	subscriber_free(s);
	x->on_gone = NULL;
	x->on_drain = NULL;
	exchange_end(x);
}

/* False when that was its last message. */
static bool
subscriber_send(struct subscriber *s, const struct ipc_deliver_item *item)
{
	struct buf line;

	if (exchange_backlog(s->x) > SUBSCRIBE_BACKLOG) {
		s->dropped++;
		return true;
	}
	buf_init(&line);
	if (s->dropped > 0)
		buf_addf(&line, "{\"dropped\":%llu}\n",
		    (unsigned long long)s->dropped);
	s->dropped = 0;
	live_json_add(&line, item);
	buf_add_str(&line, "\n");
	exchange_add(s->x, buf_slice(&line));
	buf_fini(&line);
	if (s->left == 0 || --s->left > 0)
		return true;
	subscriber_end(s);
	return false;
}

static void
ask_retained(struct subscriber *s)
{
	struct link *l = router_link_get();

	for (size_t i = 0; l != NULL && i < s->filter_count; i++)
		link_put_retained_get(l, &(struct ipc_retained_get){
		    .conn = s->id, .seq = i,
		    .filter = slice_str(s->filters[i])});
}

void
subscribe_on_ok(uint64_t seq)
{
	if (seq > subs.ok_seq)
		subs.ok_seq = seq;
	for (struct subscriber *s = subs.first; s != NULL; s = s->next) {
		if (s->has_begun || s->seq > seq)
			continue;
		s->has_begun = true;
		exchange_begin(s->x, "application/x-ndjson");
		if (json_get_bool(s->x->args, "retained", false))
			ask_retained(s);
	}
}

static bool
subscriber_wants(const struct subscriber *s, struct slice topic)
{
	for (size_t i = 0; i < s->filter_count; i++)
		if (topic_match(slice_str(s->filters[i]), topic))
			return true;
	return false;
}

void
subscribe_on_message(const struct ipc_deliver_item *item)
{
	struct subscriber *s, *next;

	for (s = subs.first; s != NULL; s = next) {
		next = s->next;
		if (s->has_begun && subscriber_wants(s, item->topic))
			subscriber_send(s, item);
	}
}

void
subscribe_on_retained(uint64_t id, const struct ipc_deliver_item *item)
{
	for (struct subscriber *s = subs.first; s != NULL; s = s->next)
		if (s->id == id) {
			subscriber_send(s, item);
			return;
		}
}

/* What is wrong with the filters of a request, or NULL. */
static const char *
filters_check(struct json_object *list)
{
	struct slice group, rest, filter;
	const char *why;
	size_t n = 0;

	if (json_object_is_type(list, json_type_array))
		n = json_object_array_length(list);
	if (n == 0)
		return "is wanted: one topic filter at least";
	if (n > FILTERS_MAX)
		return "are too many: 64 at most";
	for (size_t i = 0; i < n; i++) {
		filter = slice_str(json_object_get_string(
		    json_object_array_get_idx(list, i)));
		if (filter_share(filter, &group, &rest))
			return "cannot be shared here";
		if ((why = filter_check(filter)) != NULL)
			return why;
	}
	return NULL;
}

void
serve_subscribe(struct exchange *x)
{
	struct json_object *list = json_member(x->args, "filter");
	const char *why = filters_check(list);
	struct subscriber *s;

	if (why != NULL) {
		exchange_error(x, 400, "invalid", "filter %s", why);
		return;
	}
	s = mem_zalloc(1, sizeof(*s));
	s->x = x;
	s->id = subs.next_id++;
	s->left = json_get_u64(x->args, "limit", 0);
	s->next = subs.first;
	s->prev = &subs.first;
	if (s->next != NULL)
		s->next->prev = &s->next;
	subs.first = s;
	x->state = s;
	x->on_gone = on_gone;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		s->filters[s->filter_count++] = mem_strdup(
		    json_object_get_string(json_object_array_get_idx(list, i)));
		interest_add(s->filters[i]);
	}
	/* Without a link the next one says which answer confirms it. */
	s->seq = router_link_get() == NULL ? UINT64_MAX : subs.seq;
	subscribe_on_ok(subs.ok_seq);
}
