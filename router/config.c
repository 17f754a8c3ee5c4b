#include "router/config.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/retained.h"
#include "router/stream.h"

#include <stdio.h>
#include <string.h>

static void
configure_stream(struct slice name, struct json_object *def,
    struct buf *rows)
{
	struct stream *st = stream_find(name);
	char key[300];
	const char *why;

	snprintf(key, sizeof(key), "stream.%.*s", SLICE_ARG(name));
	if (st == NULL) {
		st = stream_new(name, def, STREAM_CONFIG, &why);
		if (st != NULL)
			stream_put(st, rows);
	} else if (stream_update(st, def, rows, &why))
		st->source = STREAM_CONFIG;
	else
		st = NULL;
	if (st == NULL) {
		log_error("stream %.*s: %s", SLICE_ARG(name), why);
		proc_degraded(key, why);
	}
}

void
config_streams(struct json_object *config, struct buf *rows)
{
	struct json_object *list = json_member(config, "streams");

	if (!json_object_is_type(list, json_type_object))
		return;
	json_object_object_foreach(list, name, def)
	{
		configure_stream(slice_str(name), def, rows);
	}
}

void
config_queue(struct buf *rows)
{
	struct json_object *def;
	const char *why;

	if (stream_find(SLICE_LIT(STREAM_QUEUE)) != NULL)
		return;
	def = json_parse(SLICE_LIT("{\"topics\": []}"));
	stream_put(stream_new(SLICE_LIT(STREAM_QUEUE), def, STREAM_INTERNAL,
		       &why), rows);
	json_object_put(def);
}

static void
after_new_stream(struct after *a)
{
	struct stream *st = a->subject;
	int err = stream_open(st, NULL, NULL);

	if (err != 0)
		fatal("stream %s: %s", st->name, strerror(err));
}

void
config_apply(struct json_object *config)
{
	struct stream *st;
	struct after *a;

	config_limits(config);
	config_streams(config, commit_rows());
	LIST_FOREACH (st, streams_all(), entry) {
		if (st->state != STREAM_NEW || st->is_opening)
			continue;
		st->is_opening = true;
		a = mem_zalloc(1, sizeof(*a));
		a->run = after_new_stream;
		a->subject = st;
		commit_after(a);
	}
}

void
config_limits(struct json_object *config)
{
	struct json_object *limits = json_member(config, "limits");

	delivery_set_limits(&(struct delivery_limits){
	    .messages = (uint32_t)json_get_u64(
		limits, "session_queue_messages", 100000),
	    .bytes = json_get_u64(
		limits, "session_queue_bytes", UINT64_C(1) << 30)});
	conns_set_limits(&(struct conn_limits){
	    .expiry_max_s = (uint32_t)(json_get_u64(limits,
		"session_expiry_max", UINT64_C(604800000)) / 1000),
	    .sessions = json_get_u64(limits, "max_sessions", 1000000)});
	retained_set_limits(&(struct retained_limits){
	    .messages = json_get_u64(limits, "max_retained", 1000000),
	    .bytes = json_get_u64(
		limits, "max_retained_bytes", UINT64_C(1) << 30)});
}
