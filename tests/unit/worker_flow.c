/* links: worker */
#include "connector-worker/backoff.h"
#include "connector-worker/flow.h"
#include "connector-worker/keys.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define SENDS_MAX 64

/* A sink that is a list of what it was given, and a place to commit to. */
struct world {
	struct flow *flow;
	struct definition d;
	struct sink_caps caps;
	struct sink_batch *sends[SENDS_MAX];
	size_t n;
	struct batch *settled[SENDS_MAX];
	size_t settled_count;
	unsigned probes;
	struct flow_times now;
	bool is_down;
	unsigned failures;
};

static void
on_send(void *arg, struct sink_batch *b)
{
	struct world *w = arg;

	w->sends[w->n++] = b;
}

static void
on_probe(void *arg)
{
	((struct world *)arg)->probes++;
}

static void
on_settled(void *arg, struct batch *b)
{
	struct world *w = arg;

	w->settled[w->settled_count++] = b;
}

static void
on_available(void *arg, const char *reason)
{
	((struct world *)arg)->is_down = reason != NULL;
}

static void
on_failed(void *arg, const struct item *it, const char *reason, bool is_final)
{
	(void)it;
	(void)reason;
	(void)is_final;
	((struct world *)arg)->failures++;
}

static uint64_t
no_chance(void *arg)
{
	(void)arg;
	return 0;
}

static const struct flow_ops ops = {on_send, on_probe, on_settled,
    on_available, on_failed, no_chance};

static struct world *
world_new(unsigned in_flight, unsigned order)
{
	struct world *w = calloc(1, sizeof(*w));

	w->d = (struct definition){.in_flight = in_flight, .order = order,
	    .strategy = STRATEGY_DEAD_MESSAGE_QUEUE, .retry_total_times = 2,
	    .wait_time_ms = 100, .max_wait_ms = 1000, .max_bytes = 1 << 20};
	w->now = (struct flow_times){1000, 1700000000000};
	w->flow = flow_new(&w->d, &w->caps, &ops, w);
	return w;
}

static void
world_free(struct world *w)
{
	size_t i;

	for (i = 0; i < w->settled_count; i++)
		batch_free(w->settled[i]);
	flow_free(w->flow);
	free(w);
}

/* A batch of one record per letter: the letter is the key. */
static struct batch *
batch_of(uint64_t first, const char *keys)
{
	struct batch *b = batch_new(7, 0, first, 0);
	size_t i, n = strlen(keys);
	struct record rec;

	for (i = 0; i < n; i++) {
		rec = (struct record){.topic = slice_of(keys + i, 1),
		    .key = slice_of(keys + i, 1), .payload = SLICE_LIT("p"),
		    .offset = first + i};
		batch_add(b, &rec);
	}
	batch_seal(b, first + n);
	return b;
}

static void
turn(struct world *w)
{
	while (flow_turn(w->flow, w->now))
		;
}

/* The keys and offsets of a send: "a0 b1". */
static const char *
sent(const struct world *w, size_t i)
{
	static char text[200];
	const struct record *rec;
	size_t n = 0, j;

	text[0] = '\0';
	for (j = 0; j < w->sends[i]->count; j++) {
		rec = w->sends[i]->records[j]->rec;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s%d",
		    j == 0 ? "" : " ", SLICE_ARG(rec->key), (int)rec->offset);
	}
	return text;
}

static void
answer(struct world *w, size_t i, enum sink_outcome outcome)
{
	sink_answer_rest(w->sends[i], outcome, "why");
	turn(w);
}

Test(flow, delivers_in_flight_batches)
{
	struct world *w = world_new(2, SINK_ORDER_KEY);

	cr_assert(flow_wants(w->flow));
	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "cd"));
	flow_add(w->flow, batch_of(4, "ef"));
	turn(w);
	cr_assert_eq(w->n, 2);
	cr_assert_str_eq(sent(w, 0), "a0 b1");
	cr_assert_str_eq(sent(w, 1), "c2 d3");
	answer(w, 1, SINK_DELIVERED);
	cr_assert_eq(w->n, 3);
	cr_assert_eq(w->settled_count, 1);
	cr_assert_eq(w->settled[0]->first, 2);
	cr_assert_eq(w->settled[0]->tally.delivered, 2);
	cr_assert_eq(w->settled[0]->tally.matched, 2);
	answer(w, 0, SINK_DELIVERED);
	answer(w, 2, SINK_DELIVERED);
	cr_assert(flow_is_empty(w->flow));
	cr_assert_eq(flow_counts(w->flow)->delivered, 6);
	world_free(w);
}

Test(flow, an_empty_run_settles_at_once)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(5, ""));
	turn(w);
	cr_assert_eq(w->n, 0);
	cr_assert_eq(w->settled_count, 1);
	world_free(w);
}

Test(flow, keys_wait_for_their_own_only)
{
	struct world *w = world_new(3, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(0, "aab"));
	flow_add(w->flow, batch_of(3, "acab"));
	flow_add(w->flow, batch_of(7, "ad"));
	turn(w);
	cr_assert_eq(w->n, 3);
	cr_assert_str_eq(sent(w, 0), "a0 a1 b2");
	cr_assert_str_eq(sent(w, 1), "c4");
	cr_assert_str_eq(sent(w, 2), "d8");
	answer(w, 2, SINK_DELIVERED);
	cr_assert_eq(w->n, 3);
	/* b is free as soon as its send has ended, a with it. */
	answer(w, 0, SINK_DELIVERED);
	cr_assert_eq(w->n, 4);
	cr_assert_str_eq(sent(w, 3), "a3 a5 b6");
	answer(w, 3, SINK_DELIVERED);
	cr_assert_eq(w->n, 5);
	cr_assert_str_eq(sent(w, 4), "a7");
	answer(w, 1, SINK_DELIVERED);
	answer(w, 4, SINK_DELIVERED);
	cr_assert(flow_is_empty(w->flow));
	cr_assert_eq(w->settled_count, 3);
	world_free(w);
}

Test(flow, a_retry_holds_back_its_key_not_others)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "ab"));
	turn(w);
	sink_answer(w->sends[0]->records[0], SINK_RETRYABLE, "busy");
	sink_answer(w->sends[0]->records[1], SINK_DELIVERED, NULL);
	turn(w);
	cr_assert_eq(w->n, 2);
	cr_assert_str_eq(sent(w, 1), "b3");
	answer(w, 1, SINK_DELIVERED);
	cr_assert_eq(flow_due(w->flow), 1100);
	w->now.mono_ms = 1099;
	turn(w);
	cr_assert_eq(w->n, 2);
	w->now.mono_ms = 1100;
	turn(w);
	cr_assert_eq(w->n, 3);
	cr_assert_str_eq(sent(w, 2), "a0");
	cr_assert_eq(w->sends[2]->tries, 1);
	answer(w, 2, SINK_DELIVERED);
	cr_assert_eq(w->n, 4);
	cr_assert_str_eq(sent(w, 3), "a2");
	answer(w, 3, SINK_DELIVERED);
	cr_assert(flow_is_empty(w->flow));
	cr_assert_eq(flow_counts(w->flow)->retried, 1);
	world_free(w);
}

Test(flow, retries_end_in_the_dlq)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);
	struct dead *dead;
	int i;

	flow_add(w->flow, batch_of(0, "ab"));
	turn(w);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(w->n, (size_t)i + 1);
		sink_answer(w->sends[i]->records[0], SINK_RETRYABLE, "busy");
		sink_answer_rest(w->sends[i], SINK_DELIVERED, NULL);
		turn(w);
		w->now.mono_ms += 5000;
		turn(w);
	}
	cr_assert_eq(w->n, 3);
	cr_assert_eq(w->settled_count, 1);
	cr_assert_eq(w->settled[0]->tally.dlq, 1);
	cr_assert_eq(w->settled[0]->tally.delivered, 1);
	dead = w->settled[0]->dead;
	cr_assert_not_null(dead);
	cr_assert_null(dead->next);
	cr_assert_eq(dead->tries, 3);
	cr_assert_str_eq(dead->reason, "busy");
	cr_assert_str_eq(dead->error_class, "retryable");
	cr_assert_eq(dead->rec->offset, 0);
	cr_assert_eq(w->failures, 3);
	world_free(w);
}

Test(flow, refused_goes_at_once)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(0, "ab"));
	turn(w);
	sink_answer(w->sends[0]->records[0], SINK_REFUSED, "bad row");
	answer(w, 0, SINK_DELIVERED);
	cr_assert_eq(w->settled_count, 1);
	cr_assert_str_eq(w->settled[0]->dead->error_class, "refused");
	cr_assert_eq(w->settled[0]->dead->tries, 1);
	world_free(w);
}

Test(flow, discard_is_terminal_and_counted)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	w->d.strategy = STRATEGY_DISCARD;
	flow_add(w->flow, batch_of(0, "ab"));
	turn(w);
	answer(w, 0, SINK_RETRYABLE);
	cr_assert_eq(w->n, 1);
	cr_assert_eq(w->settled_count, 1);
	cr_assert_eq(w->settled[0]->tally.discarded, 2);
	cr_assert_null(w->settled[0]->dead);
	world_free(w);
}

Test(flow, discard_after_retry_retries_first)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);
	int i;

	w->d.strategy = STRATEGY_DISCARD_AFTER_RETRY;
	flow_add(w->flow, batch_of(0, "a"));
	turn(w);
	for (i = 0; i < 3; i++) {
		answer(w, (size_t)i, SINK_RETRYABLE);
		w->now.mono_ms += 5000;
		turn(w);
	}
	cr_assert_eq(w->n, 3);
	cr_assert_eq(w->settled[0]->tally.discarded, 1);
	world_free(w);
}

Test(flow, unavailable_spends_no_retry)
{
	struct world *w = world_new(2, SINK_ORDER_KEY);
	uint64_t since;
	int i;

	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "cd"));
	turn(w);
	answer(w, 0, SINK_UNAVAILABLE);
	cr_assert(w->is_down);
	cr_assert_str_eq(flow_unavailable(w->flow, &since), "why");
	cr_assert_eq(since, 1700000000000);
	answer(w, 1, SINK_UNAVAILABLE);
	cr_assert_not(flow_wants(w->flow) && !w->is_down);
	/* Again and again, one send at a time. */
	for (i = 2; i < 20; i++) {
		w->now.mono_ms += 2000;
		turn(w);
		cr_assert_eq(w->n, (size_t)i + 1);
		answer(w, (size_t)i, SINK_UNAVAILABLE);
	}
	w->now.mono_ms += 2000;
	turn(w);
	answer(w, w->n - 1, SINK_DELIVERED);
	cr_assert_not(w->is_down);
	answer(w, w->n - 1, SINK_DELIVERED);
	cr_assert(flow_is_empty(w->flow));
	cr_assert_eq(flow_counts(w->flow)->delivered, 4);
	cr_assert_eq(flow_counts(w->flow)->retried, 0);
	cr_assert_eq(flow_counts(w->flow)->dead, 0);
	world_free(w);
}

Test(flow, unsure_is_what_the_probe_says)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(0, "ab"));
	turn(w);
	sink_answer(w->sends[0]->records[0], SINK_DELIVERED, NULL);
	answer(w, 0, SINK_UNSURE);
	cr_assert_eq(w->probes, 1);
	cr_assert(flow_is_probing(w->flow));
	flow_probed(w->flow, false, "no answer");
	turn(w);
	cr_assert(w->is_down);
	cr_assert_eq(flow_counts(w->flow)->retried, 0);
	w->now.mono_ms += 5000;
	turn(w);
	cr_assert_str_eq(sent(w, 1), "b1");
	answer(w, 1, SINK_UNSURE);
	cr_assert_eq(w->probes, 2);
	flow_probed(w->flow, true, NULL);
	turn(w);
	cr_assert_not(w->is_down);
	cr_assert_eq(flow_counts(w->flow)->retried, 1);
	w->now.mono_ms += 5000;
	turn(w);
	answer(w, 2, SINK_DELIVERED);
	cr_assert(flow_is_empty(w->flow));
	world_free(w);
}

Test(flow, held_spends_no_retry)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	flow_add(w->flow, batch_of(0, "aa"));
	turn(w);
	cr_assert_eq(w->sends[0]->records[0]->order,
	    w->sends[0]->records[1]->order);
	sink_answer(w->sends[0]->records[0], SINK_RETRYABLE, "busy");
	answer(w, 0, SINK_HELD);
	w->now.mono_ms += 100;
	turn(w);
	cr_assert_str_eq(sent(w, 1), "a0 a1");
	sink_answer(w->sends[1]->records[0], SINK_REFUSED, "bad");
	answer(w, 1, SINK_HELD);
	/* What blocked it is gone: at once. */
	cr_assert_str_eq(sent(w, 2), "a1");
	answer(w, 2, SINK_DELIVERED);
	cr_assert_eq(w->settled[0]->tally.delivered, 1);
	cr_assert_eq(w->settled[0]->tally.dlq, 1);
	world_free(w);
}

Test(flow, partition_order_serialises_all)
{
	struct world *w = world_new(4, SINK_ORDER_PARTITION);

	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "cd"));
	turn(w);
	cr_assert_eq(w->n, 1);
	answer(w, 0, SINK_RETRYABLE);
	cr_assert_eq(w->n, 1);
	w->now.mono_ms += 100;
	turn(w);
	answer(w, 1, SINK_DELIVERED);
	cr_assert_eq(w->n, 3);
	cr_assert_str_eq(sent(w, 2), "c2 d3");
	answer(w, 2, SINK_DELIVERED);
	world_free(w);
}

Test(flow, no_order_keeps_nothing_back)
{
	struct world *w = world_new(2, SINK_ORDER_NONE);

	flow_add(w->flow, batch_of(0, "aa"));
	flow_add(w->flow, batch_of(2, "aa"));
	turn(w);
	cr_assert_eq(w->n, 2);
	cr_assert_eq(w->sends[0]->records[0]->order, 0);
	answer(w, 0, SINK_DELIVERED);
	answer(w, 1, SINK_DELIVERED);
	world_free(w);
}

Test(flow, serial_types_get_one_batch_at_a_time)
{
	struct world *w = world_new(4, SINK_ORDER_KEY);

	w->caps.serial = true;
	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "cd"));
	turn(w);
	cr_assert_eq(w->n, 1);
	answer(w, 0, SINK_UNAVAILABLE);
	cr_assert_eq(w->n, 1);
	w->now.mono_ms += 5000;
	turn(w);
	answer(w, 1, SINK_DELIVERED);
	cr_assert_eq(w->n, 3);
	answer(w, 2, SINK_DELIVERED);
	world_free(w);
}

Test(flow, pause_and_rate)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);

	w->d.rate_limit = 2;
	flow_pause(w->flow, true);
	flow_add(w->flow, batch_of(0, "ab"));
	flow_add(w->flow, batch_of(2, "cd"));
	turn(w);
	cr_assert_eq(w->n, 0);
	flow_pause(w->flow, false);
	turn(w);
	cr_assert_eq(w->n, 1);
	answer(w, 0, SINK_DELIVERED);
	cr_assert_eq(w->n, 1);
	cr_assert_eq(flow_due(w->flow), 2001);
	w->now.mono_ms = 2001;
	turn(w);
	cr_assert_eq(w->n, 2);
	answer(w, 1, SINK_DELIVERED);
	world_free(w);
}

Test(flow, replays_move_no_offset)
{
	struct world *w = world_new(1, SINK_ORDER_KEY);
	struct batch *b = batch_of(0, "ab");

	b->is_replay = true;
	b->items[0].dlq_row = 11;
	b->items[1].dlq_row = 12;
	flow_add(w->flow, b);
	turn(w);
	sink_answer(w->sends[0]->records[0], SINK_DELIVERED, NULL);
	answer(w, 0, SINK_RETRYABLE);
	cr_assert_eq(w->settled_count, 1);
	cr_assert_eq(b->tally.delivered, 0);
	cr_assert_eq(b->replayed->row, 11);
	cr_assert(b->replayed->is_delivered);
	cr_assert_eq(b->replayed->next->row, 12);
	cr_assert_not(b->replayed->next->is_delivered);
	world_free(w);
}

/* Random answers: every record ends once, and a key is never overtaken. */
Test(flow, random_answers_keep_every_promise)
{
	static const char letters[] = "abcdefg";
	static uint64_t latest[256];
	struct world *w = world_new(3, SINK_ORDER_KEY);
	unsigned seed = 11, round, n;
	uint64_t next = 0, settled = 0;
	const struct record *rec;
	enum sink_outcome o;
	bool is_stuck[256];
	char keys[8];
	size_t i, j;

	w->d.retry_total_times = 1000000;
	for (round = 0; round < 3000; round++) {
		while (round < 2500 && flow_wants(w->flow)) {
			n = 1 + (unsigned)rand_r(&seed) % 6;
			for (i = 0; i < n; i++)
				keys[i] = letters[rand_r(&seed) % 7];
			keys[n] = '\0';
			flow_add(w->flow, batch_of(next, keys));
			next += n;
		}
		w->now.mono_ms += 50;
		turn(w);
		for (i = 0; i < w->n; i++) {
			memset(is_stuck, 0, sizeof(is_stuck));
			for (j = 0; j < w->sends[i]->count; j++) {
				rec = w->sends[i]->records[j]->rec;
				o = rand_r(&seed) % 4 == 0 ? SINK_RETRYABLE :
				    SINK_DELIVERED;
				if (round > 2800)
					o = SINK_DELIVERED;
				if (is_stuck[rec->key.p[0]])
					o = SINK_HELD;
				if (o != SINK_DELIVERED) {
					is_stuck[rec->key.p[0]] = true;
				} else {
					cr_assert(latest[rec->key.p[0]] <=
					    rec->offset);
					latest[rec->key.p[0]] =
					    rec->offset + 1;
				}
				sink_answer(w->sends[i]->records[j], o, "x");
			}
		}
		w->n = 0;
		turn(w);
		for (i = 0; i < w->settled_count; i++) {
			settled += w->settled[i]->tally.delivered;
			cr_assert_eq(w->settled[i]->tally.delivered,
			    w->settled[i]->tally.matched);
			batch_free(w->settled[i]);
		}
		w->settled_count = 0;
	}
	cr_assert(flow_is_empty(w->flow));
	cr_assert_eq(settled, next);
	cr_assert_gt(next, 1000);
	world_free(w);
}

Test(keys, grow_and_shrink)
{
	struct keys *k = keys_new();
	struct item items[3] = {0};
	struct key_entry *e;
	uint64_t i;

	for (i = 0; i < 10000; i++)
		keys_add(k, i * 64)->count = i;
	cr_assert_eq(keys_count(k), 10000);
	for (i = 0; i < 10000; i++) {
		e = keys_find(k, i * 64);
		cr_assert_not_null(e);
		cr_assert_eq(e->count, i);
		key_line_up(e, &items[0]);
		key_line_up(e, &items[1]);
		cr_assert_eq(key_line_take(e), &items[0]);
		cr_assert_eq(key_line_take(e), &items[1]);
		cr_assert_null(key_line_take(e));
		if (i % 3 != 0)
			keys_remove(k, keys_find(k, i * 64));
	}
	for (i = 0; i < 10000; i++)
		cr_assert_eq(keys_find(k, i * 64) != NULL, i % 3 == 0);
	keys_free(k);
}

Test(backoff, doubles_to_the_longest)
{
	cr_assert_eq(backoff_wait(1, 100, 1000, 0), 100);
	cr_assert_eq(backoff_wait(2, 100, 1000, 0), 200);
	cr_assert_eq(backoff_wait(4, 100, 1000, 0), 800);
	cr_assert_eq(backoff_wait(5, 100, 1000, 0), 1000);
	cr_assert_eq(backoff_wait(4000000000u, 1, 1000, 0), 1000);
	cr_assert_eq(backoff_wait(1, 100, 1000, 25), 75);
	cr_assert_eq(backoff_wait(1, 100, 1000, 26), 100);
}
