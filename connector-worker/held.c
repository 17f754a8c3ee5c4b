#include "connector-worker/held.h"

#include "base/mem.h"

#include <stdlib.h>

struct slot {
	struct held *held;
	enum sink_outcome outcome;
	char *why;
};

struct held {
	struct sink_batch *batch;
	size_t left;		/* records without an answer */
	struct slot *slots;	/* of each record */
	uint64_t *orders;	/* of which one has to come again */
	size_t count;
};

void
held_begin(struct sink_batch *batch)
{
	struct held *h;

	if (batch->count == 0)
		return;
	h = mem_zalloc(1, sizeof(*h));
	h->batch = batch;
	h->left = batch->count;
	h->slots = mem_zalloc(batch->count, sizeof(*h->slots));
	for (size_t i = 0; i < batch->count; i++) {
		h->slots[i].held = h;
		batch->records[i]->data = &h->slots[i];
	}
}

static bool
held_has(const struct held *h, uint64_t order)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->orders[i] == order)
			return true;
	return false;
}

static void
held_add(struct held *h, uint64_t order)
{
	size_t n = h->count;

	/* Doubles when n is a power of two: 0, 1, 2, 4 ... */
	if ((n & (n - 1)) == 0)
		h->orders = mem_realloc(
		    h->orders, (n == 0 ? 1 : n * 2) * sizeof(*h->orders));
	h->orders[h->count++] = order;
}

/* In the order of the log. */
static void
held_end(struct held *h)
{
	struct sink_batch *batch = h->batch;

	for (size_t i = 0; i < batch->count; i++) {
		struct sink_record *record = batch->records[i];
		struct slot *s = &h->slots[i];

		if (record->order != 0 && s->outcome == SINK_DELIVERED &&
		    held_has(h, record->order))
			s->outcome = SINK_HELD;
		else if (record->order != 0 && s->outcome != SINK_DELIVERED &&
		    s->outcome != SINK_REFUSED)
			held_add(h, record->order);
		record->data = NULL;
		sink_answer(record, s->outcome, s->why);
		free(s->why);
	}
	free(h->slots);
	free(h->orders);
	free(h);
}

void
held_answer(struct sink_record *record, enum sink_outcome outcome,
    const char *why)
{
	struct slot *s = record->data;

	s->outcome = outcome;
	s->why = why == NULL ? NULL : mem_strdup(why);
	if (--s->held->left == 0)
		held_end(s->held);
}
