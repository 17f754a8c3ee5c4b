/* links: router_room */
#include "router/queue.h"

#include "base/mem.h"

#include <criterion/criterion.h>

#include <stdlib.h>

#define ALL UINT64_MAX

static void
queue_copy(struct queue *to, const struct queue *from)
{
	*to = *from;
	if (from->ring == NULL)
		return;
	to->ring = mem_alloc(from->cap * sizeof(*to->ring));
	memcpy(to->ring, from->ring, from->cap * sizeof(*to->ring));
}

/* Row and log as a crash would find them; the queue that they give. */
static void
queue_crash(struct queue *q, const struct queue_entry *log, uint64_t first,
    size_t n)
{
	struct buf row = {0};
	struct queue again;

	queue_put(q, &row);
	cr_assert(queue_get(&again, q->floor, q->next, buf_slice(&row)));
	for (size_t i = 0; i < n; i++)
		queue_restore(&again, first + i, log[i].offset, log[i].size,
		    log[i].qos);
	cr_assert_eq(queue_settle(&again), 0);
	buf_fini(&row);
	queue_fini(q);
	*q = again;
}

Test(router_queue, sends_in_order_within_the_window)
{
	struct queue q;

	queue_init(&q);
	for (uint64_t i = 1; i <= 5; i++)
		cr_assert_eq(queue_add(&q, 100 + i, 10, 1), i);
	cr_assert_eq(queue_peek(&q, 101, 10), 0, "nothing committed");
	for (uint64_t i = 1; i <= 2; i++) {
		cr_assert_eq(queue_peek(&q, 200, 2), i);
		queue_sent(&q, i);
	}
	cr_assert_eq(queue_peek(&q, 200, 2), 0, "receive maximum");
	cr_assert(queue_puback(&q, 2));
	cr_assert_eq(q.floor, 1);
	cr_assert_eq(queue_peek(&q, 200, 2), 3);
	cr_assert(queue_puback(&q, 1));
	cr_assert_eq(q.floor, 3);
	cr_assert_eq(q.count, 3);
	cr_assert_eq(q.bytes, 30);
	queue_fini(&q);
}

Test(router_queue, never_spans_more_than_the_packet_identifiers)
{
	struct queue q;
	uint64_t seq;

	queue_init(&q);
	for (uint64_t i = 1; i <= 70000; i++)
		queue_add(&q, i, 1, 1);
	queue_sent(&q, queue_peek(&q, ALL, 65535));
	for (uint64_t i = 2; i <= 65535; i++) {
		seq = queue_peek(&q, ALL, 65535);
		cr_assert_eq(seq, i);
		queue_sent(&q, seq);
		queue_puback(&q, seq);
	}
	cr_assert_eq(queue_peek(&q, ALL, 65535), 0);
	queue_puback(&q, 1);
	cr_assert_eq(queue_peek(&q, ALL, 65535), 65536);
	queue_fini(&q);
}

Test(router_queue, a_lost_connection_repeats_what_was_sent_first)
{
	struct queue q;

	queue_init(&q);
	queue_add(&q, 1, 1, 1);
	queue_add(&q, 2, 1, 2);
	queue_add(&q, 3, 1, 2);
	for (int i = 0; i < 3; i++)
		queue_sent(&q, queue_peek(&q, ALL, 10));
	cr_assert(queue_pubrec(&q, 2));
	cr_assert_not(queue_pubrec(&q, 2));
	cr_assert_not(queue_pubrec(&q, 1), "QoS 1 has no PUBREC");
	queue_detach(&q);
	cr_assert_eq(q.in_flight, 1);
	cr_assert_eq(queue_next_received(&q, 0), 2);
	cr_assert_eq(queue_next_received(&q, 3), 0);
	cr_assert_eq(queue_peek(&q, ALL, 10), 1);
	cr_assert(queue_find(&q, 1)->is_dup);
	queue_sent(&q, 1);
	cr_assert_eq(queue_peek(&q, ALL, 10), 3, "not what was received");
	cr_assert(queue_pubcomp(&q, 2));
	queue_fini(&q);
}

Test(router_queue, reclaimed_entries_are_not_sent_again)
{
	struct queue q;

	queue_init(&q);
	for (int i = 0; i < 4; i++)
		queue_add(&q, (uint64_t)i, 1, 1);
	queue_reclaim(&q, 1);
	queue_reclaim(&q, 3);
	queue_reclaim(&q, 99);
	cr_assert_eq(q.in_flight, 2);
	cr_assert_eq(queue_peek(&q, ALL, 10), 2);
	queue_sent(&q, 2);
	cr_assert_eq(queue_peek(&q, ALL, 10), 4);
	queue_fini(&q);
}

Test(router_queue, what_was_not_met_by_recovery_is_let_go)
{
	struct queue q;

	cr_assert(queue_get(&q, 5, 9, SLICE_EMPTY));
	queue_restore(&q, 4, 1, 1, 1);
	queue_restore(&q, 6, 2, 1, 1);
	queue_restore(&q, 10, 3, 1, 2);
	cr_assert_eq(queue_settle(&q), 4);
	cr_assert_eq(q.floor, 6);
	cr_assert_eq(q.next, 11);
	cr_assert_eq(q.count, 2);
	cr_assert_eq(queue_first_offset(&q), 2);
	queue_restore(&q, 6, 50, 1, 1);
	cr_assert_eq(queue_first_offset(&q), 3, "copied forward");
	queue_fini(&q);
}

Test(router_queue, refuses_rows_that_contradict_themselves)
{
	struct queue q;

	cr_assert_not(queue_get(&q, 0, 5, SLICE_EMPTY));
	cr_assert_not(queue_get(&q, 6, 5, SLICE_EMPTY));
	cr_assert_not(queue_get(&q, 1, 5, SLICE_LIT("\x80")));
	cr_assert_not(queue_get(&q, 1, 5, SLICE_LIT("\x01")), "empty run");
	cr_assert_not(queue_get(&q, 1, 5, SLICE_LIT("\x07")), "class 3");
	cr_assert_not(queue_get(&q, 1, 5, SLICE_LIT("\x19")), "too long");
	cr_assert(queue_get(&q, 1, 5, SLICE_LIT("\x04\x05\x04\x06")));
	cr_assert_eq(q.in_flight, 1);
	queue_fini(&q);
}

Test(router_queue, a_row_that_is_older_than_the_crash)
{
	struct queue q;

	cr_assert(queue_get(&q, 1, 3, SLICE_EMPTY));
	for (uint64_t seq = 1; seq <= 5; seq++)
		queue_restore(&q, seq, seq, 1, 1);
	cr_assert_eq(queue_settle(&q), 0);
	queue_suspect(&q, 3);
	cr_assert(queue_find(&q, 3)->is_dup);
	cr_assert_not(queue_find(&q, 4)->is_dup);
	queue_reclaim(&q, 1);
	queue_absolve(&q);
	cr_assert_not(queue_find(&q, 2)->is_dup);
	queue_detach(&q);
	cr_assert(queue_find(&q, 1)->is_dup);
	cr_assert_eq(queue_peek(&q, ALL, 5), 1);
	queue_fini(&q);
}

/*
 * Every order of events over a QoS 1 and two QoS 2 messages, to a depth, with
 * what the client has seen as the model.
 */
enum event {
	SEND,
	PUBACK,
	PUBREC2,
	PUBREC3,
	PUBCOMP2,
	PUBCOMP3,
	DETACH,
	CRASH,
	EVENT_COUNT,
};

struct model {
	unsigned got[4];	/* times sent */
	bool recd[4], done[4];
	uint64_t last_on_conn;
};

#define DEPTH 8

static void
check_queue(const struct queue *q, const struct model *m)
{
	uint32_t in_flight = 0, count = 0;

	for (uint64_t seq = 1; seq <= 3; seq++) {
		struct queue_entry *e = queue_find(q, seq);

		cr_assert_eq(m->done[seq], e == NULL);
		if (e == NULL)
			continue;
		count++;
		in_flight += e->state != ENTRY_WAITING;
		cr_assert_eq(m->recd[seq], e->state == ENTRY_RECEIVED);
		if (e->state == ENTRY_WAITING)
			cr_assert_eq(e->is_dup, m->got[seq] > 0);
		cr_assert_leq(q->floor, seq);
	}
	cr_assert_eq(q->in_flight, in_flight);
	cr_assert_eq(q->count, count);
	cr_assert_eq(q->bytes, 10 * count);
}

static bool
model_sent(struct model *m, uint64_t seq)
{
	if (seq == 0)
		return false;
	cr_assert(!m->done[seq] && !m->recd[seq]);
	cr_assert_gt(seq, m->last_on_conn, "order on one connection");
	m->last_on_conn = seq;
	m->got[seq]++;
	return true;
}

static bool
model_step(struct queue *q, struct model *m, enum event ev)
{
	static const struct queue_entry log[3] = {
	    {.offset = 1, .size = 10, .qos = 1},
	    {.offset = 2, .size = 10, .qos = 2},
	    {.offset = 3, .size = 10, .qos = 2}};
	uint64_t seq;

	switch (ev) {
	case SEND:
		seq = queue_peek(q, ALL, 2);
		if (!model_sent(m, seq))
			return false;
		queue_sent(q, seq);
		return true;
	case PUBACK:
		if (m->got[1] == 0)
			return false;
		cr_assert_eq(queue_puback(q, 1), !m->done[1]);
		m->done[1] = true;
		return true;
	case PUBREC2:
	case PUBREC3:
		seq = ev == PUBREC2 ? 2 : 3;
		if (m->got[seq] == 0)
			return false;
		cr_assert_eq(queue_pubrec(q, seq),
		    !m->recd[seq] && !m->done[seq]);
		m->recd[seq] |= !m->done[seq];
		return true;
	case PUBCOMP2:
	case PUBCOMP3:
		seq = ev == PUBCOMP2 ? 2 : 3;
		if (m->got[seq] == 0)
			return false;
		cr_assert_eq(queue_pubcomp(q, seq), m->recd[seq]);
		m->done[seq] |= m->recd[seq];
		m->recd[seq] = false;
		return true;
	case DETACH:
		queue_detach(q);
		m->last_on_conn = 0;
		return true;
	case CRASH:
		queue_crash(q, log, 1, 3);
		m->last_on_conn = 0;
		return true;
	case EVENT_COUNT:
		break;
	}
	return false;
}

static void
explore(const struct queue *q, const struct model *m, int depth)
{
	if (depth == 0)
		return;
	for (enum event ev = SEND; ev < EVENT_COUNT; ev++) {
		struct queue q2;
		struct model m2 = *m;

		queue_copy(&q2, q);
		if (model_step(&q2, &m2, ev)) {
			check_queue(&q2, &m2);
			explore(&q2, &m2, depth - 1);
		}
		queue_fini(&q2);
	}
}

Test(router_queue, every_order_of_answers_reconnects_and_crashes)
{
	struct queue q;
	struct model m = {0};

	queue_init(&q);
	queue_add(&q, 1, 10, 1);
	queue_add(&q, 2, 10, 2);
	queue_add(&q, 3, 10, 2);
	explore(&q, &m, DEPTH);
	queue_fini(&q);
}
