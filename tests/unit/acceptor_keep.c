/* links: acceptor_mqtt */
#include "acceptor/mqtt/keep.h"
#include "acceptor/mqtt/parcels.h"
#include "acceptor/mqtt/seen.h"

#include <criterion/criterion.h>
#include <stdio.h>

static bool
skip(struct ipc_list *list)
{
	struct ipc_settle_item item;

	return ipc_next_settle_item(list, &item) > 0;
}

static uint64_t
add(struct keep *k, uint64_t seq, bool must, uint64_t conn)
{
	struct ipc_settle_item item = {1, seq, 0};

	ipc_add_settle_item(keep_open(k), &item);
	return keep_added(k, must, conn);
}

static struct {
	uint64_t conns[16], numbers[16];
	size_t n;
} told;

static void
on_taken(uint64_t conn, uint64_t number, void *arg)
{
	(void)arg;
	told.conns[told.n] = conn;
	told.numbers[told.n++] = number;
}

static uint64_t
first_seq(struct ipc_list list)
{
	struct ipc_settle_item item = {0};

	cr_assert_gt(ipc_next_settle_item(&list, &item), 0);
	return item.seq;
}

Test(keep, one_round)
{
	struct keep k;
	struct keep_batch *b;
	struct ipc_list rest;
	uint64_t first;

	keep_init(&k);
	cr_assert_null(keep_unsent(&k));
	cr_assert_eq(add(&k, 11, true, 100), 1);
	cr_assert_eq(add(&k, 12, false, 0), 2);
	cr_assert_eq(add(&k, 13, true, 200), 3);
	b = keep_unsent(&k);
	rest = keep_rest(&k, b, skip, &first);
	cr_assert_eq(first, 1);
	cr_assert_eq(rest.count, 3);
	keep_sent(&k);
	cr_assert_null(keep_unsent(&k));
	cr_assert_eq(add(&k, 14, true, 300), 4, "a closed batch is closed");
	told.n = 0;
	keep_taken(&k, 2, on_taken, NULL);
	cr_assert_eq(told.n, 1);
	cr_assert_eq(told.conns[0], 100);
	keep_taken(&k, 3, on_taken, NULL);
	cr_assert_eq(told.n, 2);
	cr_assert_eq(told.numbers[1], 3);
	keep_taken(&k, 3, on_taken, NULL);
	cr_assert_eq(told.n, 2, "told once");
	cr_assert_eq(k.head, keep_unsent(&k));
	keep_fini(&k);
}

Test(keep, again_from_the_first_not_taken)
{
	struct keep k;
	struct ipc_list rest;
	struct slice item;
	uint64_t first, conn;

	keep_init(&k);
	add(&k, 11, true, 1);
	add(&k, 12, true, 2);
	add(&k, 13, true, 3);
	keep_unsent(&k);
	keep_sent(&k);
	add(&k, 14, true, 4);
	told.n = 0;
	keep_taken(&k, 1, on_taken, NULL);
	keep_resend(&k);
	rest = keep_rest(&k, keep_unsent(&k), skip, &first);
	cr_assert_eq(first, 2);
	cr_assert_eq(rest.count, 2);
	cr_assert_eq(first_seq(rest), 12);
	keep_sent(&k);
	rest = keep_rest(&k, keep_unsent(&k), skip, &first);
	cr_assert_eq(first, 4);
	cr_assert_eq(first_seq(rest), 14);
	keep_sent(&k);
	item = keep_find(&k, 3, skip, &conn);
	cr_assert_eq(conn, 3);
	rest = (struct ipc_list){item, 1};
	cr_assert_eq(first_seq(rest), 13);
	cr_assert(slice_is_null(keep_find(&k, 9, skip, &conn)));
	keep_taken(&k, 1000, on_taken, NULL);
	cr_assert_eq(told.n, 4);
	cr_assert_null(k.head);
	cr_assert_eq(k.bytes, 0);
	keep_fini(&k);
}

Test(keep, what_may_be_lost_is_not_kept)
{
	struct keep k;

	keep_init(&k);
	add(&k, 1, false, 0);
	keep_unsent(&k);
	keep_sent(&k);
	cr_assert_null(k.head);
	cr_assert_eq(k.bytes, 0);
	/* but it waits to be sent */
	add(&k, 2, false, 0);
	keep_resend(&k);
	cr_assert_not_null(keep_unsent(&k));
	keep_sent(&k);
	keep_fini(&k);
}

Test(keep, cut_into_batches)
{
	struct keep k;
	size_t batches = 0, items = 0;
	struct keep_batch *b;
	uint64_t first;

	keep_init(&k);
	for (uint64_t i = 0; i < 100000; i++)
		add(&k, i << 32, true, 0);
	while ((b = keep_unsent(&k)) != NULL) {
		cr_assert_leq(buf_len(&b->items.bytes), IPC_BATCH_MAX);
		items += keep_rest(&k, b, skip, &first).count;
		keep_sent(&k);
		batches++;
	}
	cr_assert_gt(batches, 4);
	cr_assert_eq(items, 100000);
	keep_taken(&k, 100000, on_taken, NULL);
	cr_assert_eq(k.bytes, 0);
	keep_fini(&k);
}

Test(parcels, first_in_first_out)
{
	struct parcels p = {0};
	struct parcel parcel = {.qos = 1}, got;
	uint8_t *bytes;
	uint32_t next = 0;

	cr_assert_null(parcels_peek(&p, &got));
	for (uint32_t i = 0; i < 5000; i++) {
		parcel.size = 1 + i % 300;
		parcel.id_at = i;
		memset(parcels_add(&p, &parcel), (int)(i & 255),
		    parcel.size);
		if (i % 3 == 0)
			continue;
		bytes = parcels_peek(&p, &got);
		cr_assert_eq(got.id_at, next);
		cr_assert_eq(bytes[got.size - 1], next & 255);
		next++;
		parcels_remove(&p);
	}
	cr_assert_eq(p.count, 5000 - next);
	while (p.count > 0) {
		parcels_peek(&p, &got);
		cr_assert_eq(got.id_at, next++);
		parcels_remove(&p);
	}
	parcels_remove(&p);
	cr_assert_eq(next, 5000);
	parcels_fini(&p);
}

Test(seen, numbers_rise)
{
	static struct seen s;
	uint64_t i;

	cr_assert(seen_add(&s, 0, 0));
	cr_assert(seen_add(&s, 0, 0));
	cr_assert(seen_add(&s, 1, 5));
	cr_assert_not(seen_add(&s, 1, 5));
	cr_assert_not(seen_add(&s, 1, 4));
	cr_assert(seen_add(&s, 2, 1));
	cr_assert(seen_add(&s, 1, 7));
	cr_assert_not(seen_add(&s, 2, 1));
	/* the longest silent is forgotten, not one that speaks */
	for (i = 3; i < 3 + SEEN_SENDERS - 1; i++)
		cr_assert(seen_add(&s, i, 1));
	cr_assert(seen_add(&s, 1, 8));
	for (i = 200; i < 200 + SEEN_SENDERS - 2; i++)
		cr_assert(seen_add(&s, i, 1));
	cr_assert_not(seen_add(&s, 1, 8));
	cr_assert(seen_add(&s, 3, 1), "forgotten");
	cr_assert_eq(s.count, SEEN_SENDERS);
}
