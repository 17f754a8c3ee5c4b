/* links: acceptor_mqtt */
#include "acceptor/mqtt/pool.h"
#include "acceptor/mqtt/wheel.h"

#include <criterion/criterion.h>

static struct client clients[1000];
static uint32_t seen[1000], now;

static void
on_due(struct client *c)
{
	cr_assert_leq(c->due_s, now);
	seen[c - clients] = now;
}

Test(wheel, each_in_its_second)
{
	size_t i;

	now = 5000;
	wheel_init(now, on_due);
	for (i = 0; i < 1000; i++)
		wheel_add(&clients[i], now + (uint32_t)i);
	wheel_remove(&clients[500]);
	wheel_remove(&clients[500]);
	wheel_add(&clients[501], now + 3);
	wheel_add(&clients[3], now + 800);
	while (now < 6100)
		wheel_turn(++now);
	for (i = 0; i < 1000; i++) {
		uint32_t want = 5000 + (uint32_t)i;

		if (i == 500)
			want = 0;
		else if (i == 501)
			want = 5003;
		else if (i == 3)
			want = 5800;
		else if (i == 0)
			want = 5001;	/* the present second is behind */
		cr_assert_eq(seen[i], want, "%zu at %u", i, seen[i]);
	}
}

static void
on_due_again(struct client *c)
{
	seen[c - clients]++;
	if (seen[c - clients] < 5)
		wheel_add(c, now + 1);
}

Test(wheel, added_again_and_after_a_long_stop)
{
	now = 1;
	wheel_init(now, on_due_again);
	wheel_add(&clients[0], 2);
	wheel_add(&clients[1], 100000);
	now = 90000;
	wheel_turn(now);
	cr_assert_eq(seen[0], 1);
	cr_assert_eq(seen[1], 0);
	for (; now < 100001; now++)
		wheel_turn(now);
	cr_assert_eq(seen[0], 5);
	cr_assert_eq(seen[1], 1);
}

Test(pool, keeps_and_lets_go)
{
	struct buf *b[300], *again;
	size_t i;

	for (i = 0; i < 300; i++) {
		b[i] = pool_take();
		buf_add(b[i], "x", 1);
	}
	again = b[299];
	for (i = 0; i < 300; i++) {
		pool_put(&b[i]);
		cr_assert_null(b[i]);
	}
	pool_put(&b[0]);
	b[0] = pool_take();
	cr_assert_eq(buf_len(b[0]), 0);
	cr_assert_neq(b[0], again, "more than are kept");
	pool_put(&b[0]);
	pool_trim();
	pool_trim();
	b[0] = pool_take();
	cr_assert_eq(b[0]->cap, 0, "none was left");
	pool_put(&b[0]);
}
