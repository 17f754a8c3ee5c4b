#include "ipc/proc.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "ipc/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONTROL_FD 3
#define EXIT_FLUSH_MS 1000

static struct {
	const struct proc_ops *ops;
	struct ev_loop *loop;
	struct link *control;
	ev_prepare prepare;
	char *name;
	uint64_t incarnation;
	int marker;
	bool is_set_up;
} proc = {.marker = -1};

/* For the crash report; what is logged goes there by itself. */
static void __attribute__((format(printf, 1, 2)))
proc_event(const char *fmt, ...)
{
	char text[RING_TEXT];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n > 0)
		ring_add(text, (size_t)n < sizeof(text) ? (size_t)n :
		    sizeof(text) - 1);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	if (proc.is_set_up && proc.ops->on_prepare != NULL)
		proc.ops->on_prepare();
	link_flush_all();
}

static void
on_control_close(struct link *l, const char *reason)
{
	(void)l;
	(void)reason;
	/* The supervisor is gone: nothing it started outlives it. */
	_exit(0);
}

static struct json_object *
proc_config(struct slice text)
{
	struct json_object *config = json_parse(text), *log;
	enum log_level level = LOG_INFO;

	if (!json_object_is_type(config, json_type_object))
		fatal("the supervisor sent a malformed configuration");
	log = json_member(config, "log");
	log_level_parse(json_get_str(log, "level", "info"), &level);
	log_set(level, strcmp(json_get_str(log, "format", "text"), "json") == 0);
	return config;
}

static bool
on_setup(struct link *l, struct frame *f)
{
	const struct ipc_setup *m = &f->u.setup;
	struct json_object *config;
	const char *why;

	(void)l;
	if (proc.is_set_up || f->fd_count < 2)
		return false;
	proc.name = slice_dup(m->name);
	log_init(proc.name);
	if (fchdir(f->fds[0]) == -1)
		fatal("data folder: %s", strerror(errno));
	ring_use(ring_map(f->fds[1], 1));
	proc.marker = frame_take_fd(f, 2);
#ifndef BULKHEAD_SANITIZE
	ring_catch_crashes();
#endif
	if ((why = confine_apply(m, proc.ops->keeps_dac_override)) != NULL)
		fatal("cannot confine itself: %s", why);
	if (!confine_tie(CONTROL_FD))
		_exit(0);
	config = proc_config(m->config);
	proc.is_set_up = true;
	proc_event("set up as %s", proc.name);
	proc.ops->on_setup(config);
	json_object_put(config);
	return true;
}

static bool
on_reconfigure(struct link *l, struct frame *f)
{
	struct json_object *config = proc_config(f->u.reconfigure.config);

	(void)l;
	proc_event("a new configuration");
	if (proc.ops->on_reconfigure != NULL)
		proc.ops->on_reconfigure(config);
	json_object_put(config);
	return true;
}

static bool
on_link(struct link *l, struct frame *f)
{
	char *name;

	(void)l;
	if (proc.ops->on_link == NULL || f->fd_count != 1 ||
	    f->u.link.kind >= KIND_COUNT)
		return false;
	name = slice_dup(f->u.link.name);
	proc_event("a link to %s", name);
	proc.ops->on_link((enum ipc_kind)f->u.link.kind, name,
	    f->u.link.incarnation, frame_take_fd(f, 0));
	free(name);
	return true;
}

static bool
on_links_done(struct link *l, struct frame *f)
{
	(void)l;
	if (proc.ops->on_links_done != NULL)
		proc.ops->on_links_done(f->u.links_done.acceptors);
	return true;
}

static bool
on_listener(struct link *l, struct frame *f)
{
	(void)l;
	if (proc.ops->on_listener == NULL || f->fd_count != 1)
		return false;
	proc_event("listener %.*s", SLICE_ARG(f->u.listener.bind));
	proc.ops->on_listener(&f->u.listener, frame_take_fd(f, 0));
	return true;
}

static bool
on_listener_gone(struct link *l, struct frame *f)
{
	(void)l;
	if (proc.ops->on_listener_gone != NULL)
		proc.ops->on_listener_gone(f->u.listener_gone.id);
	return true;
}

static bool
on_ping(struct link *l, struct frame *f)
{
	link_put_pong(l, &(struct ipc_pong){.seq = f->u.ping.seq});
	return true;
}

static bool
on_shutdown(struct link *l, struct frame *f)
{
	(void)l;
	proc_event("asked to stop");
	if (proc.ops->on_shutdown == NULL)
		proc_exit(0);
	proc.ops->on_shutdown(f->u.shutdown.deadline_ms);
	return true;
}

static bool
on_request(struct link *l, struct frame *f)
{
	const struct ipc_request *m = &f->u.request;
	struct json_object *args;

	(void)l;
	/* Its arguments may hold secrets. */
	proc_event("request %.*s", SLICE_ARG(m->op));
	args = m->args.len == 0 ? json_object_new_object() : json_parse(m->args);
	if (proc.ops->on_request == NULL)
		proc_reply_error(m->id, 404, "unknown_operation",
		    "%s answers no requests", proc.name);
	else if (args == NULL)
		proc_reply_error(
		    m->id, 400, "malformed", "the arguments are not JSON");
	else
		proc.ops->on_request(m->id, m->op, args);
	json_object_put(args);
	return true;
}

static bool
on_reply(struct link *l, struct frame *f)
{
	(void)l;
	if (proc.ops->on_reply != NULL)
		proc.ops->on_reply(
		    f->u.reply.id, f->u.reply.status, f->u.reply.body);
	return true;
}

static link_handler *const control_handlers[IPC_TYPE_MAX + 1] = {
    [IPC_SETUP] = on_setup,
    [IPC_RECONFIGURE] = on_reconfigure,
    [IPC_LINK] = on_link,
    [IPC_LINKS_DONE] = on_links_done,
    [IPC_LISTENER] = on_listener,
    [IPC_LISTENER_GONE] = on_listener_gone,
    [IPC_PING] = on_ping,
    [IPC_SHUTDOWN] = on_shutdown,
    [IPC_REQUEST] = on_request,
    [IPC_REPLY] = on_reply,
};

static const struct link_ops control_ops = {
    .on = control_handlers,
    .on_close = on_control_close,
};

static void
proc_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	/* Control-C reaches the whole group; the supervisor decides. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
}

int
proc_run(const struct proc_ops *ops, int argc, char **argv)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	(void)argc;
	log_init(program_invocation_short_name);
	if (getsockopt(CONTROL_FD, SOL_SOCKET, SO_PEERCRED, &peer, &n) == -1)
		fatal("%s is started by the supervisor; run: bulkhead run",
		    argv[0]);
	close_range(CONTROL_FD + 1, ~0u, 0);
	fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
	proc_signals();
	proc.ops = ops;
	proc.incarnation = random_u64();
	proc.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (proc.loop == NULL)
		fatal("no event loop");
	proc.control = link_new(proc.loop, CONTROL_FD, ops->kind,
	    KIND_SUPERVISOR, "supervisor", proc.incarnation, &control_ops,
	    NULL);
	ev_prepare_init(&proc.prepare, on_prepare);
	ev_set_priority(&proc.prepare, EV_MINPRI);
	ev_prepare_start(proc.loop, &proc.prepare);
	ev_run(proc.loop, 0);
	return 0;
}

struct ev_loop *
proc_loop(void)
{
	return proc.loop;
}

const char *
proc_name(void)
{
	return proc.name == NULL ? program_invocation_short_name : proc.name;
}

uint64_t
proc_incarnation(void)
{
	return proc.incarnation;
}

int
proc_marker_fd(void)
{
	return proc.marker;
}

struct link *
proc_control(void)
{
	return proc.control;
}

void
proc_ready(void)
{
	if (ring_current() != NULL)
		ring_current()->ready_ms = clock_wall_ms();
	proc_event("ready");
	link_put_ready(proc.control,
	    &(struct ipc_ready){.incarnation = proc.incarnation});
}

void
proc_exit(int status)
{
	uint64_t end = clock_mono_ms() + EXIT_FLUSH_MS;
	struct pollfd pause = {.fd = CONTROL_FD, .events = POLLOUT};

	link_flush_all();
	while (proc.control != NULL && link_pending(proc.control) > 0 &&
	    clock_mono_ms() < end) {
		poll(&pause, 1, 50);
		ev_run(proc.loop, EVRUN_NOWAIT);
	}
	exit(status);
}

void
proc_park(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s", text);
	link_put_park(
	    proc.control, &(struct ipc_park){.reason = slice_str(text)});
	proc_exit(1);
}

void
proc_degraded(const char *key, const char *reason)
{
	proc_event("degraded %s: %s", key, reason == NULL ? "" : reason);
	link_put_degraded(proc.control,
	    &(struct ipc_degraded){.key = slice_str(key),
		.reason = reason == NULL ? SLICE_EMPTY : slice_str(reason)});
}

void
proc_state(const char *state, const char *reason)
{
	proc_event("state %s: %s", state, reason == NULL ? "" : reason);
	link_put_state(proc.control,
	    &(struct ipc_state){.state = slice_str(state),
		.reason = reason == NULL ? SLICE_EMPTY : slice_str(reason)});
}

void
proc_reply(uint64_t id, uint16_t status, struct json_object *body)
{
	link_put_reply(proc.control,
	    &(struct ipc_reply){
		.id = id, .status = status, .body = json_text(body)});
	json_object_put(body);
}

void
proc_reply_error(
    uint64_t id, uint16_t status, const char *code, const char *fmt, ...)
{
	struct json_object *body = json_object_new_object();
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_add_str(body, "code", code);
	json_add_str(body, "message", text);
	proc_reply(id, status, body);
}
