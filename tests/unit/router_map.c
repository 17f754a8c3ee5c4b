/* links: router_room */
#include "router/map.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static bool
eq_u64(const void *value, const void *key)
{
	return *(const uint64_t *)value == *(const uint64_t *)key;
}

/* A bad hash on purpose: long runs are where removal goes wrong. */
static uint64_t
hash(uint64_t k)
{
	return k % 7;
}

Test(router_map, finds_what_is_there_and_only_that)
{
	static uint64_t keys[500];
	struct map m = {0};
	bool there[500] = {0};
	size_t count = 0;

	srand(7);
	for (size_t i = 0; i < 500; i++)
		keys[i] = i;
	for (int step = 0; step < 20000; step++) {
		size_t i = (size_t)rand() % 500;

		if (there[i])
			cr_assert(map_remove(&m, hash(keys[i]), &keys[i]));
		else
			map_add(&m, hash(keys[i]), &keys[i]);
		there[i] = !there[i];
		count += there[i] ? 1 : (size_t)-1;
		if (step % 100 != 0)
			continue;
		for (size_t j = 0; j < 500; j++)
			cr_assert_eq(map_find(&m, hash(j), eq_u64, &keys[j]),
			    there[j] ? &keys[j] : NULL);
	}
	cr_assert_eq(m.count, count);
	for (size_t i = 0; map_next(&m, &i) != NULL;)
		count--;
	cr_assert_eq(count, 0);
	map_clear(&m);
	cr_assert_null(map_find(&m, hash(1), eq_u64, &keys[1]));
	map_fini(&m);
}
