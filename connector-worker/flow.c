#include "connector-worker/flow.h"

#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/backoff.h"
#include "connector-worker/keys.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define REASON_MAX 512
/* Batches that are open at once beyond those under way. */
#define WINDOW_EXTRA 32
#define WINDOW_BYTES (16u << 20)

enum send_state {
	SEND_READY,	/* to be sent as soon as may be */
	SEND_UNDER_WAY,
	SEND_PROBING,	/* all answered; waits for what the probe says */
	SEND_RETRY,	/* until due */
	SEND_UNAVAILABLE, /* until the target is back */
};

/* Records of one batch that go to the sink in one call. */
struct send {
	struct sink_batch pub;
	struct send *next, *prev;
	struct batch *batch;
	enum send_state state;
	size_t answered;
	uint64_t due;
	uint32_t tries;		/* of the record that was tried most */
};

struct flow {
	const struct definition *d;
	const struct sink_caps *caps;
	struct flow_ops ops;
	void *arg;
	struct batch *waiting, **waiting_tail;	/* not yet started */
	unsigned waiting_count;
	struct batch *started;			/* any order */
	unsigned started_count;
	size_t memory;
	struct send *sends;			/* all, oldest first */
	struct send *sends_last;
	unsigned under_way;
	unsigned active;			/* batches under way */
	bool has_answers;
	bool is_paused;
	bool is_probing;
	bool has_probe_answer;
	bool probe_is_up;
	char probe_reason[REASON_MAX];
	char down_reason[REASON_MAX];
	bool is_down;
	uint64_t down_since_ms;
	uint32_t down_tries;
	uint64_t down_due;
	uint64_t rate_next_us;
	struct keys *keys;
	struct flow_counts counts;
};

struct flow *
flow_new(const struct definition *d, const struct sink_caps *caps,
    const struct flow_ops *ops, void *arg)
{
	struct flow *f = mem_zalloc(1, sizeof(*f));

	f->d = d;
	f->caps = caps;
	f->ops = *ops;
	f->arg = arg;
	f->waiting_tail = &f->waiting;
	f->keys = keys_new();
	return f;
}

static void
batches_free(struct batch *b)
{
	struct batch *next;

	for (; b != NULL; b = next) {
		next = b->next;
		batch_free(b);
	}
}

static void
send_free(struct send *s)
{
	free(s->pub.records);
	free(s);
}

void
flow_free(struct flow *f)
{
	struct send *s;

	if (f == NULL)
		return;
	while ((s = f->sends) != NULL) {
		f->sends = s->next;
		send_free(s);
	}
	batches_free(f->waiting);
	batches_free(f->started);
	keys_free(f->keys);
	free(f);
}

/* --- the list of sends ----------------------------------------------- */

static struct send *
send_new(struct flow *f, struct batch *b)
{
	struct send *s = mem_zalloc(1, sizeof(*s));

	s->batch = b;
	s->pub.partition = b->partition;
	s->pub.first_offset = b->first;
	s->pub.last_offset = b->end == 0 ? 0 : b->end - 1;
	s->prev = f->sends_last;
	if (f->sends_last != NULL)
		f->sends_last->next = s;
	else
		f->sends = s;
	f->sends_last = s;
	b->sends++;
	return s;
}

static void
send_remove(struct flow *f, struct send *s)
{
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		f->sends = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	else
		f->sends_last = s->prev;
	s->batch->sends--;
	send_free(s);
}

static void
send_add_item(struct send *s, struct item *it)
{
	size_t n = s->pub.count;

	/* Doubles when n is a power of two: 0, 1, 2, 4 ... */
	if ((n & (n - 1)) == 0)
		s->pub.records = mem_realloc(s->pub.records,
		    (n == 0 ? 1 : n * 2) * sizeof(*s->pub.records));
	s->pub.records[s->pub.count++] = &it->pub;
	it->send = s;
}

static struct item *
item_of(struct sink_record *r)
{
	return (struct item *)(void *)((char *)r - offsetof(struct item, pub));
}

static struct send *
send_of(struct sink_batch *b)
{
	return (struct send *)(void *)((char *)b - offsetof(struct send, pub));
}

/* --- batches ---------------------------------------------------------- */

void
flow_add(struct flow *f, struct batch *b)
{
	bug_on(!b->is_sealed);
	b->next = NULL;
	*f->waiting_tail = b;
	f->waiting_tail = &b->next;
	f->waiting_count++;
	f->memory += b->memory;
}

bool
flow_wants(const struct flow *f)
{
	if (f->is_down && f->waiting_count > 0)
		return false;
	/* What an aggregate gathers is bounded by memory alone. */
	if (f->caps->aggregates)
		return f->memory < WINDOW_BYTES + f->d->max_bytes;
	return f->waiting_count < f->d->in_flight + 1 &&
	    f->waiting_count + f->started_count <
	    2 * f->d->in_flight + WINDOW_EXTRA &&
	    f->memory < WINDOW_BYTES + f->d->in_flight * f->d->max_bytes;
}

bool
flow_is_empty(const struct flow *f)
{
	return f->waiting == NULL && f->started == NULL;
}

unsigned
flow_under_way(const struct flow *f)
{
	return f->under_way;
}

unsigned
flow_batches(const struct flow *f)
{
	return f->waiting_count + f->started_count;
}

void
flow_pause(struct flow *f, bool is_paused)
{
	f->is_paused = is_paused;
}

static void
batch_settle(struct flow *f, struct batch *b)
{
	struct batch **at = &f->started;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->next = NULL;
	f->started_count--;
	f->memory -= b->memory;
	batch_drop_records(b);
	f->ops.settled(f->arg, b);
}

/* --- records ---------------------------------------------------------- */

static uint64_t
item_order(const struct flow *f, const struct item *it)
{
	uint64_t h;

	if (it->batch->is_replay || f->d->order == SINK_ORDER_NONE)
		return 0;
	if (f->d->order == SINK_ORDER_PARTITION)
		return (uint64_t)it->batch->partition + 1;
	h = XXH3_64bits(it->rec.key.p, it->rec.key.len);
	return h == 0 ? 1 : h;
}

/* A serial type has one batch at a time: nothing to keep apart. */
static bool
flow_gates(const struct flow *f, const struct item *it)
{
	return it->pub.order != 0 && !f->caps->serial;
}

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

/* --- sending ---------------------------------------------------------- */

static void
send_start(struct flow *f, struct send *s)
{
	size_t i;

	s->state = SEND_UNDER_WAY;
	s->answered = 0;
	s->pub.tries = s->tries;
	s->pub.data = NULL;
	for (i = 0; i < s->pub.count; i++) {
		item_of(s->pub.records[i])->state = ITEM_SENT;
		s->pub.records[i]->data = NULL;
	}
	if (s->batch->ready == s)
		s->batch->ready = NULL;
	if (s->batch->under_way++ == 0)
		f->active++;
	f->under_way++;
	f->counts.sends++;
	f->ops.send(f->arg, &s->pub);
}

/* A batch for the first time: all records that no earlier one holds back. */
static void
batch_start(struct flow *f, struct batch *b)
{
	struct key_entry *e;
	struct send *s = NULL;
	struct item *it;
	size_t i;

	b->next = f->started;
	f->started = b;
	f->started_count++;
	for (i = 0; i < b->count; i++) {
		it = &b->items[i];
		it->pub.order = item_order(f, it);
		if (s == NULL)
			s = send_new(f, b);
		if (flow_gates(f, it)) {
			e = keys_add(f->keys, it->pub.order);
			if (e->owner != NULL && e->owner != s) {
				it->state = ITEM_BLOCKED;
				key_line_up(e, it);
				continue;
			}
			e->owner = s;
			e->count++;
		}
		send_add_item(s, it);
	}
	if (s != NULL && s->pub.count == 0)
		send_remove(f, s);
	else if (s != NULL)
		send_start(f, s);
	if (b->left == 0)
		batch_settle(f, b);
}

static bool
rate_allows(struct flow *f, uint64_t now_ms)
{
	return f->d->rate_limit == 0 || now_ms * 1000 >= f->rate_next_us;
}

static void
rate_spend(struct flow *f, size_t records, uint64_t now_ms)
{
	if (f->d->rate_limit == 0)
		return;
	if (f->rate_next_us < now_ms * 1000)
		f->rate_next_us = now_ms * 1000;
	f->rate_next_us += records * UINT64_C(1000000) / f->d->rate_limit;
}

static bool
batch_may_start(struct flow *f, uint64_t now_ms)
{
	if (f->waiting == NULL || f->is_down || f->is_probing)
		return false;
	if (f->caps->serial && f->started != NULL)
		return false;
	/* An empty run only moves the offset. */
	if (f->waiting->count == 0)
		return true;
	return (f->caps->aggregates || f->active < f->d->in_flight) &&
	    rate_allows(f, now_ms);
}

static bool
flow_start_batches(struct flow *f, uint64_t now_ms)
{
	bool has_moved = false;
	struct batch *b;

	while (batch_may_start(f, now_ms)) {
		b = f->waiting;
		f->waiting = b->next;
		if (f->waiting == NULL)
			f->waiting_tail = &f->waiting;
		f->waiting_count--;
		rate_spend(f, b->count, now_ms);
		batch_start(f, b);
		has_moved = true;
	}
	return has_moved;
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

static bool
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

static bool
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

/* --- the turn --------------------------------------------------------- */

/* While the target is down only the oldest send is tried. */
static bool
flow_send_canary(struct flow *f, uint64_t now_ms)
{
	struct send *s;

	if (now_ms < f->down_due || f->under_way > 0 || f->is_probing)
		return false;
	for (s = f->sends; s != NULL; s = s->next)
		if (s->state == SEND_UNAVAILABLE) {
			send_start(f, s);
			return true;
		}
	return false;
}

static bool
flow_send_due(struct flow *f, uint64_t now_ms)
{
	bool has_moved = false;
	struct send *s, *next;

	for (s = f->sends; s != NULL; s = next) {
		next = s->next;
		if (s->state == SEND_READY ||
		    (s->state == SEND_RETRY && s->due <= now_ms)) {
			send_start(f, s);
			has_moved = true;
		}
	}
	return has_moved;
}

bool
flow_turn(struct flow *f, struct flow_times now)
{
	bool has_moved = flow_end_probe(f, now);

	has_moved |= flow_take_answers(f, now);
	if (f->is_paused)
		return has_moved;
	if (f->is_down)
		return flow_send_canary(f, now.mono_ms) || has_moved;
	if (f->is_probing)
		return has_moved;
	has_moved |= flow_send_due(f, now.mono_ms);
	return flow_start_batches(f, now.mono_ms) || has_moved;
}

uint64_t
flow_due(const struct flow *f)
{
	uint64_t due = UINT64_MAX;
	const struct send *s;

	if (f->is_paused || f->is_probing)
		return due;
	if (f->is_down)
		return f->under_way > 0 ? due : f->down_due;
	for (s = f->sends; s != NULL; s = s->next)
		if (s->state == SEND_RETRY && s->due < due)
			due = s->due;
	if (f->waiting != NULL && f->active < f->d->in_flight &&
	    f->d->rate_limit != 0 && f->rate_next_us / 1000 + 1 < due)
		due = f->rate_next_us / 1000 + 1;
	return due;
}

const char *
flow_unavailable(const struct flow *f, uint64_t *since_ms)
{
	if (!f->is_down)
		return NULL;
	*since_ms = f->down_since_ms;
	return f->down_reason;
}

const struct flow_counts *
flow_counts(const struct flow *f)
{
	return &f->counts;
}

void
flow_each_under_way(const struct flow *f,
    void (*cb)(const struct batch *, void *), void *arg)
{
	const struct batch *b;

	for (b = f->started; b != NULL; b = b->next)
		if (b->under_way > 0)
			cb(b, arg);
}
