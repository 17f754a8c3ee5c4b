#include "connector-worker/sinks/exec_child.h"

#include "base/log.h"
#include "base/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_FD 3
#define NO_EXEC 127
#define READ_SIZE (64u << 10)
#define KEEP (256u << 10)
#define FINI_MS 500

/* --- start ---------------------------------------------------------------- */

static _Noreturn void
child_exec(const struct exec_child *c, int fd, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY);

	tool_reset(null);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (fd == CHILD_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, CHILD_FD);
	close_range(CHILD_FD + 1, ~0u, 0);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* Not the data folder, which is our own working directory. */
	if (getppid() != parent || chdir("/") == -1)
		_exit(NO_EXEC);
	execvpe(c->argv[0], c->argv, c->envp);
	*c->exec_error = errno;
	_exit(NO_EXEC);
}

static bool
child_failed(struct exec_child *c, const char *what)
{
	snprintf(c->why, sizeof(c->why), "the command cannot be started: "
	    "%s: %s", what, strerror(errno));
	return false;
}

static void on_readable(struct ev_loop *, struct ev_io *, int);
static void on_exit_of(struct ev_loop *, struct ev_io *, int);

static void
child_watch(struct exec_child *c)
{
	ev_io_init(&c->io, on_readable, c->fd, EV_READ);
	ev_io_init(&c->exit, on_exit_of, c->pidfd, EV_READ);
	c->io.data = c->exit.data = c;
	ev_io_start(c->loop, &c->io);
	ev_io_start(c->loop, &c->exit);
}

static void
pair_close(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

bool
exec_child_start(struct exec_child *c)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		return child_failed(c, "socketpair");
	*c->exec_error = 0;
	tool_environment();
	c->pid = fork();
	if (c->pid == 0)
		child_exec(c, pair[1], parent);
	if (c->pid == -1) {
		c->pid = 0;
		pair_close(pair);
		return child_failed(c, "fork");
	}
	/* Whoever comes first: a kill must find the group. */
	setpgid(c->pid, c->pid);
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd == -1) {
		child_failed(c, "pidfd_open");
		kill(-c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
		c->pid = 0;
		pair_close(pair);
		return false;
	}
	close(pair[1]);
	c->fd = pair[0];
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->is_ending = c->is_own = c->has_closed = false;
	c->why[0] = '\0';
	child_watch(c);
	return true;
}

void
exec_child_init(struct exec_child *c, struct ev_loop *loop,
    const struct exec_ops *ops, void *arg, char *const *argv,
    char *const *envp)
{
	*c = (struct exec_child){.loop = loop, .ops = ops, .arg = arg,
	    .argv = argv, .envp = envp, .pidfd = -1, .fd = -1};
	c->exec_error = mmap(NULL, sizeof(*c->exec_error),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->exec_error == MAP_FAILED)
		fatal("no memory for the command");
	buf_init(&c->in);
	buf_init(&c->out);
}

/* --- end ------------------------------------------------------------------ */

static void
child_forget(struct exec_child *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_io_stop(c->loop, &c->exit);
	close(c->fd);
	close(c->pidfd);
	c->fd = c->pidfd = -1;
	c->pid = 0;
	buf_clear(&c->in);
	buf_clear(&c->out);
}

void
exec_child_kill(struct exec_child *c, const char *fmt, ...)
{
	va_list ap;

	if (c->pid == 0 || c->is_ending)
		return;
	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	c->is_ending = c->is_own = true;
	ev_io_stop(c->loop, &c->io);
	kill(-c->pid, SIGKILL);
}

/* A signal that a process gets for what it did itself. */
static bool
signal_is_own(int signo)
{
	switch (signo) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGSYS:
	case SIGABRT:
		return true;
	default:
		return false;
	}
}

static void
child_explain(struct exec_child *c, const siginfo_t *info)
{
	if (c->is_ending && c->is_own)
		return;
	if (c->has_closed && info->si_status == SIGTERM) {
		snprintf(c->why, sizeof(c->why),
		    "the command closed its descriptor %d", CHILD_FD);
	} else if (info->si_code != CLD_EXITED) {
		c->is_own = signal_is_own(info->si_status);
		snprintf(c->why, sizeof(c->why),
		    "the command was ended by signal %d (%s)",
		    info->si_status, strsignal(info->si_status));
	} else if (*c->exec_error != 0) {
		errno = *c->exec_error;
		child_failed(c, c->argv[0]);
	} else {
		snprintf(c->why, sizeof(c->why),
		    "the command ended with status %d", info->si_status);
	}
}

/* What it said before it went, as much as the socket holds. */
static void child_read(struct exec_child *c);

static void
on_exit_of(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct exec_child *c = w->data;
	siginfo_t info = {0};

	(void)loop;
	(void)revents;
	/* The group first: while its leader is unreaped, the id is ours. */
	kill(-c->pid, SIGKILL);
	if (!c->is_ending)
		child_read(c);
	if (waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED) == -1)
		info.si_status = SIGKILL;
	child_explain(c, &info);
	child_forget(c);
	c->ops->on_end(c->arg, c->why, c->is_own);
}

void
exec_child_fini(struct exec_child *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	siginfo_t info;

	if (c->pid != 0) {
		if (!c->is_ending) {
			exec_child_flush(c);
			shutdown(c->fd, SHUT_WR);
			while (poll(&p, 1, FINI_MS) == -1 && errno == EINTR)
				;
		}
		kill(-c->pid, SIGKILL);
		waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED);
		child_forget(c);
	}
	munmap(c->exec_error, sizeof(*c->exec_error));
	buf_fini(&c->in);
	buf_fini(&c->out);
}

/* --- talk ----------------------------------------------------------------- */

static void
child_watch_writes(struct exec_child *c, bool is_wanted)
{
	int events = is_wanted ? EV_READ | EV_WRITE : EV_READ;

	if (c->is_ending || (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->loop, &c->io);
}

void
exec_child_flush(struct exec_child *c)
{
	ssize_t n = 0;

	if (c->pid == 0 || c->is_ending)
		return;
	while (buf_len(&c->out) > 0) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			break;
		buf_consume(&c->out, (size_t)n);
	}
	/* Of a broken socket the reader hears the end. */
	child_watch_writes(c, n == -1 && errno == EAGAIN);
	if (buf_len(&c->out) == 0)
		buf_trim(&c->out, KEEP);
}

/* The frames that are whole; a fault ends the command. */
static void
child_take(struct exec_child *c)
{
	struct exec_frame f;
	const char *fault;
	struct slice body;

	while (!c->is_ending) {
		switch (exec_body_peek(buf_slice(&c->in), &body)) {
		case EXEC_MORE:
			return;
		case EXEC_GARBAGE:
			exec_child_kill(c, "the command sent a frame of no "
			    "allowed length");
			return;
		case EXEC_WHOLE:
			break;
		}
		fault = exec_frame_get(body, &f);
		if (fault == NULL)
			fault = c->ops->on_frame(c->arg, &f);
		if (fault != NULL) {
			exec_child_kill(c, "the command sent %s", fault);
			return;
		}
		buf_consume(&c->in, EXEC_HEADER + body.len);
	}
}

static void
child_read(struct exec_child *c)
{
	unsigned turns = EXEC_IN_MAX / READ_SIZE + 1;
	ssize_t n;

	while (turns-- > 0 && !c->is_ending) {
		n = recv(c->fd, buf_reserve(&c->in, READ_SIZE), READ_SIZE,
		    MSG_DONTWAIT);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n <= 0) {
			/* Its end tells more, if that is near. */
			ev_io_stop(c->loop, &c->io);
			c->has_closed = true;
			kill(-c->pid, SIGTERM);
			break;
		}
		buf_commit(&c->in, (size_t)n);
		child_take(c);
	}
	if (buf_len(&c->in) == 0)
		buf_trim(&c->in, KEEP);
}

static void
on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct exec_child *c = w->data;

	(void)loop;
	if ((revents & EV_READ) != 0)
		child_read(c);
	if ((revents & EV_WRITE) != 0)
		exec_child_flush(c);
}
