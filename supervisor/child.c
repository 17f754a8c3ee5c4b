/* A child: its process is started, spoken with, reaped, and remembered. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "supervisor/crash.h"
#include "supervisor/setup.h"
#include "supervisor/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARKER_SIZE 4096
#define CAP_MS 1000
#define CAP_WORKER_MS 30000
#define KILL_AFTER_PARK_S 5.

void
child_reason(struct child *c, const char *reason)
{
	free(c->reason);
	c->reason = reason == NULL || reason[0] == '\0' ? NULL :
	    mem_strdup(reason);
}

bool
child_is_linked(const struct child *c)
{
	return c->link != NULL && !c->is_reaped;
}

const char *
child_state(const struct child *c)
{
	struct child *router = tree_find_kind(KIND_ROUTER);

	if (c->state == LIFE_IDLE && c->is_held)
		return router != NULL && router->state == LIFE_PARKED ?
		    "stopped" : "starting";
	if (c->state == LIFE_RUNNING && c->worker_state != NULL &&
	    strcmp(c->worker_state, "paused") == 0)
		return "paused";
	return life_state_name(c->state);
}

void
child_kill(struct child *c, int signo)
{
	if (c->pid != 0 && !c->is_reaped)
		pidfd_send_signal(c->pidfd, signo, NULL, 0);
}

static void
child_enter(struct child *c, enum life_state state)
{
	if (strcmp(life_state_name(c->state), life_state_name(state)) != 0)
		c->since_ms = clock_wall_ms();
	c->state = state;
}

/* A try again would find the same: it waits for a hand. */
static void
child_park(struct child *c, const char *reason)
{
	log_error("%s will not be restarted: %s", c->name, reason);
	child_reason(c, reason);
	child_event(c, LIFE_EVENT_PARK);
}

/* ---- the end of a process ---------------------------------------------- */

static bool
signal_is_own(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE ||
	    signo == SIGILL || signo == SIGSYS || signo == SIGABRT;
}

static void
child_note_exit(struct child *c)
{
	struct last_exit *e = &c->last_exit;
	bool is_asked = c->state == LIFE_STOPPING ||
	    c->state == LIFE_RESTARTING || c->state == LIFE_PARKING;
	bool is_signal = c->wait_code != CLD_EXITED;
	bool is_crash;

	*e = (struct last_exit){
	    .is_set = true,
	    .signal = is_signal ? c->wait_status : 0,
	    .status = is_signal ? 0 : c->wait_status,
	    .at_ms = clock_wall_ms()};
	e->is_own_crash = signal_is_own(e->signal) && !c->is_barked;
	/* A kill from outside says nothing about the program. */
	is_crash = is_signal ? e->signal != SIGKILL && e->signal != SIGTERM :
	    e->status != 0 && !is_asked;
	if (is_crash || c->is_barked)
		crash_write(c, e->crash, sizeof(e->crash));
	if (is_signal)
		log_warn("%s (process %d) was ended by signal %d (%s)%s",
		    c->name, (int)c->pid, e->signal, strsignal(e->signal),
		    c->is_barked ? ", by the watchdog" : "");
	else if (e->status != 0 || !is_asked)
		log_warn("%s (process %d) exited with status %d", c->name,
		    (int)c->pid, e->status);
	else
		log_debug("%s (process %d) exited", c->name, (int)c->pid);
}

static void
child_forget_process(struct child *c)
{
	if (ev_is_active(&c->reaper))
		ev_io_stop(tree.loop, &c->reaper);
	close(c->pidfd);
	close(c->ring);
	c->pidfd = c->ring = -1;
	c->pid = 0;
	c->is_reaped = c->awaits_pong = c->is_barked = false;
	c->incarnation = 0;
	c->silent_ms = 0;
	c->cpu_sampled_us = 0;
	c->cpu_percent = 0;
	free(c->worker_state);
	free(c->worker_reason);
	c->worker_state = c->worker_reason = NULL;
	complaints_clear(c);
}

/*
 * Gone is reaped and read to the end: the last words (why it parks) stand
 * in its channel when it is already dead.
 */
static void
child_check_gone(struct child *c)
{
	uint64_t ran;

	if (!c->is_reaped || c->link != NULL)
		return;
	if (c->wait_code == CLD_EXITED && c->wait_status == SPAWN_NO_EXEC &&
	    c->state == LIFE_STARTING)
		child_park(c, "its program cannot be executed");
	child_note_exit(c);
	ran = c->ready_ms == 0 ? 0 : clock_mono_ms() - c->ready_ms;
	child_forget_process(c);
	request_on_gone(c);
	c->ready_ms = ran;	/* for LIFE_WAIT */
	child_event(c, LIFE_EVENT_GONE);
}

void
child_on_close(struct link *l, const char *reason)
{
	struct child *c = link_arg(l);

	c->link = NULL;
	link_free(l);
	if (strcmp(reason, "closed") != 0)
		log_debug("control channel of %s: %s", c->name, reason);
	/* Without its channel it is of no use; usually it is dead already. */
	child_kill(c, SIGKILL);
	child_check_gone(c);
}

static void
on_dead(struct ev_loop *loop, ev_io *w, int events)
{
	struct child *c = w->data;
	siginfo_t info = {0};

	(void)events;
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG) == -1 ||
	    info.si_pid == 0)
		return;
	ev_io_stop(loop, w);
	c->is_reaped = true;
	c->wait_status = info.si_status;
	c->wait_code = info.si_code;
	child_check_gone(c);
}

/* ---- its beginning -------------------------------------------------------- */

static bool
child_make_memory(struct child *c)
{
	c->ring = ring_create();
	if (c->kind == KIND_WORKER && c->marker == -1) {
		c->marker = memfd_create("bulkhead-marker", MFD_CLOEXEC);
		if (c->marker != -1 && ftruncate(c->marker, MARKER_SIZE) == -1)
			return false;
	}
	return c->ring != -1 && (c->kind != KIND_WORKER || c->marker != -1);
}

static bool
child_fork(struct child *c)
{
	struct spawned s;
	char path[4200];
	int ends[2];

	if (!child_make_memory(c) || socketpair(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1)
		return false;
	snprintf(path, sizeof(path), "%s/%s", tree.libexec, c->program);
	if (!spawn_child(&s, path, ends[1])) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	close(ends[1]);
	c->session = ++tree.sessions;
	c->pid = s.pid;
	c->pidfd = s.pidfd;
	c->link = link_new(tree.loop, ends[0], KIND_SUPERVISOR, c->kind,
	    c->name, tree.incarnation, &child_ops, c);
	ev_io_init(&c->reaper, on_dead, c->pidfd, EV_READ);
	c->reaper.data = c;
	ev_io_start(tree.loop, &c->reaper);
	return true;
}

static void
child_spawn(struct child *c)
{
	struct json_object *config;

	c->is_held = false;
	c->ready_ms = 0;
	c->started_ms = clock_mono_ms();
	child_reason(c, NULL);
	if (!child_fork(c)) {
		log_error("cannot start %s: %s", c->name, strerror(errno));
		child_reason(c, strerror(errno));
		if (c->ring != -1)
			close(c->ring);
		c->ring = -1;
		/* As if it had died at once: the wait grows. */
		child_event(c, LIFE_EVENT_GONE);
		return;
	}
	config = setup_child(c);
	wire_child(c, config);
	json_object_put(config);
}

/* ---- the machine ------------------------------------------------------------ */

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	child_event(w->data, LIFE_EVENT_TIMER);
}

static void
child_set_timer(struct child *c, double seconds)
{
	ev_timer_stop(tree.loop, &c->timer);
	if (seconds < 0)
		return;
	ev_timer_init(&c->timer, on_timer, seconds, 0.);
	c->timer.data = c;
	ev_timer_start(tree.loop, &c->timer);
}

static void
child_wait(struct child *c)
{
	uint32_t cap = c->kind == KIND_WORKER ? CAP_WORKER_MS : CAP_MS;
	uint32_t wait = life_wait_ms(&c->backoff, c->ready_ms, cap,
	    (uint32_t)random_u64());
	char why[128];

	if (c->last_exit.signal != 0)
		snprintf(why, sizeof(why), "was ended by signal %d",
		    c->last_exit.signal);
	else
		snprintf(why, sizeof(why), "exited with status %d",
		    c->last_exit.status);
	if (c->reason == NULL)
		child_reason(c, why);
	c->restarts++;
	c->ready_ms = 0;
	child_set_timer(c, wait / 1000.);
}

/*
 * Within a stop of everything three kinds take their turns one after the
 * other: one that hangs leaves the others their share.
 */
static double
stop_seconds(void)
{
	uint64_t s = json_get_u64(json_member(tree.config->resolved, "limits"),
	    "shutdown_timeout_s", 30);

	return tree.is_stopping ? (double)s / 3 : (double)s;
}

static void
child_tell(struct child *c)
{
	double seconds = stop_seconds();

	if (c->link != NULL)
		link_put_shutdown(c->link, &(struct ipc_shutdown){
		    .deadline_ms = (uint32_t)(seconds * 1000)});
	child_set_timer(c, seconds);
}

void
child_event(struct child *c, enum life_event e)
{
	struct life_step step = life_next(c->state, e);

	/* Whatever ended it while all is stopped: it is not started again. */
	if (tree.is_stopping &&
	    (step.action == LIFE_SPAWN || step.action == LIFE_WAIT))
		step = (struct life_step){LIFE_IDLE, LIFE_REST};
	child_enter(c, step.next);
	switch (step.action) {
	case LIFE_NOTHING:
		break;
	case LIFE_SPAWN:
		child_set_timer(c, -1);
		child_spawn(c);
		break;
	case LIFE_NOTE:
		c->ready_ms = clock_mono_ms();
		log_info("%s is ready (process %d)", c->name, (int)c->pid);
		break;
	case LIFE_WAIT:
		child_wait(c);
		break;
	case LIFE_TELL:
		child_tell(c);
		break;
	case LIFE_LIMIT:
		child_set_timer(c, KILL_AFTER_PARK_S);
		break;
	case LIFE_KILL:
		log_warn("%s did not stop in time: killed", c->name);
		child_kill(c, SIGKILL);
		break;
	case LIFE_REST:
		child_set_timer(c, -1);
		tree_on_rest(c);
		break;
	}
}

void
child_free(struct child *c)
{
	child_set_timer(c, -1);
	if (c->marker != -1)
		close(c->marker);
	complaints_clear(c);
	free(c->worker_state);
	free(c->worker_reason);
	free(c->reason);
	free(c->name);
	free(c->program);
	free(c->protocol);
	free(c);
}
