#include "connector-worker/flow_room.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Batches that are open at once beyond those under way. */
#define WINDOW_EXTRA 32
#define WINDOW_BYTES (16u << 20)

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

struct send *
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

void
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

void
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

void
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
bool
flow_gates(const struct flow *f, const struct item *it)
{
	return it->pub.order != 0 && !f->caps->serial;
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
