#include "acceptor/mqtt/keep.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* Below IPC_BATCH_MAX with room for one more item of usual size. */
#define BATCH_FULL (192u << 10)
#define SPARE_MAX (256u << 10)

void
keep_init(struct keep *k)
{
	*k = (struct keep){.next = 1};
}

static void
batch_free(struct keep_batch *b)
{
	if (b == NULL)
		return;
	buf_fini(&b->items.bytes);
	free(b->owners);
	free(b);
}

void
keep_fini(struct keep *k)
{
	struct keep_batch *b;

	while ((b = k->head) != NULL) {
		k->head = b->next;
		batch_free(b);
	}
	batch_free(k->spare);
	*k = (struct keep){0};
}

/* One is kept with its memory: most turns need exactly one. */
static void
batch_retire(struct keep *k, struct keep_batch *b)
{
	if (k->spare != NULL || b->items.bytes.cap > SPARE_MAX) {
		batch_free(b);
		return;
	}
	ipc_batch_clear(&b->items);
	b->owner_count = b->owner_next = 0;
	b->is_kept = b->is_closed = false;
	b->next = NULL;
	k->spare = b;
}

static struct keep_batch *
batch_new(struct keep *k)
{
	struct keep_batch *b = k->spare;

	if (b == NULL)
		b = mem_zalloc(1, sizeof(*b));
	k->spare = NULL;
	b->first = k->next;
	if (k->tail == NULL)
		k->head = b;
	else
		k->tail->next = b;
	k->tail = b;
	if (k->unsent == NULL)
		k->unsent = b;
	return b;
}

struct ipc_batch *
keep_open(struct keep *k)
{
	struct keep_batch *b = k->tail;

	if (b == NULL || b->is_closed ||
	    buf_len(&b->items.bytes) >= BATCH_FULL)
		b = batch_new(k);
	k->bytes -= buf_len(&b->items.bytes);
	return &b->items;
}

uint64_t
keep_added(struct keep *k, bool must, uint64_t conn)
{
	struct keep_batch *b = k->tail;

	k->bytes += buf_len(&b->items.bytes);
	b->is_kept = b->is_kept || must;
	if (conn != 0) {
		if (b->owner_count == b->owner_cap) {
			b->owner_cap = b->owner_cap == 0 ? 16 :
			    b->owner_cap * 2;
			b->owners = mem_realloc(b->owners,
			    b->owner_cap * sizeof(*b->owners));
		}
		b->owners[b->owner_count++] =
		    (struct keep_owner){k->next, conn};
	}
	return k->next++;
}

struct keep_batch *
keep_unsent(struct keep *k)
{
	if (k->unsent != NULL)
		k->unsent->is_closed = true;
	return k->unsent;
}

static uint64_t
batch_end(const struct keep_batch *b)
{
	return b->first + b->items.count;
}

/* Takes out, from the front, what was sent and need not be kept. */
static void
keep_drop(struct keep *k)
{
	struct keep_batch *b;

	while ((b = k->head) != NULL && b != k->unsent &&
	    (!b->is_kept || batch_end(b) - 1 <= k->taken)) {
		k->head = b->next;
		if (k->head == NULL)
			k->tail = NULL;
		k->bytes -= buf_len(&b->items.bytes);
		batch_retire(k, b);
	}
}

void
keep_sent(struct keep *k)
{
	bug_on(k->unsent == NULL);
	k->unsent = k->unsent->next;
	keep_drop(k);
}

void
keep_taken(struct keep *k, uint64_t number,
    void (*cb)(uint64_t, uint64_t, void *), void *arg)
{
	struct keep_batch *b;
	struct keep_owner *o;

	if (number >= k->next)
		number = k->next - 1;
	if (number > k->taken)
		k->taken = number;
	for (b = k->head; b != NULL && b->first <= k->taken; b = b->next) {
		while (b->owner_next < b->owner_count) {
			o = &b->owners[b->owner_next];
			if (o->number > k->taken)
				break;
			b->owner_next++;
			cb(o->conn, o->number, arg);
		}
	}
	keep_drop(k);
}

void
keep_resend(struct keep *k)
{
	keep_drop(k);
	k->unsent = k->head;
}

struct ipc_list
keep_rest(const struct keep *k, const struct keep_batch *b,
    bool (*skip)(struct ipc_list *), uint64_t *first)
{
	struct ipc_list rest = ipc_batch_list(&b->items);

	*first = b->first;
	while (rest.count > 0 && *first <= k->taken) {
		bug_on(!skip(&rest));
		(*first)++;
	}
	return rest;
}

static uint64_t
owner_find(const struct keep_batch *b, uint64_t number)
{
	uint32_t i;

	for (i = 0; i < b->owner_count; i++) {
		if (b->owners[i].number == number)
			return b->owners[i].conn;
	}
	return 0;
}

struct slice
keep_find(const struct keep *k, uint64_t number,
    bool (*skip)(struct ipc_list *), uint64_t *conn)
{
	const struct keep_batch *b;
	struct ipc_list rest;
	const uint8_t *start;
	uint64_t at;

	for (b = k->head; b != NULL; b = b->next) {
		if (number < b->first || number >= batch_end(b))
			continue;
		rest = ipc_batch_list(&b->items);
		for (at = b->first; at < number; at++)
			bug_on(!skip(&rest));
		start = rest.bytes.p;
		bug_on(!skip(&rest));
		*conn = owner_find(b, number);
		return slice_of(start, (size_t)(rest.bytes.p - start));
	}
	return SLICE_NULL;
}
