#include "connector-worker/flow_room.h"

#include "base/log.h"
#include "connector-worker/backoff.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the end of records ----------------------------------------------- */

/* The line behind a key whose owner is done: its next batch takes over. */
static void
key_pass_on(struct flow *f, struct key_entry *e)
{
	struct item *it = key_line_take(e);
	struct batch *b;

	if (it == NULL) {
		keys_remove(f->keys, e);
		return;
	}
	b = it->batch;
	if (b->ready == NULL)
		b->ready = send_new(f, b);
	e->owner = b->ready;
	while (it != NULL) {
		it->state = ITEM_NEW;
		send_add_item(b->ready, it);
		e->count++;
		if (e->first == NULL || e->first->batch != b)
			break;
		it = key_line_take(e);
	}
}

static void
item_settle(struct flow *f, struct item *it)
{
	struct key_entry *e;

	it->state = ITEM_FINAL;
	it->send = NULL;
	it->batch->left--;
	if (!flow_gates(f, it))
		return;
	e = keys_find(f->keys, it->pub.order);
	if (--e->count == 0)
		key_pass_on(f, e);
}

static void
item_deliver(struct flow *f, struct item *it)
{
	f->counts.delivered++;
	if (it->batch->is_replay)
		batch_add_replayed(it->batch, it, true);
	else
		it->batch->tally.delivered++;
	item_settle(f, it);
}

/* The end of a record that the target will not have. */
static void
item_give_up(struct flow *f, struct item *it, const char *error_class)
{
	f->ops.failed(f->arg, it, it->reason, true);
	if (it->batch->is_replay) {
		batch_add_replayed(it->batch, it, false);
	} else if (f->d->strategy == STRATEGY_DEAD_MESSAGE_QUEUE) {
		f->counts.dead++;
		it->batch->tally.dlq++;
		batch_add_dead(it->batch, it, error_class);
	} else {
		f->counts.discarded++;
		it->batch->tally.discarded++;
	}
	item_settle(f, it);
}

static uint32_t
flow_tries_max(const struct flow *f, const struct item *it)
{
	/* A replay was retried before; it is tried once. */
	if (it->batch->is_replay || f->d->strategy == STRATEGY_DISCARD)
		return 1;
	return f->d->retry_total_times + 1;
}

/* --- answers ---------------------------------------------------------- */

void
sink_answer(struct sink_record *r, enum sink_outcome outcome,
    const char *reason)
{
	struct item *it = item_of(r);

	bug_on(it->state != ITEM_SENT);
	it->state = ITEM_ANSWERED;
	it->outcome = outcome;
	if (outcome != SINK_DELIVERED && outcome != SINK_HELD) {
		free(it->reason);
		it->reason = reason == NULL ? NULL :
		    slice_dup(slice_of(reason, strnlen(reason, REASON_MAX)));
	}
	it->send->answered++;
}

void
sink_answer_rest(struct sink_batch *b, enum sink_outcome outcome,
    const char *reason)
{
	size_t i;

	for (i = 0; i < b->count; i++)
		if (item_of(b->records[i])->state == ITEM_SENT)
			sink_answer(b->records[i], outcome, reason);
}

void
sink_keep(struct sink_batch *b, struct slice key, struct slice value)
{
	batch_add_keep(send_of(b)->batch, key, value);
}

static void
flow_go_down(struct flow *f, const char *reason, struct flow_times now)
{
	uint64_t wait;

	if (!f->is_down) {
		f->is_down = true;
		f->down_since_ms = now.wall_ms;
		f->down_tries = 0;
	}
	f->down_tries++;
	wait = backoff_wait(f->down_tries, f->d->wait_time_ms,
	    f->d->max_wait_ms, f->ops.chance(f->arg));
	f->down_due = now.mono_ms + wait;
	snprintf(f->down_reason, sizeof(f->down_reason), "%s",
	    reason == NULL || reason[0] == '\0' ? "unavailable" : reason);
	f->ops.available(f->arg, f->down_reason);
}

static void
flow_come_back(struct flow *f, struct flow_times now)
{
	struct send *s;

	if (!f->is_down)
		return;
	f->is_down = false;
	f->ops.available(f->arg, NULL);
	for (s = f->sends; s != NULL; s = s->next)
		if (s->state == SEND_UNAVAILABLE) {
			s->state = SEND_RETRY;
			s->due = now.mono_ms;
		}
}

static void
item_note_failure(struct flow *f, struct item *it, struct flow_times now)
{
	if (it->first_failure_ms == 0)
		it->first_failure_ms = now.wall_ms;
	it->last_failure_ms = now.wall_ms;
	it->tries++;
	if (it->tries < flow_tries_max(f, it)) {
		f->counts.retried++;
		f->ops.failed(f->arg, it, it->reason, false);
	}
}

/* What an answer makes of its record; true if it stays in the send. */
static bool
item_apply(struct flow *f, struct item *it, struct flow_times now)
{
	switch (it->outcome) {
	case SINK_DELIVERED:
		item_deliver(f, it);
		return false;
	case SINK_REFUSED:
		item_note_failure(f, it, now);
		item_give_up(f, it, "refused");
		return false;
	case SINK_RETRYABLE:
		item_note_failure(f, it, now);
		if (it->tries >= flow_tries_max(f, it)) {
			item_give_up(f, it, "retryable");
			return false;
		}
		break;
	case SINK_UNAVAILABLE:
	case SINK_UNSURE:
	case SINK_HELD:
		break;
	}
	it->state = ITEM_WAITING;
	return true;
}

struct answers {
	size_t unavailable, retryable, unsure, delivered;
	const char *reason;	/* of the first unavailable or unsure one */
};

static void
send_look(const struct send *s, struct answers *a)
{
	const struct item *it;
	size_t i;

	*a = (struct answers){0};
	for (i = 0; i < s->pub.count; i++) {
		it = item_of(s->pub.records[i]);
		a->unavailable += it->outcome == SINK_UNAVAILABLE;
		a->retryable += it->outcome == SINK_RETRYABLE;
		a->unsure += it->outcome == SINK_UNSURE;
		a->delivered += it->outcome == SINK_DELIVERED;
		if ((it->outcome == SINK_UNAVAILABLE ||
		    it->outcome == SINK_UNSURE) && a->reason == NULL)
			a->reason = it->reason;
	}
}

/* Settles what can be and keeps the rest in the send, in order. */
static void
send_apply(struct flow *f, struct send *s, struct flow_times now)
{
	size_t i, n = s->pub.count, kept = 0;
	struct item *it;

	s->tries = 0;
	for (i = 0; i < n; i++) {
		it = item_of(s->pub.records[i]);
		if (!item_apply(f, it, now))
			continue;
		if (it->tries > s->tries)
			s->tries = it->tries;
		s->pub.records[kept++] = &it->pub;
	}
	/* The array keeps its room: it never grows again. */
	s->pub.count = kept;
}

static void
send_end(struct flow *f, struct send *s, const struct answers *a,
    struct flow_times now)
{
	struct batch *b = s->batch;

	if (a->unavailable > 0)
		flow_go_down(f, a->reason, now);
	else
		flow_come_back(f, now);
	send_apply(f, s, now);
	if (s->pub.count == 0) {
		send_remove(f, s);
		if (b->left == 0)
			batch_settle(f, b);
		return;
	}
	s->state = a->unavailable > 0 ? SEND_UNAVAILABLE : SEND_RETRY;
	s->due = now.mono_ms;
	if (a->unavailable == 0 && a->retryable > 0)
		s->due += backoff_wait(s->tries, f->d->wait_time_ms,
		    f->d->max_wait_ms, f->ops.chance(f->arg));
}

/* What was unsure is now one or the other. */
static void
send_resolve(struct send *s, enum sink_outcome outcome)
{
	struct item *it;
	size_t i;

	for (i = 0; i < s->pub.count; i++) {
		it = item_of(s->pub.records[i]);
		if (it->outcome == SINK_UNSURE)
			it->outcome = outcome;
	}
}

static void
send_answered(struct flow *f, struct send *s, struct flow_times now)
{
	struct answers a;

	f->under_way--;
	if (--s->batch->under_way == 0)
		f->active--;
	send_look(s, &a);
	if (a.unsure > 0 && a.unavailable == 0) {
		s->state = SEND_PROBING;
		if (!f->is_probing) {
			f->is_probing = true;
			f->has_probe_answer = false;
			f->ops.probe(f->arg);
		}
		return;
	}
	/* Unavailable is certain of the whole target. */
	send_resolve(s, SINK_UNAVAILABLE);
	send_look(s, &a);
	send_end(f, s, &a, now);
}

void
flow_probed(struct flow *f, bool is_up, const char *reason)
{
	if (!f->is_probing)
		return;
	f->has_probe_answer = true;
	f->probe_is_up = is_up;
	snprintf(f->probe_reason, sizeof(f->probe_reason), "%s",
	    reason == NULL ? "the probe failed" : reason);
}

bool
flow_is_probing(const struct flow *f)
{
	return f->is_probing && !f->has_probe_answer;
}

bool
flow_end_probe(struct flow *f, struct flow_times now)
{
	struct send *s, *next;
	struct answers a;

	if (!f->is_probing || !f->has_probe_answer)
		return false;
	f->is_probing = false;
	for (s = f->sends; s != NULL; s = next) {
		next = s->next;
		if (s->state != SEND_PROBING)
			continue;
		send_resolve(s, f->probe_is_up ? SINK_RETRYABLE :
		    SINK_UNAVAILABLE);
		send_look(s, &a);
		if (!f->probe_is_up && a.reason == NULL)
			a.reason = f->probe_reason;
		send_end(f, s, &a, now);
	}
	return true;
}

bool
flow_take_answers(struct flow *f, struct flow_times now)
{
	bool has_moved = false;
	struct send *s, *next;

	for (s = f->sends; s != NULL; s = next) {
		next = s->next;
		if (s->state != SEND_UNDER_WAY ||
		    s->answered < s->pub.count)
			continue;
		send_answered(f, s, now);
		has_moved = true;
	}
	return has_moved;
}
