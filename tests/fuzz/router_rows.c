/* links: router_room */
#include "router/queue.h"
#include "router/recipients.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A row that was read: what is written again says the same. */
static void
check_row(const uint8_t *data, size_t size)
{
	struct queue q, again;
	struct buf b = {0};

	if (size < 2 ||
	    !queue_get(&q, 1 + data[0], 1 + data[0] + (uint64_t)data[1] * 16,
		slice_of(data + 2, size - 2)))
		return;
	queue_restore(&q, q.floor, 7, 10, 1);
	queue_settle(&q);
	queue_put(&q, &b);
	if (!queue_get(&again, q.floor, q.next, buf_slice(&b)))
		abort();
	queue_restore(&again, q.floor, 7, 10, 1);
	if (again.in_flight != q.in_flight || again.floor != q.floor)
		abort();
	queue_detach(&q);
	for (uint64_t seq = q.floor; seq < q.next; seq++)
		queue_drop(&q, seq);
	if (q.count != 0 || q.bytes != 0 || q.in_flight != 0)
		abort();
	queue_fini(&q);
	queue_fini(&again);
	buf_fini(&b);
}

/* The header of a record: reading and copying keeps it. */
static void
check_recipients(struct slice s)
{
	struct buf copy = {0}, ids = {0};
	struct recipient r;
	struct slice rest = s;
	size_t n = 0, m = 0;

	while (recipients_next(&rest, &r) == 1) {
		n++;
		recipients_copy(&copy, &r);
		recipient_ids(&r, &ids);
	}
	rest = buf_slice(&copy);
	while (recipients_next(&rest, &r) == 1)
		m++;
	if (n != m)
		abort();
	buf_fini(&copy);
	buf_fini(&ids);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_row(data, size);
	check_recipients(slice_of(data, size));
	return 0;
}
