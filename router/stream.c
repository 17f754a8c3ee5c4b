#include "router/stream.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/topic.h"
#include "router/rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	struct interest *interest;
	struct log_store *store;
	struct stream_list list;
	struct log_partition *queue;
} streams;

void
streams_init(struct interest *interest, struct log_store *store)
{
	streams.interest = interest;
	streams.store = store;
	LIST_INIT(&streams.list);
}

struct stream_list *
streams_all(void)
{
	return &streams.list;
}

struct stream *
stream_find(struct slice name)
{
	struct stream *st;

	LIST_FOREACH (st, &streams.list, entry)
		if (slice_is(name, st->name))
			return st;
	return NULL;
}

struct log_partition *
stream_queue(void)
{
	return streams.queue;
}

static const char *
say(const char *fmt, ...)
{
	static char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return text;
}

/* ---- definitions -------------------------------------------------------- */

static const char *
topics_check(struct json_object *list)
{
	const char *what;
	size_t n;

	if (!json_object_is_type(list, json_type_array))
		return "topics: a list of filters is needed";
	n = json_object_array_length(list);
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!json_object_is_type(o, json_type_string))
			return say("topics[%zu]: not a string", i);
		what = filter_check(slice_of(json_object_get_string(o),
		    (size_t)json_object_get_string_len(o)));
		if (what != NULL)
			return say("topics[%zu]: %s", i, what);
	}
	return NULL;
}

static void
topics_free(struct stream *st)
{
	for (size_t i = 0; i < st->topics_len; i++)
		free(st->topics[i]);
	free(st->topics);
	st->topics = NULL;
	st->topics_len = 0;
}

static void
topics_set(struct stream *st, struct json_object *list)
{
	size_t n = json_object_array_length(list);

	st->topics = mem_zalloc(n + 1, sizeof(char *));
	st->topics_len = n;
	for (size_t i = 0; i < n; i++)
		st->topics[i] = mem_strdup(json_object_get_string(
		    json_object_array_get_idx(list, i)));
}

static struct log_retention
retention_get(struct json_object *def)
{
	struct json_object *r = json_member(def, "retention");

	return (struct log_retention){
	    .time_ms = json_get_u64(r, "time_ms", json_get_u64(r, "time", 0)),
	    .bytes = json_get_u64(r, "size", 0),
	};
}

static const char *
def_check(struct slice name, struct json_object *def, uint64_t partitions)
{
	if (!log_stream_name_is_valid(name))
		return "name: letters, digits, '.', '_' and '-', at most 200";
	if (partitions < 1 || partitions > STREAM_PARTITIONS_MAX)
		return say("partitions: %llu is not between 1 and %u",
		    (unsigned long long)partitions, STREAM_PARTITIONS_MAX);
	return topics_check(json_member(def, "topics"));
}

struct stream *
stream_new(struct slice name, struct json_object *def,
    enum stream_source source, const char **why)
{
	uint64_t partitions = json_get_u64(def, "partitions", 1);
	struct stream *st;

	*why = def_check(name, def, partitions);
	if (*why != NULL)
		return NULL;
	st = mem_zalloc(1, sizeof(*st));
	st->name = slice_dup(name);
	st->incarnation =
	    json_get_u64(def, "incarnation", random_u64());
	st->created_ms = json_get_u64(def, "created_ms", clock_wall_ms());
	st->partitions = (uint32_t)partitions;
	st->retention = retention_get(def);
	st->is_consumed = json_get_bool(def, "consumed", false);
	st->source = source;
	topics_set(st, json_member(def, "topics"));
	LIST_INIT(&st->readers);
	LIST_INSERT_HEAD(&streams.list, st, entry);
	return st;
}

static const char *
source_name(enum stream_source source)
{
	switch (source) {
	case STREAM_CONFIG:
		return "config";
	case STREAM_API:
		return "api";
	case STREAM_INTERNAL:
		return "internal";
	}
	return "";
}

void
stream_put(const struct stream *st, struct buf *rows)
{
	struct json_object *topics = json_object_new_array();

	for (size_t i = 0; i < st->topics_len; i++)
		json_object_array_add(
		    topics, json_object_new_string(st->topics[i]));
	ROW_ADD(rows, ROW_STREAM_PUT, RS(slice_str(st->name)),
	    RU(st->incarnation), RU(st->partitions), RS(json_text(topics)),
	    RU(st->retention.time_ms), RU(st->retention.bytes),
	    RU(st->is_consumed), RS(slice_str(source_name(st->source))),
	    RU(st->created_ms));
	if (st->state == STREAM_NEW)
		ROW_ADD(rows, ROW_STREAM_PARTITIONS_DELETE,
		    RS(slice_str(st->name)));
	json_object_put(topics);
}

/* ---- life --------------------------------------------------------------- */

static void
capture_start(struct stream *st)
{
	for (size_t i = 0; i < st->topics_len; i++)
		interest_add_stream(
		    streams.interest, slice_str(st->topics[i]), st);
}

static void
capture_stop(struct stream *st)
{
	for (size_t i = 0; i < st->topics_len; i++)
		interest_remove_stream(
		    streams.interest, slice_str(st->topics[i]), st);
}

int
stream_open(struct stream *st, const struct stream_start *starts,
    const struct log_recovery *recovery)
{
	static const struct log_recovery none;
	static const struct log_state zero;
	bool is_queue = strcmp(st->name, STREAM_QUEUE) == 0;
	int err;

	st->log = log_stream_open(streams.store,
	    &(struct log_stream_options){.name = st->name,
		.incarnation = st->incarnation,
		.partitions = st->partitions,
		.retention = st->retention,
		.is_new = starts == NULL,
		.is_cached = is_queue});
	if (st->log == NULL)
		return errno;
	log_stream_set_owner(st->log, st);
	for (uint32_t i = 0; i < st->partitions; i++) {
		err = log_recover(log_stream_partition(st->log, i),
		    starts == NULL ? &zero : &starts[i].log,
		    recovery == NULL ? &none : recovery);
		if (err != 0)
			return err;
	}
	st->state = STREAM_OPEN;
	if (is_queue)
		streams.queue = log_stream_partition(st->log, 0);
	capture_start(st);
	return 0;
}

bool
stream_update(struct stream *st, struct json_object *def, struct buf *rows,
    const char **why)
{
	uint64_t partitions = json_get_u64(def, "partitions", 1);

	*why = def_check(slice_str(st->name), def, partitions);
	if (*why == NULL && partitions != st->partitions)
		*why = say("partitions: %s was made with %u, which cannot be "
		    "changed", st->name, st->partitions);
	if (*why != NULL)
		return false;
	if (st->state == STREAM_OPEN)
		capture_stop(st);
	topics_free(st);
	topics_set(st, json_member(def, "topics"));
	st->retention = retention_get(def);
	if (st->state == STREAM_OPEN) {
		capture_start(st);
		log_stream_set_retention(st->log, st->retention);
	}
	stream_put(st, rows);
	return true;
}

void
stream_leave(struct stream *st, struct buf *rows)
{
	if (st->state == STREAM_OPEN)
		capture_stop(st);
	st->state = STREAM_LEAVING;
	ROW_ADD(rows, ROW_STREAM_DELETE, RS(slice_str(st->name)));
	ROW_ADD(rows, ROW_STREAM_PARTITIONS_DELETE, RS(slice_str(st->name)));
}

void
stream_remove(struct stream *st)
{
	if (st->log != NULL)
		log_stream_remove(st->log);
	LIST_REMOVE(st, entry);
	topics_free(st);
	free(st->name);
	free(st);
}

bool
stream_covers(const struct stream *st, const struct slice *filters, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool is_covered = false;

		for (size_t j = 0; j < st->topics_len && !is_covered; j++)
			is_covered = filter_covers(
			    slice_str(st->topics[j]), filters[i]);
		if (!is_covered)
			return false;
	}
	return n > 0;
}
