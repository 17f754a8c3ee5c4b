#include "admin-server/outbox.h"

#include "base/mem.h"

#include <stdlib.h>

struct outbox_batch {
	struct outbox_batch *next;
	uint64_t first;		/* its messages are first .. first + count - 1 */
	struct ipc_batch items;
	uint8_t *refused;
	outbox_done *done;
	void *arg;
};

void
outbox_init(struct outbox *o)
{
	memset(o, 0, sizeof(*o));
	o->end = &o->first;
	o->next_number = 1;
}

static void
drop_first(struct outbox *o)
{
	struct outbox_batch *b = o->first;

	o->first = b->next;
	if (o->first == NULL)
		o->end = &o->first;
	if (o->unsent == b)
		o->unsent = b->next;
	o->bytes -= buf_len(&b->items.bytes);
	buf_fini(&b->items.bytes);
	free(b->refused);
	free(b);
}

void
outbox_fini(struct outbox *o)
{
	while (o->first != NULL)
		drop_first(o);
}

struct outbox_batch *
outbox_add(struct outbox *o, struct ipc_batch *items, outbox_done *done,
    void *arg)
{
	struct outbox_batch *b;

	if (buf_len(&items->bytes) > OUTBOX_BYTES_MAX - o->bytes)
		return NULL;
	b = mem_zalloc(1, sizeof(*b));
	b->items = *items;
	memset(items, 0, sizeof(*items));
	b->first = o->next_number;
	b->refused = mem_zalloc(b->items.count, 1);
	b->done = done;
	b->arg = arg;
	o->next_number += b->items.count;
	o->bytes += buf_len(&b->items.bytes);
	*o->end = b;
	o->end = &b->next;
	if (o->unsent == NULL)
		o->unsent = b;
	return b;
}

void
outbox_forget(struct outbox_batch *b)
{
	b->done = NULL;
}

uint64_t
outbox_floor(const struct outbox *o)
{
	return o->first != NULL ? o->first->first : o->next_number;
}

bool
outbox_is_empty(const struct outbox *o)
{
	return o->first == NULL;
}

void
outbox_rewind(struct outbox *o)
{
	o->unsent = o->first;
}

bool
outbox_next(struct outbox *o, struct ipc_publish *frame)
{
	struct outbox_batch *b = o->unsent;

	if (b == NULL)
		return false;
	frame->number = b->first;
	frame->items = ipc_batch_list(&b->items);
	o->unsent = b->next;
	return true;
}

static void
mark_refused(struct outbox *o, const struct ipc_refused_item *item)
{
	for (struct outbox_batch *b = o->first; b != NULL; b = b->next)
		if (item->number >= b->first &&
		    item->number - b->first < b->items.count) {
			b->refused[item->number - b->first] = item->reason;
			return;
		}
}

bool
outbox_taken(struct outbox *o, const struct ipc_taken *taken)
{
	struct ipc_list list = taken->refused;
	struct ipc_refused_item item;
	struct outbox_batch *b;
	int got;

	while ((got = ipc_next_refused_item(&list, &item)) == 1)
		mark_refused(o, &item);
	if (got == -1)
		return false;
	while ((b = o->first) != NULL &&
	    taken->number >= b->first + b->items.count - 1) {
		if (b->done != NULL)
			b->done(b->arg, b->refused, b->items.count);
		drop_first(o);
	}
	return true;
}
