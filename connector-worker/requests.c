#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "connector-worker/worker.h"
#include "ipc/proc.h"

#include <stdio.h>

#define LIST_LIMIT 100
#define LIST_LIMIT_MAX 1000

static void
add_time(struct json_object *o, const char *name, uint64_t wall_ms)
{
	char text[32];

	if (wall_ms == 0)
		json_object_object_add(o, name, NULL);
	else
		json_add_str(o, name,
		    clock_rfc3339(wall_ms, text, sizeof(text)));
}

static uint64_t
worker_lag(void)
{
	struct follow_part *fp;
	const struct part *p;
	uint64_t lag = 0;
	size_t i;

	for (i = 0; i < worker.part_count; i++) {
		p = &worker.parts[i];
		fp = follow_part_find(worker.follow, p->number);
		if (fp != NULL && fp->high_watermark > p->committed)
			lag += fp->high_watermark - p->committed;
	}
	return lag;
}

static struct json_object *
show_offsets(void)
{
	struct json_object *all = json_object_new_object(), *o;
	struct follow_part *fp;
	char name[16];
	size_t i;

	for (i = 0; i < worker.part_count; i++) {
		fp = follow_part_find(worker.follow, worker.parts[i].number);
		o = json_object_new_object();
		json_add_u64(o, "committed", worker.parts[i].committed);
		json_add_u64(o, "high_watermark",
		    fp == NULL ? 0 : fp->high_watermark);
		json_add_u64(o, "log_start", fp == NULL ? 0 : fp->log_start);
		snprintf(name, sizeof(name), "%u", worker.parts[i].number);
		json_object_object_add(all, name, o);
	}
	return all;
}

static struct json_object *
show_counters(void)
{
	struct json_object *o = json_object_new_object();
	const struct tally *t = &worker.totals.tally;

	json_add_u64(o, "matched", t->matched);
	json_add_u64(o, "delivered", t->delivered + worker.totals.replayed);
	json_add_u64(o, "retried",
	    worker.retried + flow_counts(worker.flow)->retried);
	json_add_u64(o, "discarded", t->discarded);
	json_add_u64(o, "dlq", t->dlq);
	json_add_u64(o, "filtered", t->filtered);
	json_add_u64(o, "expired", t->expired);
	json_add_u64(o, "damaged", t->damaged);
	json_add_u64(o, "skipped", t->skipped);
	json_add_u64(o, "commits", worker.commits);
	return o;
}

static struct json_object *
show_rates(void)
{
	struct json_object *o = json_object_new_object();
	uint64_t now = clock_mono_ms(), n = worker.totals.tally.delivered;

	json_object_object_add(o, "delivered_10s", json_object_new_double(
	    rates_per_second(&worker.rates, now, n, 10000)));
	json_object_object_add(o, "delivered_1m", json_object_new_double(
	    rates_per_second(&worker.rates, now, n, 60000)));
	return o;
}

static void
on_show(uint64_t id, struct json_object *args)
{
	struct json_object *o = json_object_new_object();
	char text[32];

	(void)args;
	json_add_str(o, "name", worker.name);
	json_add_str(o, "state", worker.state);
	json_add_str(o, "reason", worker.reason);
	add_time(o, "since", worker.since_ms);
	json_add_str(o, "stream", worker.stream);
	snprintf(text, sizeof(text), "%016llx",
	    (unsigned long long)worker.incarnation);
	json_add_str(o, "incarnation", text);
	json_add_u64(o, "version", worker.version);
	json_add_bool(o, "effectively_once", worker.d->is_exact);
	json_object_object_add(o, "offsets", show_offsets());
	json_add_u64(o, "lag", worker_lag());
	json_object_object_add(o, "counters", show_counters());
	json_object_object_add(o, "rates", show_rates());
	if (worker.last_error[0] == '\0')
		json_object_object_add(o, "last_error", NULL);
	else
		json_add_str(o, "last_error", worker.last_error);
	add_time(o, "last_error_at", worker.last_error_ms);
	add_time(o, "last_success", worker.last_success_ms);
	json_add_u64(o, "in_flight", flow_under_way(worker.flow));
	json_add_u64(o, "batches", flow_batches(worker.flow));
	json_add_u64(o, "dlq_rows", worker.dlq_rows);
	json_object_object_add(o, "marker", marker_json());
	json_object_object_add(o, "last_exit",
	    json_object_get(worker.last_exit));
	proc_reply(id, 200, o);
}

static void
dlq_reply_list(uint64_t id, struct json_object *args, bool is_whole)
{
	uint64_t limit = json_get_u64(args, "limit", LIST_LIMIT), last;
	uint64_t after = json_get_u64(args, "cursor", 0);
	struct json_object *o = json_object_new_object(), *rows;

	if (limit == 0 || limit > LIST_LIMIT_MAX)
		limit = LIST_LIMIT_MAX;
	rows = store_dlq_list(worker.store, after, limit, is_whole, &last);
	json_add_u64(o, "total", store_dlq_count(worker.store));
	if (json_object_array_length(rows) == limit)
		json_add_u64(o, "cursor", last);
	else
		json_object_object_add(o, "cursor", NULL);
	json_object_object_add(o, "rows", rows);
	proc_reply(id, 200, o);
}

static void
on_dlq_list(uint64_t id, struct json_object *args)
{
	dlq_reply_list(id, args, false);
}

static void
on_dlq_export(uint64_t id, struct json_object *args)
{
	dlq_reply_list(id, args, true);
}

static void
on_dlq_show(uint64_t id, struct json_object *args)
{
	const char *which = json_get_str(args, "id", "");
	struct json_object *row = store_dlq_show(worker.store, which);

	if (row == NULL)
		proc_reply_error(id, 404, "not_found",
		    "%s has no dead letter %s", worker.name, which);
	else
		proc_reply(id, 200, row);
}

static int64_t
dlq_purge_ids(struct json_object *ids)
{
	size_t i, n = json_object_array_length(ids);
	int64_t row, purged = 0;
	const char *which;

	for (i = 0; i < n; i++) {
		which = json_object_get_string(
		    json_object_array_get_idx(ids, i));
		row = store_dlq_row(worker.store, which == NULL ? "" : which);
		if (row == 0)
			continue;
		if (!store_dlq_remove(worker.store, row, false))
			return -1;
		purged++;
	}
	return purged;
}

static void
on_dlq_purge(uint64_t id, struct json_object *args)
{
	struct json_object *ids = json_member(args, "ids"), *o;
	int64_t n = -1;

	if (replay_is_running()) {
		proc_reply_error(id, 409, "busy", "%s replays dead letters",
		    worker.name);
		return;
	}
	if (store_begin(worker.store)) {
		n = json_object_is_type(ids, json_type_array) &&
		    json_object_array_length(ids) > 0 ? dlq_purge_ids(ids) :
		    store_dlq_purge_all(worker.store);
		if (n >= 0 && !store_commit(worker.store))
			n = -1;
	}
	if (n < 0) {
		proc_reply_error(id, 503, "unavailable", "%s: %s",
		    worker.name, store_error(worker.store));
		store_rollback(worker.store);
		return;
	}
	worker.dlq_rows = store_dlq_count(worker.store);
	o = json_object_new_object();
	json_add_u64(o, "purged", (uint64_t)n);
	proc_reply(id, 200, o);
}

static void
on_audit(uint64_t id, struct json_object *args)
{
	(void)args;
	audit_request(id);
}

static void
pause_set(uint64_t id, bool is_paused)
{
	struct json_object *o = json_object_new_object();

	worker.is_paused = is_paused;
	flow_pause(worker.flow, is_paused);
	worker_show_state();
	worker_wake();
	json_add_str(o, "state", worker.state);
	proc_reply(id, 200, o);
}

static void
on_pause(uint64_t id, struct json_object *args)
{
	(void)args;
	pause_set(id, true);
}

static void
on_resume(uint64_t id, struct json_object *args)
{
	(void)args;
	pause_set(id, false);
}

#define METRIC(kind, metric, help, value) \
	metrics_##kind(m, metric, help, value, "connector", worker.name, NULL)

static void
on_metrics(uint64_t id, struct json_object *args)
{
	struct json_object *m = metrics_new();
	const struct tally *t = &worker.totals.tally;

	(void)args;
	METRIC(counter, "bulkhead_connector_matched_total",
	    "Records of the stream that match the connector's topics.",
	    t->matched);
	METRIC(counter, "bulkhead_connector_delivered_total",
	    "Records that the target has confirmed.",
	    t->delivered + worker.totals.replayed);
	METRIC(counter, "bulkhead_connector_retried_total",
	    "Tries after the first.",
	    worker.retried + flow_counts(worker.flow)->retried);
	METRIC(counter, "bulkhead_connector_discarded_total",
	    "Records given up by the failure strategy.", t->discarded);
	METRIC(counter, "bulkhead_connector_dead_letters_total",
	    "Records written to the dead message queue.", t->dlq);
	METRIC(counter, "bulkhead_connector_filtered_total",
	    "Records that the rules dropped.", t->filtered);
	METRIC(counter, "bulkhead_connector_expired_total",
	    "Records that retention removed unread.", t->expired);
	METRIC(counter, "bulkhead_connector_damaged_total",
	    "Records that were damaged in the log.", t->damaged);
	METRIC(gauge, "bulkhead_connector_lag_offsets",
	    "Offsets between the committed one and the high watermark.",
	    (double)worker_lag());
	METRIC(gauge, "bulkhead_connector_in_flight_batches",
	    "Batches that are with the target.",
	    flow_under_way(worker.flow));
	METRIC(gauge, "bulkhead_connector_dlq_rows",
	    "Rows in the dead message queue.", (double)worker.dlq_rows);
	METRIC(gauge, "bulkhead_connector_available",
	    "1 while the target is available.",
	    strcmp(worker.state, "unavailable") == 0 ? 0 : 1);
	proc_reply(id, 200, m);
}

static const struct {
	const char *op;
	void (*handle)(uint64_t id, struct json_object *args);
} requests[] = {
	{"show", on_show},
	{"dlq.list", on_dlq_list},
	{"dlq.show", on_dlq_show},
	{"dlq.export", on_dlq_export},
	{"dlq.purge", on_dlq_purge},
	{"dlq.replay", replay_request},
	{"audit", on_audit},
	{"pause", on_pause},
	{"resume", on_resume},
	{"reset", reset_request},
	{"metrics", on_metrics},
};

void
request_handle(uint64_t id, struct slice op, struct json_object *args)
{
	size_t i;

	if (worker.flow == NULL) {
		proc_reply_error(id, 503, "starting", "%s is starting",
		    proc_name());
		return;
	}
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (slice_is(op, requests[i].op)) {
			requests[i].handle(id, args);
			return;
		}
	proc_reply_error(id, 404, "unknown_operation",
	    "a connector does not know %.*s", SLICE_ARG(op));
}
