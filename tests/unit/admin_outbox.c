/* links: admin_pure ipc base */
#include "admin-server/outbox.h"

#include <criterion/criterion.h>

static size_t told, told_count;
static uint8_t told_refused[8];

static void
on_done(void *arg, const uint8_t *refused, size_t count)
{
	(void)arg;
	told++;
	told_count = count;
	memcpy(told_refused, refused, count);
}

static struct outbox_batch *
add(struct outbox *o, int n)
{
	struct ipc_batch items = {0};

	for (int i = 0; i < n; i++)
		ipc_add_publish_item(&items, &(struct ipc_publish_item){
		    .topic = SLICE_LIT("t"), .payload = SLICE_LIT("p"),
		    .client_id = SLICE_EMPTY, .protocol = SLICE_EMPTY});
	return outbox_add(o, &items, on_done, NULL);
}

static void
take(struct outbox *o, uint64_t number, uint64_t refused)
{
	struct ipc_batch list = {0};

	if (refused != 0)
		ipc_add_refused_item(&list, &(struct ipc_refused_item){
		    .number = refused, .reason = 0x97});
	cr_assert(outbox_taken(o, &(struct ipc_taken){.number = number,
	    .refused = ipc_batch_list(&list)}));
	buf_fini(&list.bytes);
}

Test(outbox, batches_are_numbered_sent_and_taken_in_order)
{
	struct outbox o;
	struct ipc_publish m;

	outbox_init(&o);
	add(&o, 3);
	add(&o, 1);
	cr_assert_eq(outbox_floor(&o), 1);
	cr_assert(outbox_next(&o, &m));
	cr_assert_eq(m.number, 1);
	cr_assert_eq(m.items.count, 3);
	take(&o, 2, 2);
	cr_assert_eq(told, 0);
	take(&o, 3, 0);
	cr_assert_eq(told, 1);
	cr_assert_eq(told_count, 3);
	cr_assert_eq(told_refused[0], 0);
	cr_assert_eq(told_refused[1], 0x97);
	cr_assert_eq(outbox_floor(&o), 4);
	cr_assert(outbox_next(&o, &m));
	cr_assert_eq(m.number, 4);
	cr_assert_not(outbox_next(&o, &m));
	take(&o, 4, 0);
	cr_assert(outbox_is_empty(&o));
	cr_assert_eq(o.bytes, 0);
	cr_assert_eq(outbox_floor(&o), 5);
	outbox_fini(&o);
}

Test(outbox, a_new_link_gets_what_was_not_taken)
{
	struct outbox o;
	struct ipc_publish m;

	outbox_init(&o);
	add(&o, 2);
	add(&o, 2);
	while (outbox_next(&o, &m))
		;
	take(&o, 2, 0);
	outbox_rewind(&o);
	cr_assert(outbox_next(&o, &m));
	cr_assert_eq(m.number, 3);
	add(&o, 1);
	cr_assert(outbox_next(&o, &m));
	cr_assert_eq(m.number, 5);
	cr_assert_not(outbox_next(&o, &m));
	outbox_fini(&o);
}

Test(outbox, who_left_is_not_told)
{
	struct outbox o;

	outbox_init(&o);
	outbox_forget(add(&o, 1));
	take(&o, 1, 0);
	cr_assert_eq(told, 0);
	outbox_fini(&o);
}

Test(outbox, room_is_bounded)
{
	struct outbox o;
	struct ipc_batch items = {0};

	outbox_init(&o);
	o.bytes = OUTBOX_BYTES_MAX;
	ipc_add_publish_item(&items, &(struct ipc_publish_item){
	    .topic = SLICE_LIT("t"), .client_id = SLICE_EMPTY,
	    .protocol = SLICE_EMPTY});
	cr_assert_null(outbox_add(&o, &items, on_done, NULL));
	buf_fini(&items.bytes);
}
