#include "router/barrier.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/proc.h"
#include "router/boot.h"
#include "router/conn.h"
#include "router/sender.h"
#include "router/wanted.h"

#define STUCK_S 2.0

static struct {
	bool has_links, is_open;
	ev_timer timer;
} barrier;

bool
barrier_is_open(void)
{
	return barrier.is_open;
}

static bool
is_missing(const struct sender *s)
{
	return s->kind == KIND_ACCEPTOR && !s->is_complete;
}

static void
on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	struct sender *s;

	(void)loop;
	(void)w;
	(void)events;
	LIST_FOREACH (s, senders_all(), entry) {
		if (!is_missing(s))
			continue;
		log_error("%s did not register in time", s->name);
		link_put_stuck(proc_control(),
		    &(struct ipc_stuck){.name = slice_str(s->name)});
	}
}

static void
welcome_all(void)
{
	struct sender *s;

	LIST_FOREACH (s, senders_all(), entry)
		if (s->is_complete)
			wanted_welcome(s);
}

void
barrier_step(void)
{
	struct sender *s;

	if (barrier.is_open) {
		welcome_all();
		return;
	}
	if (!barrier.has_links)
		return;
	LIST_FOREACH (s, senders_all(), entry)
		if (is_missing(s))
			return;
	barrier.is_open = true;
	ev_timer_stop(proc_loop(), &barrier.timer);
	sessions_settle(clock_wall_ms());
	boot_forget_senders();
	welcome_all();
}

void
barrier_links_done(void)
{
	if (barrier.has_links)
		return;
	barrier.has_links = true;
	ev_timer_init(&barrier.timer, on_late, STUCK_S, 0.);
	ev_timer_start(proc_loop(), &barrier.timer);
	barrier_step();
}
