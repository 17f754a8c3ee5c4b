#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/count.h"
#include "ipc/proc.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Moves a paused connector. Forward: what is passed over is counted as
 * skipped. Back: a new epoch of the ledger begins, as records will be
 * accounted for a second time.
 */
struct reset {
	uint64_t request;
	size_t n;
	struct count_range *ranges;	/* one a partition that moves */
};

static bool is_running;

static void
reset_end(struct reset *r)
{
	is_running = false;
	free(r->ranges);
	free(r);
}

static bool
reset_part(struct part *p, const struct count_range *range, uint64_t to)
{
	struct ledger_row row = {.key = p->key, .first = p->row_first,
	    .next = to};

	if (to > p->committed) {
		row.tally.skipped = range->readable + range->damaged;
		row.tally.matched = row.tally.skipped;
	} else {
		row.key.epoch = store_ledger_next_epoch(worker.store,
		    p->key.incarnation, p->number, p->key.version);
		row.first = to;
	}
	return store_add_ledger(worker.store, &row) &&
	    store_put_offset(worker.store, p->key.incarnation, p->number, to);
}

static bool
reset_apply(const struct reset *r)
{
	bool is_good = store_begin(worker.store);
	size_t i;

	for (i = 0; i < r->n && is_good; i++)
		is_good = reset_part(worker_part(r->ranges[i].partition),
		    &r->ranges[i], r->ranges[i].to);
	if (is_good && store_commit(worker.store))
		return true;
	log_error("%s: %s", worker.name, store_error(worker.store));
	store_rollback(worker.store);
	return false;
}

static void
reset_done(void *arg, const char *fault)
{
	struct reset *r = arg;
	struct json_object *o;

	if (fault == NULL && !worker.is_paused)
		fault = "it was resumed meanwhile";
	if (fault == NULL && !reset_apply(r))
		fault = "the database cannot be written";
	if (fault != NULL) {
		proc_reply_error(r->request, 503, "unavailable", "%s: %s",
		    worker.name, fault);
		reset_end(r);
		return;
	}
	worker_restart_flow();
	o = json_object_new_object();
	json_add_bool(o, "ok", true);
	proc_reply(r->request, 200, o);
	reset_end(r);
}

/* The target offset of a partition; false: a bad one, *fault says why. */
static bool
reset_target(struct json_object *targets, const struct part *p, uint64_t *to,
    char *fault, size_t size)
{
	struct follow_part *fp = follow_part_find(worker.follow, p->number);
	char name[16];

	snprintf(name, sizeof(name), "%u", p->number);
	*to = p->committed;
	if (json_member(targets, name) == NULL)
		return true;
	*to = json_get_u64(targets, name, UINT64_MAX);
	if (fp == NULL || *to > fp->high_watermark) {
		snprintf(fault, size, "partition %s has no offset %llu: its "
		    "end is %llu", name, (unsigned long long)*to,
		    (unsigned long long)(fp == NULL ? 0 :
		    fp->high_watermark));
		return false;
	}
	if (*to < fp->log_start)
		*to = fp->log_start;
	return true;
}

static bool
reset_is_possible(uint64_t id, struct json_object *args)
{
	uint64_t incarnation = json_get_u64(args, "incarnation", 0);

	if (!worker.is_paused || is_running || replay_is_running())
		proc_reply_error(id, 409, "not_paused", "%s is not paused, or "
		    "is being moved already: bulkhead connector pause %s",
		    worker.name, worker.name);
	else if (worker.part_count == 0 || !follow_is_current(worker.follow))
		proc_reply_error(id, 503, "unavailable", "%s does not know "
		    "its stream yet", worker.name);
	else if (incarnation != 0 && incarnation != worker.incarnation)
		proc_reply_error(id, 409, "conflict", "stream %s was made "
		    "anew meanwhile", worker.stream);
	else if (flow_under_way(worker.flow) > 0)
		proc_reply_error(id, 409, "busy", "%s still has batches under "
		    "way: try again", worker.name);
	else if (!commit_now())
		proc_reply_error(id, 503, "unavailable", "%s: %s",
		    worker.name, store_error(worker.store));
	else
		return true;
	return false;
}

void
reset_request(uint64_t id, struct json_object *args)
{
	struct json_object *targets = json_member(args, "partitions");
	struct reset *r;
	char fault[200];
	uint64_t to;
	size_t i;

	if (!reset_is_possible(id, args))
		return;
	r = mem_zalloc(1, sizeof(*r));
	r->request = id;
	r->ranges = mem_zalloc(worker.part_count + 1, sizeof(*r->ranges));
	for (i = 0; i < worker.part_count; i++) {
		struct part *p = &worker.parts[i];

		if (!reset_target(targets, p, &to, fault, sizeof(fault))) {
			proc_reply_error(id, 400, "invalid", "%s", fault);
			free(r->ranges);
			free(r);
			return;
		}
		if (to == p->committed)
			continue;
		r->ranges[r->n++] = (struct count_range){
		    .incarnation = worker.incarnation,
		    .partition = p->number, .from = p->committed,
		    .to = to, .topics = worker.topics};
	}
	is_running = true;
	count_start(r->ranges, r->n, reset_done, r);
}
