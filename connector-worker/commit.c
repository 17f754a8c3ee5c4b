#include "base/clock.h"
#include "base/log.h"
#include "base/props.h"
#include "connector-worker/worker.h"
#include "ipc/proc.h"

#include <stdio.h>

/* At most a tenth of the time goes into commits while there is traffic. */
#define COMMIT_MIN_MS 5
#define COMMIT_MAX_MS 200
#define COMMIT_SHARE 10
#define COMMIT_AGAIN_MS 1000

void
commit_settled(struct batch *b)
{
	uint64_t now = clock_mono_ms();

	b->is_settled = true;
	b->next = NULL;
	if (worker.settled == NULL) {
		worker.settled_tail = &worker.settled;
		worker.settled_since_ms = now;
	}
	*worker.settled_tail = b;
	worker.settled_tail = &b->next;
	worker.settled_count++;
	if (b->tally.delivered > 0)
		worker.last_success_ms = clock_wall_ms();
}

/* Settled, and so is all before it in its partition. */
static bool
batch_is_ready(const struct batch *b)
{
	const struct part *p;
	const struct batch *at;

	if (b->is_replay)
		return true;
	p = worker_part(b->partition);
	if (p == NULL)
		return false;
	for (at = p->first; at != NULL && at->is_settled; at = at->after)
		if (at == b)
			return true;
	return false;
}

static bool
commit_has_ready(void)
{
	const struct batch *b;
	size_t i;

	for (i = 0; i < worker.part_count; i++)
		if (worker.parts[i].first != NULL &&
		    worker.parts[i].first->is_settled)
			return true;
	for (b = worker.settled; b != NULL; b = b->next)
		if (b->is_replay)
			return true;
	return false;
}

/* --- the transaction --------------------------------------------------- */

static bool
put_dead(const struct part *p, const struct batch *b)
{
	const struct dead *d;

	for (d = b->dead; d != NULL; d = d->next)
		if (!store_put_dead(worker.store, &p->key, worker.name, d))
			return false;
	return true;
}

static bool
put_keeps(const struct batch *b)
{
	const struct keep *k;

	for (k = b->keeps; k != NULL; k = k->next)
		if (!store_put_keep(worker.store, k->key, k->value))
			return false;
	return true;
}

static bool
put_replayed(const struct batch *b)
{
	const struct replayed *r;
	bool is_good = true;

	for (r = b->replayed; r != NULL && is_good; r = r->next)
		is_good = r->is_delivered ?
		    store_dlq_remove(worker.store, r->row, true) :
		    store_dlq_failed_again(worker.store, r->row, r->reason,
		    r->failure_ms);
	return is_good;
}

/* The settled head of a partition: rows, ledger, offset. */
static bool
put_part(const struct part *p)
{
	struct ledger_row row = {.key = p->key, .first = p->row_first};
	const struct batch *b;

	if (p->first == NULL || !p->first->is_settled)
		return true;
	for (b = p->first; b != NULL && b->is_settled; b = b->after) {
		if (b->begins_segment) {
			row.next = b->first;
			if (!store_add_ledger(worker.store, &row) ||
			    !store_put_mark(worker.store, &p->key, b->first))
				return false;
			row.tally = (struct tally){0};
		}
		if (!put_dead(p, b))
			return false;
		tally_add(&row.tally, &b->tally);
		row.next = b->end;
		if (worker.sink.type->caps.keys_batch &&
		    !store_clear_bounds(worker.store, b))
			return false;
	}
	return store_add_ledger(worker.store, &row) &&
	    store_put_offset(worker.store, p->key.incarnation, p->number,
	    row.next);
}

static bool
put_all(void)
{
	const struct batch *b;
	size_t i;

	/* Sink state goes in as it came about, not in the log's order. */
	for (b = worker.settled; b != NULL; b = b->next) {
		if (b->keeps != NULL && batch_is_ready(b) && !put_keeps(b))
			return false;
		if (b->is_replay && !put_replayed(b))
			return false;
	}
	for (i = 0; i < worker.part_count; i++)
		if (!put_part(&worker.parts[i]))
			return false;
	return true;
}

/* --- after it ---------------------------------------------------------- */

/* The topic gets a copy; the row is what counts. */
static void
dead_publish(const struct dead *d)
{
	struct record_header own[4] = {
		{SLICE_LIT("dlq-connector"), slice_str(worker.name)},
		{SLICE_LIT("dlq-topic"), d->rec->topic},
		{SLICE_LIT("dlq-error"), slice_str(d->reason)},
		{SLICE_LIT("dlq-error-class"), slice_str(d->error_class)},
	};
	struct buf props;
	size_t i;

	buf_init(&props);
	record_props_put(d->rec, &props);
	for (i = 0; i < 4; i++)
		props_add_header(&props, own[i].name, own[i].value);
	if (!router_publish(slice_str(worker.d->dead_topic), d->rec,
	    buf_slice(&props)))
		log_limited(LOG_WARN, "%s: dead letters are not published to "
		    "%s: no router", worker.name, worker.d->dead_topic);
	buf_fini(&props);
}

static void
batch_done(struct part *p, struct batch *b)
{
	const struct dead *d;

	tally_add(&worker.totals.tally, &b->tally);
	worker.dlq_rows += b->tally.dlq;
	if (worker.d->dead_topic != NULL)
		for (d = b->dead; d != NULL; d = d->next)
			dead_publish(d);
	p->committed = b->end;
}

static void
part_done(struct part *p)
{
	struct follow_part *fp;
	struct batch *b;
	bool has_moved = false;

	while ((b = p->first) != NULL && b->is_settled) {
		p->first = b->after;
		if (p->first == NULL)
			p->last = &p->first;
		batch_done(p, b);
		/* Marks it for the list below. */
		b->after = b;
		has_moved = true;
	}
	fp = worker.follow == NULL ? NULL :
	    follow_part_find(worker.follow, p->number);
	if (has_moved && fp != NULL)
		follow_consumed(worker.follow, fp, p->committed);
}

static void
settled_drop_done(void)
{
	struct batch **at = &worker.settled, *b;

	while ((b = *at) != NULL) {
		if (!b->is_replay && b->after != b) {
			at = &b->next;
			continue;
		}
		*at = b->next;
		worker.settled_count--;
		if (b->is_replay)
			replay_settled(b);
		batch_free(b);
	}
	worker.settled_tail = at;
	worker.settled_since_ms = clock_mono_ms();
}

static void
commit_failed(void)
{
	char text[600];

	snprintf(text, sizeof(text), "%s: nothing can be committed: %s",
	    worker.name, store_error(worker.store));
	store_rollback(worker.store);
	if (worker.commit_again_ms == 0)
		log_error("%s", text);
	proc_degraded("commit", text);
	worker.commit_again_ms = clock_mono_ms() + COMMIT_AGAIN_MS;
}

static bool
commit_with(struct slice key, struct slice value)
{
	uint64_t start = clock_mono_us();
	size_t i;

	if (!store_begin(worker.store) || !put_all() ||
	    (!slice_is_null(key) &&
	    !store_put_keep(worker.store, key, value)) ||
	    !store_commit(worker.store)) {
		commit_failed();
		return false;
	}
	if (worker.commit_again_ms != 0)
		proc_degraded("commit", NULL);
	worker.commit_again_ms = 0;
	worker.commits++;
	for (i = 0; i < worker.part_count; i++)
		part_done(&worker.parts[i]);
	settled_drop_done();
	worker.commit_cost_ms = (clock_mono_us() - start + 999) / 1000;
	rates_note(&worker.rates, clock_mono_ms(),
	    worker.totals.tally.delivered);
	return true;
}

bool
commit_now(void)
{
	return !commit_has_ready() || commit_with(SLICE_NULL, SLICE_NULL);
}

bool
commit_keep_now(struct slice key, struct slice value)
{
	return commit_with(key, value);
}

static uint64_t
commit_wait(void)
{
	uint64_t wait = worker.commit_cost_ms * COMMIT_SHARE;

	return wait < COMMIT_MIN_MS ? COMMIT_MIN_MS :
	    wait > COMMIT_MAX_MS ? COMMIT_MAX_MS : wait;
}

bool
commit_turn(uint64_t now_ms, bool is_idle)
{
	if (worker.settled == NULL || now_ms < worker.commit_again_ms ||
	    !commit_has_ready())
		return false;
	if (!is_idle && worker.commit_again_ms == 0 &&
	    now_ms < worker.settled_since_ms + commit_wait())
		return false;
	return commit_with(SLICE_NULL, SLICE_NULL);
}

uint64_t
commit_due(void)
{
	if (worker.settled == NULL || !commit_has_ready())
		return UINT64_MAX;
	if (worker.commit_again_ms != 0)
		return worker.commit_again_ms;
	return worker.settled_since_ms + commit_wait();
}
