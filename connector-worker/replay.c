#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "connector-worker/worker.h"
#include "ipc/proc.h"

#include <stdlib.h>

#define REPLAY_BATCH 100
/* The asker waits so long for the end of it. */
#define REPLY_AFTER_MS 20000

/*
 * Dead letters on their way to the target again: rows that were there when
 * it was asked for, once each, in the order of the queue.
 */
static struct {
	bool is_running;
	bool is_under_way;
	uint64_t request;		/* 0: was answered */
	uint64_t reply_ms;
	int64_t *rows;			/* chosen ones; NULL: all */
	size_t row_count, row_next;
	int64_t after, until;
	uint64_t rate;
	uint64_t next_ms;
	uint64_t delivered, failed;
} replay;

bool
replay_is_running(void)
{
	return replay.is_running;
}

static void
replay_reply(void)
{
	struct json_object *o;

	if (replay.request == 0)
		return;
	o = json_object_new_object();
	json_add_u64(o, "delivered", replay.delivered);
	json_add_u64(o, "failed", replay.failed);
	json_add_bool(o, "running", replay.is_running);
	json_add_u64(o, "left", store_dlq_count(worker.store));
	proc_reply(replay.request, 200, o);
	replay.request = 0;
}

static void
replay_end(void)
{
	replay.is_running = false;
	replay_reply();
	free(replay.rows);
	replay.rows = NULL;
}

/* False: there are no further rows. */
static bool
replay_take(struct batch *b)
{
	size_t max = replay.rate != 0 && replay.rate < REPLAY_BATCH ?
	    (size_t)replay.rate : REPLAY_BATCH;
	int64_t row;

	while (b->count < max && b->bytes < worker.d->max_bytes) {
		if (replay.rows != NULL) {
			if (replay.row_next == replay.row_count)
				return false;
			row = replay.rows[replay.row_next++];
			store_dlq_take_row(worker.store, row, b);
			continue;
		}
		if (!store_dlq_take(worker.store, replay.after, replay.until,
		    &row, b))
			return false;
		replay.after = row;
	}
	return true;
}

void
replay_turn(void)
{
	uint64_t now = clock_mono_ms();
	struct batch *b;

	if (!replay.is_running || replay.is_under_way || worker.is_stopping ||
	    now < replay.next_ms || !flow_wants(worker.flow))
		return;
	b = batch_new(worker.incarnation, 0, 0, now);
	b->is_replay = true;
	replay_take(b);
	if (b->count == 0) {
		batch_free(b);
		replay_end();
		return;
	}
	b->tally = (struct tally){0};
	if (replay.rate != 0)
		replay.next_ms = now + b->count * 1000 / replay.rate;
	replay.is_under_way = true;
	batch_seal(b, 0);
	flow_add(worker.flow, b);
	worker_wake();
}

void
replay_settled(const struct batch *b)
{
	const struct replayed *r;

	replay.is_under_way = false;
	for (r = b->replayed; r != NULL; r = r->next) {
		if (!r->is_delivered) {
			replay.failed++;
			continue;
		}
		replay.delivered++;
		worker.totals.replayed++;
		if (worker.dlq_rows > 0)
			worker.dlq_rows--;
	}
	worker_wake();
}

uint64_t
replay_due(void)
{
	uint64_t due = UINT64_MAX;

	if (replay.is_running && !replay.is_under_way)
		due = replay.next_ms;
	if (replay.request != 0 && replay.reply_ms < due)
		due = replay.reply_ms;
	return due;
}

void
replay_check(uint64_t now_ms)
{
	if (replay.request != 0 && now_ms >= replay.reply_ms)
		replay_reply();
}

void
replay_drop(void)
{
	replay.is_under_way = false;
	if (replay.is_running)
		replay_end();
}

static void
replay_choose(struct json_object *ids)
{
	const char *id;
	int64_t row;
	size_t i, n;

	if (!json_object_is_type(ids, json_type_array) ||
	    json_object_array_length(ids) == 0)
		return;
	n = json_object_array_length(ids);
	replay.rows = mem_zalloc(n, sizeof(*replay.rows));
	for (i = 0; i < n; i++) {
		id = json_object_get_string(json_object_array_get_idx(ids, i));
		row = store_dlq_row(worker.store, id == NULL ? "" : id);
		if (row != 0)
			replay.rows[replay.row_count++] = row;
	}
}

void
replay_request(uint64_t id, struct json_object *args)
{
	if (replay.is_running) {
		proc_reply_error(id, 409, "busy", "%s replays already",
		    worker.name);
		return;
	}
	if (worker.is_paused) {
		proc_reply_error(id, 409, "paused", "%s is paused: bulkhead "
		    "connector resume %s", worker.name, worker.name);
		return;
	}
	replay.is_running = true;
	replay.is_under_way = false;
	replay.request = id;
	replay.reply_ms = clock_mono_ms() + REPLY_AFTER_MS;
	replay.row_count = replay.row_next = 0;
	replay.after = 0;
	replay.until = INT64_MAX;
	replay.rate = json_get_u64(args, "rate", 0);
	replay.next_ms = 0;
	replay.delivered = replay.failed = 0;
	replay_choose(json_member(args, "ids"));
	if (replay.rows == NULL)
		replay.until = store_dlq_last(worker.store);
	worker_wake();
}
