/* links: router_room */
#include "router/due.h"

#include <criterion/criterion.h>

#include <stdlib.h>

Test(router_due, comes_in_order_and_not_before_its_time)
{
	struct due d = {0};
	uint64_t id, last = 0;
	size_t n = 0;

	srand(5);
	for (int i = 0; i < 1000; i++) {
		uint64_t at = (uint64_t)(rand() % 500);

		due_add(&d, at, at);
	}
	while (due_take(&d, 249, &id)) {
		cr_assert_geq(id, last);
		cr_assert_leq(id, 249);
		last = id;
		n++;
	}
	while (due_take(&d, 500, &id)) {
		cr_assert_geq(id, 250);
		n++;
	}
	cr_assert_eq(n, 1000);
	due_fini(&d);
}
