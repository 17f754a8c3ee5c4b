#include "admin-server/router_link.h"
#include "admin-server/serve.h"
#include "admin-server/subscribe.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/topic.h"
#include "ipc/proc.h"

#include <stdio.h>
#include <stdlib.h>

#define TAKEN_S 30.			/* until the router must have it */
#define BATCH_MAX ((size_t)15 << 20)	/* one frame */
#define MESSAGES_MAX 10000

/* A request that waits for the router. */
struct publishing {
	struct exchange *x;
	struct outbox_batch *batch;
	ev_timer timer;
};

/* One message as it is read from JSON. */
struct message {
	struct buf payload, props;
	struct ipc_publish_item item;
};

static bool
bad(struct exchange *x, size_t i, const char *name, const char *why)
{
	exchange_error(x, 400, "invalid", "messages[%zu].%s %s", i, name, why);
	return false;
}

/* ---- reading --------------------------------------------------------------- */

static bool
add_header(struct buf *props, const char *name, struct json_object *v)
{
	if (json_object_is_type(v, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(v); i++)
			if (!add_header(props, name,
			    json_object_array_get_idx(v, i)))
				return false;
		return true;
	}
	if (!json_object_is_type(v, json_type_string) ||
	    strlen(name) > UINT16_MAX)
		return false;
	props_add_header(props, slice_str(name), slice_of(
	    json_object_get_string(v), (size_t)json_object_get_string_len(v)));
	return true;
}

static bool
read_props(struct json_object *o, struct buf *props)
{
	static const struct {
		const char *name;
		enum prop_tag tag;
	} texts[] = {{"content_type", PROP_CONTENT_TYPE},
	    {"response_topic", PROP_RESPONSE_TOPIC},
	    {"correlation_data", PROP_CORRELATION}};
	struct json_object *headers = json_member(o, "headers");
	const char *text;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		text = json_get_str(o, texts[i].name, NULL);
		if (text != NULL)
			props_add(props, texts[i].tag, slice_str(text));
	}
	if (headers == NULL)
		return true;
	if (!json_object_is_type(headers, json_type_object))
		return false;
	json_object_object_foreach(headers, name, v)
		if (!add_header(props, name, v))
			return false;
	return true;
}

/* A string as it is; any other JSON value as its text. */
static bool
read_payload(struct json_object *o, struct buf *payload)
{
	const char *base64 = json_get_str(o, "payload_base64", NULL);
	struct json_object *v = json_member(o, "payload");

	if (base64 != NULL)
		return v == NULL && base64_decode(payload, slice_str(base64));
	if (json_object_is_type(v, json_type_string))
		buf_add(payload, json_object_get_string(v),
		    (size_t)json_object_get_string_len(v));
	else if (v != NULL)
		buf_add_slice(payload, json_text(v));
	return true;
}

static bool
message_read(struct exchange *x, size_t i, struct json_object *o,
    struct message *m)
{
	struct ipc_publish_item *item = &m->item;
	uint64_t qos = json_get_u64(o, "qos", 0);
	uint64_t expiry_s = json_get_u64(o, "expiry_s", 0);
	const char *why;

	item->topic = slice_str(json_get_str(o, "topic", ""));
	if ((why = topic_check(item->topic)) != NULL)
		return bad(x, i, "topic", why);
	if (qos > 2)
		return bad(x, i, "qos", "must be 0, 1 or 2");
	if (!read_payload(o, &m->payload))
		return bad(x, i, "payload_base64", "is not base64, or stands "
		    "beside payload");
	if (!read_props(o, &m->props))
		return bad(x, i, "headers", "must be an object of strings");
	item->payload = buf_slice(&m->payload);
	item->props = buf_slice(&m->props);
	item->flags = (uint8_t)(qos |
	    (json_get_bool(o, "retain", false) ? MSG_RETAIN : 0));
	item->timestamp_ms = clock_wall_ms();
	if (expiry_s > 0 && expiry_s <= UINT32_MAX)
		item->expires_ms = item->timestamp_ms + expiry_s * 1000;
	item->client_id = slice_str(json_get_str(o, "client_id", ""));
	item->username = SLICE_NULL;
	item->protocol = SLICE_LIT("http");
	return true;
}

/* Own subscribers hear it from us: the router sends nothing back. */
static void
deliver_here(const struct ipc_publish_item *item)
{
	struct ipc_deliver_item d = {.topic = item->topic,
	    .payload = item->payload,
	    .flags = (uint8_t)(item->flags & ~MSG_RETAIN),
	    .timestamp_ms = item->timestamp_ms,
	    .expires_ms = item->expires_ms, .props = item->props,
	    .client_id = item->client_id};

	subscribe_on_message(&d);
}

/* All messages of the request; false: it was answered. */
static bool
messages_read(struct exchange *x, struct json_object *list,
    struct ipc_batch *items)
{
	size_t n = json_object_array_length(list);
	struct message m;
	bool ok = true;

	for (size_t i = 0; ok && i < n; i++) {
		memset(&m, 0, sizeof(m));
		ok = message_read(x, i, json_object_array_get_idx(list, i), &m);
		if (ok && buf_len(&m.payload) + buf_len(&m.props) + 65536 * 3 >
		    BATCH_MAX - buf_len(&items->bytes)) {
			exchange_error(x, 413, "too_large", "the messages of "
			    "one request may have 15 MiB together");
			ok = false;
		}
		if (ok)
			ipc_add_publish_item(items, &m.item);
		buf_fini(&m.payload);
		buf_fini(&m.props);
	}
	return ok;
}

/* ---- waiting --------------------------------------------------------------- */

static void
publishing_free(struct publishing *p)
{
	ev_timer_stop(proc_loop(), &p->timer);
	p->x->on_gone = NULL;
	free(p);
}

static void
on_taken(void *arg, const uint8_t *refused, size_t count)
{
	struct publishing *p = arg;
	struct exchange *x = p->x;
	struct json_object *body, *list;
	size_t n = 0;

	publishing_free(p);
	list = json_object_new_array();
	for (size_t i = 0; i < count; i++)
		if (refused[i] != 0) {
			struct json_object *o = json_object_new_object();

			json_add_u64(o, "index", i);
			json_add_u64(o, "reason", refused[i]);
			json_object_array_add(list, o);
			n++;
		}
	if (n == count) {
		json_object_put(list);
		exchange_error(x, 507, "refused", "the router refused it "
		    "(reason 0x%02x%s)", refused[0],
		    refused[0] == 0x97 ? ": no space on disk" : "");
		return;
	}
	body = json_object_new_object();
	json_add_u64(body, "published", count - n);
	json_object_object_add(body, "refused", list);
	exchange_json(x, 200, body);
}

static void
on_gone(struct exchange *x)
{
	struct publishing *p = x->state;

	outbox_forget(p->batch);
	publishing_free(p);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
	struct publishing *p = w->data;
	struct exchange *x = p->x;

	(void)loop;
	(void)events;
	on_gone(x);
	exchange_error(x, 504, "unconfirmed", "the router did not confirm it "
	    "in time; it may still be delivered");
}

static void
publish_here(const struct ipc_batch *items)
{
	struct ipc_list list = ipc_batch_list(items);
	struct ipc_publish_item item;

	while (ipc_next_publish_item(&list, &item) == 1)
		deliver_here(&item);
}

void
serve_publish(struct exchange *x)
{
	struct json_object *list = json_member(x->args, "messages");
	struct ipc_batch items = {0};
	struct publishing *p;

	list = list != NULL ? json_object_get(list) : json_object_new_array();
	if (json_member(x->args, "messages") == NULL)
		json_object_array_add(list, json_object_get(x->args));
	if (!json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) == 0 ||
	    json_object_array_length(list) > MESSAGES_MAX) {
		exchange_error(x, 400, "invalid", "messages must be a list of "
		    "1 to %d messages", MESSAGES_MAX);
		json_object_put(list);
		return;
	}
	if (!messages_read(x, list, &items)) {
		json_object_put(list);
		buf_fini(&items.bytes);
		return;
	}
	json_object_put(list);
	publish_here(&items);
	p = mem_zalloc(1, sizeof(*p));
	p->x = x;
	p->batch = outbox_add(router_link_outbox(), &items, on_taken, p);
	if (p->batch == NULL) {
		free(p);
		buf_fini(&items.bytes);
		exchange_error(x, 503, "busy", "the router has not taken what "
		    "was published before: try again");
		return;
	}
	x->state = p;
	x->on_gone = on_gone;
	ev_timer_init(&p->timer, on_timeout, TAKEN_S, 0.);
	p->timer.data = p;
	ev_timer_start(proc_loop(), &p->timer);
}
