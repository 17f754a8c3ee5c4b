/* links: acceptor_mqtt */
#include "acceptor/mqtt/id_set.h"
#include "acceptor/mqtt/window.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(window, in_order)
{
	struct window w = {0};
	uint64_t seq, found;

	cr_assert_not(window_find(&w, 1, &found));
	for (seq = 0; seq < 200000; seq++) {
		window_add(&w, seq, WINDOW_PUBACK);
		cr_assert(window_find(&w, window_id(seq), &found));
		cr_assert_eq(found, seq);
		if (seq >= 100) {
			cr_assert_eq(window_get(&w, seq - 100),
			    WINDOW_PUBACK);
			window_remove(&w, seq - 100);
			cr_assert_eq(window_get(&w, seq - 100), WINDOW_FREE);
		}
	}
	cr_assert_eq(w.count, 100);
	cr_assert_leq(w.cap, 256);
	window_fini(&w);
}

Test(window, identifiers_never_stand_for_two)
{
	struct window w = {0};
	uint64_t seq, found;

	for (seq = 0; window_may_add(&w, seq); seq++)
		window_add(&w, seq, WINDOW_PUBREC);
	cr_assert_eq(seq, 65535);
	window_remove(&w, 1);
	cr_assert_not(window_may_add(&w, seq), "the oldest is unanswered");
	cr_assert_not(window_find(&w, window_id(1), &found));
	window_remove(&w, 0);
	cr_assert_eq(w.base, 2);
	cr_assert(window_may_add(&w, seq));
	cr_assert(window_may_add(&w, seq + 1));
	cr_assert_not(window_may_add(&w, seq + 2));
	cr_assert(window_find(&w, 65535, &found));
	cr_assert_eq(found, 65534);
	cr_assert_not(window_find(&w, 0, &found));
	window_fini(&w);
}

Test(window, out_of_order_and_before_the_base)
{
	struct window w = {0};
	uint64_t found, at = 0;

	window_add(&w, 100000, WINDOW_PUBACK);
	window_add(&w, 99990, WINDOW_PUBCOMP);
	cr_assert_eq(w.base, 99990);
	cr_assert_eq(window_get(&w, 99995), WINDOW_FREE);
	window_add(&w, 99960, WINDOW_RELEASE);
	cr_assert_eq(w.count, 3);
	cr_assert_eq(window_get(&w, 99990), WINDOW_PUBCOMP);
	cr_assert(window_find(&w, window_id(99960), &found));
	cr_assert_eq(found, 99960);
	cr_assert(window_next(&w, &at));
	cr_assert_eq(at, 99960);
	at++;
	cr_assert(window_next(&w, &at));
	cr_assert_eq(at, 99990);
	at = 100001;
	cr_assert_not(window_next(&w, &at));
	cr_assert_not(window_may_add(&w, 100000 - 65535));
	cr_assert(window_may_add(&w, 100001 - 65535));
	window_set(&w, 99960, WINDOW_PUBCOMP);
	cr_assert_eq(window_get(&w, 99960), WINDOW_PUBCOMP);
	window_add(&w, 99960, WINDOW_PUBACK);
	cr_assert_eq(w.count, 3, "added again, it is one");
	window_remove(&w, 99960);
	window_remove(&w, 99990);
	window_remove(&w, 100000);
	cr_assert_eq(w.count, 0);
	window_add(&w, 5, WINDOW_PUBACK);
	cr_assert_eq(w.base, 5);
	window_fini(&w);
}

Test(window, against_a_model)
{
	static uint8_t model[4096];
	struct window w = {0};
	uint64_t base = 1000000, seq;
	size_t count = 0;
	unsigned seed = 42;

	for (int i = 0; i < 200000; i++) {
		seq = (uint64_t)(rand_r(&seed) % 4096);
		if (model[seq] == 0) {
			model[seq] = (uint8_t)(1 + rand_r(&seed) % 4);
			window_add(&w, base + seq,
			    (enum window_state)model[seq]);
			count++;
		} else {
			cr_assert_eq(window_get(&w, base + seq), model[seq]);
			window_remove(&w, base + seq);
			model[seq] = 0;
			count--;
		}
		cr_assert_eq(w.count, count);
	}
	for (seq = 0; seq < 4096; seq++)
		cr_assert_eq(window_get(&w, base + seq), model[seq]);
	window_fini(&w);
}

Test(id_set, against_a_model)
{
	static bool model[65536];
	struct id_set s = {0};
	uint32_t at = 0, count = 0;
	unsigned seed = 7;
	uint16_t id;

	cr_assert_not(id_set_has(&s, 1));
	cr_assert_not(id_set_remove(&s, 1));
	for (int i = 0; i < 300000; i++) {
		id = (uint16_t)(1 + rand_r(&seed) % 3000);
		if (rand_r(&seed) % 2 == 0) {
			cr_assert_eq(id_set_add(&s, id), !model[id]);
			model[id] = true;
		} else {
			cr_assert_eq(id_set_remove(&s, id), model[id]);
			model[id] = false;
		}
		cr_assert_eq(id_set_has(&s, id), model[id]);
	}
	for (uint32_t i = 1; i < 65536; i++)
		count += model[i];
	cr_assert_eq(s.count, count);
	while ((id = id_set_next(&s, &at)) != 0) {
		cr_assert(model[id]);
		count--;
	}
	cr_assert_eq(count, 0);
	for (uint32_t i = 1; i < 65536; i++)
		id_set_remove(&s, (uint16_t)i);
	cr_assert_eq(s.cap, 0, "an empty set has no memory");
}
