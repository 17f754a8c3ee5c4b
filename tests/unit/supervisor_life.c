/* links: supervisor_room */
#include "supervisor/life.h"

#include <criterion/criterion.h>

#include <string.h>

static enum life_state
after(enum life_state s, enum life_event e)
{
	return life_next(s, e).next;
}

Test(life, what_is_not_in_the_table_does_nothing)
{
	struct life_step s = life_next(LIFE_IDLE, LIFE_EVENT_GONE);

	cr_assert_eq(s.next, LIFE_IDLE);
	cr_assert_eq(s.action, LIFE_NOTHING);
}

Test(life, every_state_names_itself_and_can_be_stopped)
{
	enum life_state s, t;

	for (s = LIFE_IDLE; s < LIFE_STATES; s++) {
		cr_assert_not_null(life_state_name(s));
		t = after(s, LIFE_EVENT_STOP);
		if (life_is_alive(t))
			t = after(t, LIFE_EVENT_GONE);
		cr_assert_eq(t, LIFE_IDLE, "state %d", s);
	}
}

Test(life, no_state_with_a_process_starts_another)
{
	enum life_state s;
	enum life_event e;

	for (s = LIFE_IDLE; s < LIFE_STATES; s++)
		for (e = LIFE_EVENT_START; e < LIFE_EVENTS; e++)
			if (life_next(s, e).action == LIFE_SPAWN)
				cr_assert(!life_is_alive(s) ||
				    e == LIFE_EVENT_GONE);
}

Test(life, a_death_is_followed_by_a_start_unless_asked_for_or_parked)
{
	cr_assert_eq(after(LIFE_STARTING, LIFE_EVENT_GONE), LIFE_BACKOFF);
	cr_assert_eq(after(LIFE_RUNNING, LIFE_EVENT_GONE), LIFE_BACKOFF);
	cr_assert_eq(after(LIFE_STOPPING, LIFE_EVENT_GONE), LIFE_IDLE);
	cr_assert_eq(after(LIFE_PARKING, LIFE_EVENT_GONE), LIFE_PARKED);
	cr_assert_eq(after(LIFE_RESTARTING, LIFE_EVENT_GONE), LIFE_STARTING);
	cr_assert_eq(after(LIFE_PARKED, LIFE_EVENT_TIMER), LIFE_PARKED);
	cr_assert_eq(after(LIFE_PARKED, LIFE_EVENT_RESTART), LIFE_STARTING);
}

Test(life, the_wait_doubles_only_after_quick_deaths)
{
	struct life_backoff b = {0};
	uint32_t expected[] = {0, 100, 200, 400, 800, 1000, 1000};
	size_t i;

	for (i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		cr_assert_eq(life_wait_ms(&b, 4999, 1000, 0), expected[i]);
	for (i = 0; i < 100; i++)
		cr_assert_eq(life_wait_ms(&b, 0, 1000, 0), 1000);
	/* Any longer run clears it. */
	cr_assert_eq(life_wait_ms(&b, 5000, 1000, 0), 0);
	cr_assert_eq(life_wait_ms(&b, 0, 1000, 0), 0);
	cr_assert_eq(life_wait_ms(&b, 0, 1000, 0), 100);
}

Test(life, workers_wait_longer_and_jitter_only_shortens)
{
	struct life_backoff b = {.quick = 50};
	uint32_t r, w;

	cr_assert_eq(life_wait_ms(&b, 0, 30000, 0), 30000);
	for (r = 0; r < 100; r++) {
		w = life_wait_ms(&b, 0, 30000, r * 42949672u);
		cr_assert(w <= 30000 && w >= 22500, "%u", w);
	}
}
