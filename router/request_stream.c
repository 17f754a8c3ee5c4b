#include "router/request.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log_layout.h"
#include "base/mem.h"
#include "base/units.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/reader.h"
#include "router/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a connector that is never read may keep on disk. */
#define BACKLOG_BYTES (UINT64_C(10) << 30)

/* ---- showing ------------------------------------------------------------ */

static uint64_t
partition_records(struct log_partition *p)
{
	struct log_segment seg;
	uint64_t n = 0, start = log_start(p), high = log_high_watermark(p);

	/* Between segments there may be gaps of offsets, within none. */
	for (size_t i = 0; log_segment_get(p, i, &seg); i++) {
		uint64_t from = seg.base_offset, to = seg.end_offset;

		if (from < start)
			from = start;
		if (to > high)
			to = high;
		if (to > from)
			n += to - from;
	}
	return n;
}

static struct json_object *
partition_json(struct log_partition *p)
{
	struct json_object *o = json_object_new_object(), *list;
	const struct log_damage *damage;
	size_t n = log_damage_get(p, &damage);

	json_add_u64(o, "partition", log_partition_index(p));
	json_add_u64(o, "log_start", log_start(p));
	json_add_u64(o, "high_watermark", log_high_watermark(p));
	json_add_u64(o, "records", partition_records(p));
	json_add_u64(o, "size_bytes", log_partition_bytes(p));
	list = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_new_object();

		json_add_u64(d, "first", damage[i].first);
		json_add_u64(d, "last", damage[i].last);
		json_object_array_add(list, d);
	}
	json_object_object_add(o, "damage", list);
	return o;
}

static const char *
source_name(const struct stream *st)
{
	return st->source == STREAM_CONFIG ? "config"
	       : st->source == STREAM_API  ? "api"
					   : "internal";
}

static void
definition_json(const struct stream *st, struct json_object *o)
{
	struct json_object *topics = json_object_new_array();
	struct json_object *retention = json_object_new_object();
	char hex[20], when[32];

	json_add_str(o, "name", st->name);
	json_add_str(o, "source", source_name(st));
	snprintf(
	    hex, sizeof(hex), "%016llx", (unsigned long long)st->incarnation);
	json_add_str(o, "incarnation", hex);
	json_add_str(
	    o, "created_at", clock_rfc3339(st->created_ms, when, sizeof(when)));
	for (size_t i = 0; i < st->topics_len; i++)
		json_object_array_add(
		    topics, json_object_new_string(st->topics[i]));
	json_object_object_add(o, "topics", topics);
	json_add_u64(retention, "time_ms", st->retention.time_ms);
	json_add_u64(retention, "size", st->retention.bytes);
	json_add_bool(retention, "consumed", st->is_consumed);
	json_object_object_add(o, "retention", retention);
}

static struct json_object *
stream_json(const struct stream *st)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	uint64_t records = 0, bytes = 0;

	definition_json(st, o);
	for (uint32_t i = 0; st->log != NULL && i < st->partitions; i++) {
		struct log_partition *p = log_stream_partition(st->log, i);

		records += partition_records(p);
		bytes += log_partition_bytes(p);
		json_object_array_add(list, partition_json(p));
	}
	json_object_object_add(o, "partitions", list);
	json_add_u64(o, "records", records);
	json_add_u64(o, "size_bytes", bytes);
	return o;
}

void
request_stream_list(uint64_t id, struct json_object *args)
{
	struct stream *st;
	struct page page;

	page_init(&page, args);
	LIST_FOREACH(st, streams_all(), entry)
	if (st->state == STREAM_OPEN && page_wants(&page))
		json_object_array_add(page.items, stream_json(st));
	page_reply(&page, id);
}

void
request_audit_info(uint64_t id, struct json_object *args)
{
	request_stream_list(id, args);
}

/* The open stream that is named; NULL: it was answered. */
static struct stream *
stream_named(uint64_t id, struct json_object *args, const char *key)
{
	const char *name = json_get_str(args, key, "");
	struct stream *st = stream_find(slice_str(name));

	if (st != NULL && st->state == STREAM_OPEN)
		return st;
	proc_reply_error(
	    id, 404, "no_such_stream", "there is no stream %s", name);
	return NULL;
}

void
request_stream_show(uint64_t id, struct json_object *args)
{
	struct stream *st = stream_named(id, args, "name");

	if (st != NULL)
		proc_reply(id, 200, stream_json(st));
}

/* ---- making and removing ------------------------------------------------ */

static bool
open_new(struct stream *st, uint64_t request)
{
	int err = stream_open(st, NULL, NULL);

	if (err == 0)
		return true;
	proc_reply_error(
	    request, 500, "disk", "stream %s: %s", st->name, strerror(err));
	stream_leave(st, commit_rows());
	stream_remove(st);
	return false;
}

static void
after_create(struct after *a)
{
	struct stream *st = a->subject;

	if (open_new(st, a->request))
		proc_reply(a->request, 201, stream_json(st));
}

static void
put_new(struct stream *st, uint64_t request, void (*run)(struct after *),
    struct json_object *body)
{
	struct after *a = mem_zalloc(1, sizeof(*a));

	st->is_opening = true;
	stream_put(st, commit_rows());
	a->run = run;
	a->request = request;
	a->subject = st;
	a->body = body;
	commit_after(a);
}

void
request_stream_create(uint64_t id, struct json_object *args)
{
	const char *name = json_get_str(args, "name", ""), *why;
	struct stream *st;

	if (name[0] == '$') {
		proc_reply_error(id, 400, "invalid",
		    "name: %s: '$' begins the broker's own", name);
		return;
	}
	if (stream_find(slice_str(name)) != NULL) {
		proc_reply_error(
		    id, 409, "exists", "there is a stream %s already", name);
		return;
	}
	st = stream_new(slice_str(name), args, STREAM_API, &why);
	if (st == NULL) {
		proc_reply_error(id, 400, "invalid", "%s", why);
		return;
	}
	put_new(st, id, after_create, NULL);
}

static void
after_delete(struct after *a)
{
	readers_stream_gone(a->subject);
	stream_remove(a->subject);
	proc_reply(a->request, 200, json_object_new_object());
}

void
request_stream_delete(uint64_t id, struct json_object *args)
{
	struct stream *st = stream_named(id, args, "name");
	struct after *a;

	if (st == NULL)
		return;
	if (strcmp(st->name, STREAM_QUEUE) == 0) {
		proc_reply_error(id, 409, "internal",
		    "%s holds the sessions' messages", st->name);
		return;
	}
	stream_leave(st, commit_rows());
	a = mem_zalloc(1, sizeof(*a));
	a->run = after_delete;
	a->request = id;
	a->subject = st;
	commit_after(a);
}

void
request_stream_purge(uint64_t id, struct json_object *args)
{
	struct stream *st = stream_named(id, args, "name");

	if (st == NULL)
		return;
	if (strcmp(st->name, STREAM_QUEUE) == 0) {
		proc_reply_error(id, 409, "internal",
		    "%s holds the sessions' messages", st->name);
		return;
	}
	for (uint32_t i = 0; i < st->partitions; i++) {
		struct log_partition *p = log_stream_partition(st->log, i);

		log_trim(p, log_high_watermark(p));
		reader_advanced(p);
	}
	request_reply_committed(id);
}

/* ---- where to start ----------------------------------------------------- */

/* earliest, latest or a time. */
static bool
start_offset(struct log_partition *p, const char *start, uint64_t *offset)
{
	int64_t ms;

	if (strcmp(start, "earliest") == 0)
		*offset = log_start(p);
	else if (strcmp(start, "latest") == 0)
		*offset = log_high_watermark(p);
	else if (time_parse(start, &ms))
		*offset = log_find_time(p, ms);
	else
		return false;
	return true;
}

static struct json_object *
start_json(const struct stream *st, const char *start)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_object();
	char text[24];

	json_add_str(o, "stream", st->name);
	snprintf(
	    text, sizeof(text), "%llu", (unsigned long long)st->incarnation);
	json_add_str(o, "incarnation", text);
	json_object_object_add(o, "partitions", list);
	for (uint32_t i = 0; i < st->partitions; i++) {
		uint64_t offset;

		if (!start_offset(
			log_stream_partition(st->log, i), start, &offset)) {
			json_object_put(o);
			return NULL;
		}
		snprintf(text, sizeof(text), "%u", i);
		json_add_u64(list, text, offset);
	}
	return o;
}

static void
reply_start(uint64_t id, const struct stream *st, const char *start)
{
	struct json_object *body = start_json(st, start);

	if (body == NULL)
		proc_reply_error(id, 400, "invalid",
		    "start: %s is neither earliest, latest nor a time", start);
	else
		proc_reply(id, 200, body);
}

void
request_stream_offsets(uint64_t id, struct json_object *args)
{
	struct stream *st = stream_named(id, args, "stream");

	if (st != NULL)
		reply_start(id, st, json_get_str(args, "start", "latest"));
}

/* The one stream that covers the topics; several are named in text. */
static size_t
find_covering(
    struct json_object *topics, struct stream **found, struct buf *text)
{
	size_t n = json_object_array_length(topics), count = 0;
	struct slice *filters = mem_zalloc(n + 1, sizeof(*filters));
	struct stream *st;

	for (size_t i = 0; i < n; i++)
		filters[i] = slice_str(json_object_get_string(
		    json_object_array_get_idx(topics, i)));
	LIST_FOREACH(st, streams_all(), entry)
	{
		if (st->state != STREAM_OPEN || st->name[0] == '$' ||
		    !stream_covers(st, filters, n))
			continue;
		*found = st;
		buf_addf(text, "%s%s", count++ > 0 ? ", " : "", st->name);
	}
	free(filters);
	return count;
}

static void
after_own_stream(struct after *a)
{
	struct stream *st = a->subject;

	if (open_new(st, a->request))
		reply_start(
		    a->request, st, json_get_str(a->body, "start", "latest"));
}

/* None covers them: a stream of the connector's own. */
static void
resolve_own(uint64_t id, const char *connector, struct json_object *topics,
    struct json_object *args)
{
	char name[LOG_STREAM_NAME_MAX + 1];
	struct json_object *def, *retention;
	struct stream *st;
	const char *why;

	snprintf(name, sizeof(name), STREAM_CONNECTOR "%s", connector);
	def = json_object_new_object();
	retention = json_object_new_object();
	json_object_object_add(def, "topics", json_object_get(topics));
	json_add_u64(
	    retention, "size", json_get_u64(args, "backlog", BACKLOG_BYTES));
	json_object_object_add(def, "retention", retention);
	json_add_bool(def, "consumed", true);
	st = stream_find(slice_str(name));
	if (st != NULL && st->state == STREAM_OPEN) {
		if (!stream_update(st, def, commit_rows(), &why))
			proc_reply_error(id, 400, "invalid", "%s", why);
		else
			reply_start(
			    id, st, json_get_str(args, "start", "latest"));
	} else if (st != NULL) {
		proc_reply_error(id, 503, "busy",
		    "%s is being made or removed: ask again", name);
	} else {
		st = stream_new(slice_str(name), def, STREAM_INTERNAL, &why);
		if (st == NULL)
			proc_reply_error(id, 400, "invalid", "%s", why);
		else
			put_new(
			    st, id, after_own_stream, json_object_get(args));
	}
	json_object_put(def);
}

void
request_stream_resolve(uint64_t id, struct json_object *args)
{
	const char *name = json_get_str(args, "stream", "");
	const char *start = json_get_str(args, "start", "latest");
	struct json_object *topics = json_member(args, "topics");
	struct stream *st = NULL;
	struct buf names = {0};
	size_t count;

	if (name[0] != '\0') {
		st = stream_named(id, args, "stream");
		if (st != NULL)
			reply_start(id, st, start);
		return;
	}
	if (!json_object_is_type(topics, json_type_array) ||
	    json_object_array_length(topics) == 0) {
		proc_reply_error(id, 400, "invalid",
		    "neither a stream nor topics are given");
		return;
	}
	count = find_covering(topics, &st, &names);
	if (count == 1)
		reply_start(id, st, start);
	else if (count > 1)
		proc_reply_error(id, 409, "ambiguous",
		    "several streams cover the topics: %s; name one with "
		    "`stream`",
		    buf_cstr(&names));
	else
		resolve_own(
		    id, json_get_str(args, "connector", ""), topics, args);
	buf_fini(&names);
}
