#include "admin-server/live_json.h"

#include "base/encode.h"
#include "base/json_text.h"
#include "base/props.h"
#include "base/utf8.h"

static void
add_name(struct buf *out, const char *name, const char *suffix)
{
	buf_addf(out, "%s\"%s%s\":",
	    out->len > 0 && out->p[out->len - 1] == '{' ? "" : ",", name,
	    suffix);
}

static void
add_bytes(struct buf *out, const char *name, struct slice v)
{
	if (slice_is_null(v)) {
		add_name(out, name, "");
		buf_add_str(out, "null");
	} else if (utf8_check(v)) {
		add_name(out, name, "");
		json_add_string(out, v);
	} else {
		add_name(out, name, "_base64");
		buf_add_str(out, "\"");
		base64_add(out, v);
		buf_add_str(out, "\"");
	}
}

static void
add_payload(struct buf *out, struct slice payload)
{
	struct slice value;

	if (!json_value(payload, &value)) {
		add_bytes(out, "payload", slice_is_null(payload) ?
		    SLICE_EMPTY : payload);
		return;
	}
	add_name(out, "payload", "");
	json_add_compact(out, value);
}

static bool
is_repeat(struct slice props, struct slice before, struct slice name)
{
	struct prop p;

	while (props.p < before.p && props_next(&props, &p) == 1 &&
	    props.p < before.p)
		if (p.tag == PROP_HEADER && slice_eq(p.name, name))
			return true;
	return false;
}

/* All values of one name: a text, or a list where there are several. */
static void
add_header(struct buf *out, struct slice from, const struct prop *first)
{
	struct prop p;
	bool is_list = false;

	for (struct slice rest = from; props_next(&rest, &p) == 1;)
		if (p.tag == PROP_HEADER && slice_eq(p.name, first->name))
			is_list = true;
	json_add_string(out, first->name);
	buf_add_str(out, is_list ? ":[" : ":");
	json_add_string(out, first->value);
	while (is_list && props_next(&from, &p) == 1)
		if (p.tag == PROP_HEADER && slice_eq(p.name, first->name)) {
			buf_add_str(out, ",");
			json_add_string(out, p.value);
		}
	buf_add_str(out, is_list ? "]" : "");
}

static void
add_headers(struct buf *out, struct slice props)
{
	struct slice rest = props;
	struct prop p;
	bool is_first = true;

	add_name(out, "headers", "");
	buf_add_str(out, "{");
	while (props_next(&rest, &p) == 1) {
		if (p.tag != PROP_HEADER || !utf8_check(p.name) ||
		    !utf8_check(p.value) || is_repeat(props, rest, p.name))
			continue;
		buf_add_str(out, is_first ? "" : ",");
		is_first = false;
		add_header(out, rest, &p);
	}
	buf_add_str(out, "}");
}

static void
add_props(struct buf *out, struct slice props)
{
	struct prop p;

	while (props_next(&props, &p) == 1) {
		if (p.tag == PROP_CONTENT_TYPE)
			add_bytes(out, "content_type", p.value);
		else if (p.tag == PROP_RESPONSE_TOPIC)
			add_bytes(out, "response_topic", p.value);
		else if (p.tag == PROP_CORRELATION)
			add_bytes(out, "correlation_data", p.value);
	}
}

void
live_json_add(struct buf *out, const struct ipc_deliver_item *item)
{
	buf_add_str(out, "{");
	add_bytes(out, "topic", item->topic);
	add_payload(out, item->payload);
	buf_addf(out, ",\"qos\":%u,\"retain\":%s,\"timestamp_ms\":%llu",
	    item->flags & MSG_QOS,
	    (item->flags & MSG_RETAIN) != 0 ? "true" : "false",
	    (unsigned long long)item->timestamp_ms);
	add_bytes(out, "client_id", item->client_id);
	add_headers(out, item->props);
	add_props(out, item->props);
	buf_add_str(out, "}");
}
