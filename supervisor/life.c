#include "supervisor/life.h"

#include <stddef.h>

struct rule {
	enum life_state state;
	enum life_event event;
	struct life_step step;
};

static const struct rule rules[] = {
#define LIFE(state, event, next, action) \
	{LIFE_##state, LIFE_EVENT_##event, {LIFE_##next, LIFE_##action}},
#include "supervisor/life.def"
#undef LIFE
};

struct life_step
life_next(enum life_state state, enum life_event event)
{
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].state == state && rules[i].event == event)
			return rules[i].step;
	return (struct life_step){state, LIFE_NOTHING};
}

const char *
life_state_name(enum life_state state)
{
	/* As status names them: running, starting, backoff, stopped. */
	static const char *const names[LIFE_STATES] = {
	    [LIFE_IDLE] = "stopped", [LIFE_STARTING] = "starting",
	    [LIFE_RUNNING] = "running", [LIFE_BACKOFF] = "backoff",
	    [LIFE_STOPPING] = "stopped", [LIFE_RESTARTING] = "starting",
	    [LIFE_PARKING] = "stopped", [LIFE_PARKED] = "stopped"};

	return names[state];
}

bool
life_is_alive(enum life_state state)
{
	return state != LIFE_IDLE && state != LIFE_BACKOFF &&
	    state != LIFE_PARKED;
}

uint32_t
life_wait_ms(struct life_backoff *b, uint64_t ran_ms, uint32_t cap_ms,
    uint32_t random)
{
	uint32_t wait;

	if (ran_ms >= LIFE_QUICK_MS) {
		b->quick = 0;
		return 0;
	}
	if (b->quick++ == 0)
		return 0;
	/* 100 ms doubled nine times is past every cap. */
	wait = LIFE_WAIT_MIN_MS << (b->quick > 10 ? 9 : b->quick - 2);
	if (wait > cap_ms)
		wait = cap_ms;
	return wait - (uint32_t)((uint64_t)(wait / 4) * random / UINT32_MAX);
}
