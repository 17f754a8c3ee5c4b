/*
 * Every child is asked whether its loop turns. Only time in which we ran
 * ourselves counts: after a stop of the whole machine nobody is blamed.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

#include <signal.h>

/* Recovery reads logs before the loop turns for the first time. */
#define START_MS 120000
/* From SIGABRT to SIGKILL: the time for a backtrace. */
#define GRACE_MS 2000

static struct {
	ev_timer timer;
	uint64_t last_ms;
	uint64_t period_ms;
	uint64_t limit_ms;
} watchdog;

static void
child_bark(struct child *c)
{
	log_error("%s did not answer for %llu ms: ended by the watchdog",
	    c->name, (unsigned long long)c->silent_ms);
	c->is_barked = true;
	c->silent_ms = 0;
	child_kill(c, SIGABRT);
	/* A stopped process takes no signal but these. */
	child_kill(c, SIGCONT);
}

static void
child_watch(struct child *c, uint64_t elapsed)
{
	uint64_t limit = c->state == LIFE_STARTING &&
	    watchdog.limit_ms < START_MS ? START_MS : watchdog.limit_ms;

	if (!child_is_linked(c))
		return;
	if (!c->awaits_pong) {
		c->awaits_pong = true;
		c->silent_ms = 0;
		link_put_ping(c->link,
		    &(struct ipc_ping){.seq = ++c->ping_seq});
		return;
	}
	c->silent_ms += elapsed;
	if (c->is_barked) {
		if (c->silent_ms >= GRACE_MS)
			child_kill(c, SIGKILL);
		return;
	}
	if (c->silent_ms >= limit)
		child_bark(c);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	uint64_t now = clock_mono_ms(), elapsed = now - watchdog.last_ms;
	struct child *c;

	(void)loop;
	(void)w;
	(void)events;
	watchdog.last_ms = now;
	if (elapsed > 2 * watchdog.period_ms)
		elapsed = 2 * watchdog.period_ms;
	for (c = tree.children; c != NULL; c = c->next)
		child_watch(c, elapsed);
	status_sample_cpu();
}

void
watchdog_start(void)
{
	double seconds;

	watchdog.limit_ms = json_get_u64(json_member(tree.config->resolved,
	    "limits"), "watchdog_ms", 5000);
	watchdog.period_ms = watchdog.limit_ms / 5;
	if (watchdog.period_ms > 1000)
		watchdog.period_ms = 1000;
	watchdog.last_ms = clock_mono_ms();
	seconds = (double)watchdog.period_ms / 1000;
	ev_timer_init(&watchdog.timer, on_tick, seconds, seconds);
	ev_timer_start(tree.loop, &watchdog.timer);
}

void
watchdog_on_pong(struct child *c, uint64_t seq)
{
	if (seq == c->ping_seq && !c->is_barked)
		c->awaits_pong = false;
}
