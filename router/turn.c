#include "router/turn.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/compact.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/publish.h"
#include "router/reader.h"
#include "router/retained.h"
#include "router/sender.h"
#include "router/wanted.h"
#include "router/will.h"

#include <malloc.h>
#include <string.h>

#define TICK_S 0.2
#define TICKS_PER_RETENTION 25		/* 5 s */
#define TICKS_PER_COMPACTION 5		/* 1 s */
#define TICKS_PER_TRIM 10		/* 2 s */
#define QUIET 100			/* messages or clients in that time */
#define TICKS_PER_EXPIRY 300		/* 1 min */

static struct {
	ev_timer tick;
	unsigned ticks;
	bool is_up;
	uint64_t seen;		/* how much was done when we looked last */
	uint64_t trimmed;	/* and when memory was given back */
} turn;

/*
 * A burst's buffers lie among what stays after it. Once it is over, what is
 * free goes back to the system; while there is load it is needed again.
 */
static void
give_memory_back(void)
{
	uint64_t now = publish_stats()->received + delivery_stats()->sent +
	    conns_opened();

	if (now - turn.seen < QUIET && now - turn.trimmed >= QUIET) {
		malloc_trim(64 << 10);
		turn.trimmed = now;
	}
	turn.seen = now;
}

/* Every tick a turn ends: commits that are due without traffic begin then. */
static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	uint64_t now_ms = clock_wall_ms();

	(void)loop;
	(void)w;
	(void)events;
	wills_run(now_ms);
	sessions_expire(now_ms);
	turn.ticks++;
	if (turn.ticks % TICKS_PER_RETENTION == 0)
		log_retention_run(commit_store(), now_ms);
	if (turn.ticks % TICKS_PER_COMPACTION == 0)
		compact_run();
	if (turn.ticks % TICKS_PER_TRIM == 0)
		give_memory_back();
	compact_step();
	if (turn.ticks % TICKS_PER_EXPIRY == 0)
		retained_expire(now_ms);
}

void
turn_init(void)
{
	turn.is_up = true;
	ev_timer_init(&turn.tick, on_tick, TICK_S, TICK_S);
	ev_timer_start(proc_loop(), &turn.tick);
}

void
turn_end(void)
{
	if (!turn.is_up)
		return;
	wanted_flush();
	delivery_flush();
	retained_flush();
	commit_step();
	senders_flush();
	readers_flush();
}

void
turn_shutdown(uint32_t deadline_ms)
{
	int err;

	(void)deadline_ms;
	if (!turn.is_up)
		proc_exit(0);
	turn_end();
	turn.is_up = false;
	err = commit_close();
	if (err != 0)
		log_error("last commit: %s; the next start recovers from the "
		    "log", strerror(err));
	proc_exit(0);
}
