/*
 * life - the states of a child as one table, and its wait after a death.
 * Pure.
 *
 * Architecture, section 1.
 */
#ifndef SUPERVISOR_LIFE_H
#define SUPERVISOR_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum life_state {
	LIFE_IDLE,		/* not wanted, or not yet */
	LIFE_STARTING,
	LIFE_RUNNING,
	LIFE_BACKOFF,
	LIFE_STOPPING,
	LIFE_RESTARTING,	/* stops, to be started again */
	LIFE_PARKING,		/* said that a restart cannot help; exits */
	LIFE_PARKED,
	LIFE_STATES,
};

enum life_event {
	LIFE_EVENT_START,
	LIFE_EVENT_READY,
	LIFE_EVENT_PARK,
	LIFE_EVENT_GONE,
	LIFE_EVENT_TIMER,
	LIFE_EVENT_STOP,
	LIFE_EVENT_RESTART,
	LIFE_EVENTS,
};

enum life_action {
	LIFE_NOTHING,
	LIFE_SPAWN,	/* fork and exec */
	LIFE_NOTE,	/* it is ready */
	LIFE_WAIT,	/* start the timer of life_wait_ms */
	LIFE_TELL,	/* send it the shutdown, start the timer of the kill */
	LIFE_LIMIT,	/* start the timer of the kill */
	LIFE_KILL,	/* SIGKILL */
	LIFE_REST,	/* stop timers: nothing runs */
};

struct life_step {
	enum life_state next;
	enum life_action action;
};

struct life_step life_next(enum life_state, enum life_event);
const char *life_state_name(enum life_state);
/* A process exists in this state. */
bool life_is_alive(enum life_state);

/* Deaths in a row that came within LIFE_QUICK_MS of being ready. */
#define LIFE_QUICK_MS 5000
#define LIFE_WAIT_MIN_MS 100

struct life_backoff {
	unsigned quick;
};

/*
 * How long to wait before the next start: not at all after a run longer
 * than LIFE_QUICK_MS or after the first quick death, then doubling to cap,
 * less a jitter of up to a quarter (random: any 32 bits). ran_ms counts
 * from being ready; a process that never was ready ran 0.
 */
uint32_t life_wait_ms(struct life_backoff *, uint64_t ran_ms, uint32_t cap_ms,
    uint32_t random);

#endif
