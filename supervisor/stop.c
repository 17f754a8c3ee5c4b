/*
 * The ordered stop: nobody new is let in, what was taken is carried on, the
 * log is closed last but for the process that shows how far it is.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "supervisor/supervisor.h"

#include <signal.h>

#define AGAIN_MS 1000	/* sooner, a second request is the first one's echo */

static const enum ipc_kind order[] = {KIND_ACCEPTOR, KIND_AUTH, KIND_WORKER,
    KIND_ROUTER, KIND_ADMIN};

static struct {
	ev_timer deadline;
	size_t phase;
	uint64_t began_ms;
} stop;

static void
stop_kill(void)
{
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next)
		child_kill(c, SIGKILL);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	log_error("the stop took too long: what is left is killed");
	tree.exit_status = 1;
	stop_kill();
}

static bool
phase_is_over(enum ipc_kind kind)
{
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next)
		if (c->kind == kind && life_is_alive(c->state))
			return false;
	return true;
}

/* Children that rest leave the list: it is read again from its start. */
static void
phase_begin(enum ipc_kind kind)
{
	struct child *c = tree.children;

	while (c != NULL) {
		struct child *next = c->next;

		if (c->kind == kind && c->state != LIFE_STOPPING)
			child_event(c, LIFE_EVENT_STOP);
		c = next;
	}
}

void
stop_next(void)
{
	static bool is_inside;

	/* A child without a process rests within phase_begin. */
	if (is_inside)
		return;
	is_inside = true;
	while (stop.phase < sizeof(order) / sizeof(order[0]) &&
	    phase_is_over(order[stop.phase])) {
		stop.phase++;
		if (stop.phase < sizeof(order) / sizeof(order[0]))
			phase_begin(order[stop.phase]);
	}
	is_inside = false;
	if (stop.phase == sizeof(order) / sizeof(order[0]))
		ev_break(tree.loop, EVBREAK_ALL);
}

void
stop_begin(int exit_status)
{
	uint64_t seconds = json_get_u64(json_member(tree.config->resolved,
	    "limits"), "shutdown_timeout_s", 30);

	if (tree.is_stopping) {
		/* timeout(1) and shells may say the same thing twice. */
		if (clock_mono_ms() - stop.began_ms < AGAIN_MS)
			return;
		log_warn("asked to stop again: everything is killed");
		stop_kill();
		return;
	}
	log_info("stopping");
	tree.is_stopping = true;
	stop.began_ms = clock_mono_ms();
	tree.exit_status = exit_status;
	ev_timer_init(&stop.deadline, on_deadline, (double)seconds, 0.);
	ev_timer_start(tree.loop, &stop.deadline);
	phase_begin(order[0]);
	stop_next();
}
