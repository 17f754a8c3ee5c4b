#include "supervisor/spawn.h"

#include "base/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL_FD 3

static _Noreturn void
child_exec(const char *path, int control, int null)
{
	char *const argv[] = {(char *)(uintptr_t)path, NULL};

	tool_reset(null);
	/*
	 * A group of its own: what a terminal or timeout(1) sends to the
	 * supervisor's group is for the supervisor, which stops in order.
	 */
	setpgid(0, 0);
	/* dup2 onto itself would keep the close-on-exec flag. */
	if (control == CONTROL_FD)
		fcntl(control, F_SETFD, 0);
	else if (dup2(control, CONTROL_FD) == -1)
		_exit(SPAWN_NO_EXEC);
	close_range(CONTROL_FD + 1, ~0u, 0);
	execve(path, argv, tool_environment());
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", path,
	    strerror(errno));
	_exit(SPAWN_NO_EXEC);
}

bool
spawn_child(struct spawned *s, const char *path, int control)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null == -1)
		return false;
	tool_environment();
	s->pid = fork();
	if (s->pid == 0)
		child_exec(path, control, null);
	close(null);
	if (s->pid == -1)
		return false;
	/* Not reaped by anybody else: the id is still the child's. */
	s->pidfd = pidfd_open(s->pid, 0);
	if (s->pidfd == -1) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		return false;
	}
	fcntl(s->pidfd, F_SETFD, FD_CLOEXEC);
	return true;
}
