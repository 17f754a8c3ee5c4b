#include "base/json.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/publish.h"
#include "router/request.h"
#include "router/retained.h"
#include "router/session.h"
#include "router/stream.h"

static struct json_object *
metric_add(struct json_object *list, const char *name, const char *type,
    uint64_t value, const char *help)
{
	struct json_object *o = json_object_new_object(), *labels;

	labels = json_object_new_object();
	json_add_str(o, "name", name);
	json_add_str(o, "type", type);
	json_add_str(o, "help", help);
	json_object_object_add(o, "labels", labels);
	json_object_object_add(o, "value", json_object_new_uint64(value));
	json_object_array_add(list, o);
	return labels;
}

static void
add_streams(struct json_object *list)
{
	struct stream *st;

	LIST_FOREACH(st, streams_all(), entry)
	{
		uint64_t bytes = 0, damaged = 0;
		const struct log_damage *d;

		if (st->state != STREAM_OPEN)
			continue;
		for (uint32_t i = 0; i < st->partitions; i++) {
			struct log_partition *p =
			    log_stream_partition(st->log, i);

			bytes += log_partition_bytes(p);
			damaged += log_damage_get(p, &d);
		}
		json_add_str(metric_add(list, "bulkhead_stream_bytes", "gauge",
				 bytes, "size of a stream on disk"),
		    "stream", st->name);
		json_add_str(metric_add(list, "bulkhead_stream_damage", "gauge",
				 damaged, "damaged ranges found in a stream"),
		    "stream", st->name);
	}
}

void
request_metrics(uint64_t id, struct json_object *args)
{
	struct json_object *body = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct log_stats log_stats;

	(void)args;
	log_stats_get(commit_store(), &log_stats);
#define METRIC(name, type, value, help)                                        \
	metric_add(list, name, type, (uint64_t)(value), help);
#include "router/metric.def"
#undef METRIC
	add_streams(list);
	json_object_object_add(body, "metrics", list);
	proc_reply(id, 200, body);
}
