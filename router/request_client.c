#include "router/request.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/props.h"
#include "ipc/proc.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/publish.h"
#include "router/retained.h"
#include "router/route.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/stream.h"
#include "router/commit.h"

static void
add_time(struct json_object *o, const char *key, uint64_t wall_ms)
{
	char text[32];

	if (wall_ms == 0 || wall_ms == UINT64_MAX)
		json_object_object_add(o, key, NULL);
	else
		json_add_str(
		    o, key, clock_rfc3339(wall_ms, text, sizeof(text)));
}

/* ---- clients ------------------------------------------------------------ */

static struct json_object *
client_json(const struct conn *c)
{
	struct json_object *o = json_object_new_object();

	json_add_slice(o, "client_id", conn_client(c));
	json_add_str(o, "protocol", conn_protocol(c));
	json_add_slice(o, "address", conn_address(c));
	if (c->has_username)
		json_add_slice(o, "username", conn_username(c));
	else
		json_object_object_add(o, "username", NULL);
	json_add_str(o, "session", c->session == NULL ? "clean" : "persistent");
	json_add_u64(o, "keepalive_s", c->keepalive_s);
	add_time(o, "connected_at", c->connected_s * UINT64_C(1000));
	json_add_str(o, "process", conn_home(c)->name);
	return o;
}

void
request_client_list(uint64_t id, struct json_object *args)
{
	struct page page;
	struct conn *c;

	page_init(&page, args);
	for (size_t i = 0; (c = conns_next(&i)) != NULL;)
		if (page_wants(&page))
			json_object_array_add(page.items, client_json(c));
	page_reply(&page, id);
}

static struct conn *
conn_named(uint64_t id, struct json_object *args)
{
	const char *name = json_get_str(args, "client_id", "");
	struct conn *c = conn_by_client(slice_str(name));

	if (c == NULL)
		proc_reply_error(id, 404, "no_such_client",
		    "no client %s is connected", name);
	return c;
}

static void
add_session(struct json_object *o, const struct session *s)
{
	struct json_object *subs = json_object_new_array();
	uint64_t expires = session_expires_ms(s);

	for (uint32_t i = 0; i < s->subs_len; i++)
		json_object_array_add(
		    subs, json_object_new_string_len(
			      s->subs[i]->text, s->subs[i]->len));
	json_object_object_add(o, "subscriptions", subs);
	json_add_u64(o, "queued", s->queue.count);
	json_add_u64(o, "queued_bytes", s->queue.bytes);
	json_add_u64(o, "in_flight", s->queue.in_flight);
	json_add_u64(o, "dropped", s->dropped);
	json_add_u64(o, "expiry_s", s->expiry_s);
	add_time(o, "expires_at", expires);
}

void
request_client_show(uint64_t id, struct json_object *args)
{
	struct conn *c = conn_named(id, args);
	struct json_object *o;

	if (c == NULL)
		return;
	o = client_json(c);
	json_add_u64(o, "receive_maximum", c->receive_max);
	json_add_bool(o, "has_will", c->will != NULL);
	if (c->session != NULL)
		add_session(o, c->session);
	proc_reply(id, 200, o);
}

void
request_client_kick(uint64_t id, struct json_object *args)
{
	struct conn *c = conn_named(id, args);

	if (c == NULL)
		return;
	conn_kick(c, REASON_ADMINISTRATIVE);
	request_reply_committed(id);
}

/* ---- sessions ----------------------------------------------------------- */

static struct json_object *
session_json(const struct session *s)
{
	struct json_object *o = json_object_new_object();

	json_add_slice(o, "client_id", session_client(s));
	json_add_bool(o, "connected", s->conn != NULL);
	add_time(o, "created_at", s->created_ms);
	add_session(o, s);
	return o;
}

void
request_session_list(uint64_t id, struct json_object *args)
{
	struct session *s;
	struct page page;

	page_init(&page, args);
	for (size_t i = 0; (s = sessions_next(&i)) != NULL;)
		if (page_wants(&page))
			json_object_array_add(page.items, session_json(s));
	page_reply(&page, id);
}

void
request_session_delete(uint64_t id, struct json_object *args)
{
	const char *name = json_get_str(args, "client_id", "");
	struct session *s = session_by_client(slice_str(name));

	if (s == NULL) {
		proc_reply_error(id, 404, "no_such_session",
		    "there is no persistent session of %s", name);
		return;
	}
	session_end(s, REASON_ADMINISTRATIVE);
	request_reply_committed(id);
}

static struct json_object *
sub_json(const struct sub *sub)
{
	struct json_object *o = json_object_new_object();

	json_add_slice(o, "filter", slice_of(sub->text, sub->len));
	json_add_slice(o, "client_id", session_client(sub->session));
	json_add_u64(o, "qos", sub->options & SUB_QOS);
	if (sub->session->conn == NULL)
		json_object_object_add(o, "process", NULL);
	else
		json_add_str(o, "process", conn_home(sub->session->conn)->name);
	return o;
}

void
request_sub_list(uint64_t id, struct json_object *args)
{
	struct session *s;
	struct page page;

	page_init(&page, args);
	for (size_t i = 0; (s = sessions_next(&i)) != NULL;)
		for (uint32_t k = 0; k < s->subs_len; k++)
			if (page_wants(&page))
				json_object_array_add(
				    page.items, sub_json(s->subs[k]));
	page_reply(&page, id);
}

/* ---- retained messages -------------------------------------------------- */

static bool
list_retained(const struct retained *r, void *arg)
{
	struct page *page = arg;
	struct json_object *o;

	if (!page_wants(page))
		return !page->has_more;
	o = json_object_new_object();
	json_add_slice(o, "topic", r->topic);
	json_add_u64(o, "qos", r->flags & MSG_QOS);
	json_add_u64(o, "size_bytes", r->payload.len);
	add_time(o, "timestamp", r->timestamp_ms);
	add_time(o, "expires_at", r->expires_ms);
	json_object_array_add(page->items, o);
	return true;
}

void
request_retained_list(uint64_t id, struct json_object *args)
{
	struct page page;

	page_init(&page, args);
	retained_walk(
	    slice_str(json_get_str(args, "filter", "#")), list_retained, &page);
	page_reply(&page, id);
}

void
request_retained_delete(uint64_t id, struct json_object *args)
{
	const char *topic = json_get_str(args, "topic", "");

	if (!retained_delete(slice_str(topic)))
		proc_reply_error(id, 404, "no_such_message",
		    "there is no retained message of %s", topic);
	else
		request_reply_committed(id);
}
