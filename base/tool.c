#include "base/tool.h"

#include "base/clock.h"
#include "base/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_EXEC 127
#define OUTPUT_MAX (4u << 20)

static const char *const environment_names[] = {"LANG", "LC_ALL", "TZ",
    "PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", NULL};

char **
tool_environment(void)
{
	static char *all[sizeof(environment_names) /
	    sizeof(environment_names[0])];
	size_t i, n = 0;
	char *value;

	if (all[0] != NULL)
		return all;
	for (i = 0; environment_names[i] != NULL; i++) {
		value = getenv(environment_names[i]);
		if (value != NULL && asprintf(&all[n], "%s=%s",
		    environment_names[i], value) > 0)
			n++;
	}
	all[n] = NULL;
	return all;
}

void
tool_reset(int input)
{
	struct sigaction normal = {.sa_handler = SIG_DFL};
	sigset_t none;
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		sigaction(signo, &normal, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(input, STDIN_FILENO);
	umask(027);
}

static _Noreturn void
tool_exec(const struct tool *t, int output, pid_t parent)
{
	char *const argv[] = {(char *)(uintptr_t)t->path,
	    (char *)(uintptr_t)t->argument, NULL};
	int program;

	dup2(output, STDOUT_FILENO);
	/* Opened before the drop: its folder may be closed to the user. */
	program = open(t->path, O_PATH | O_CLOEXEC);
	if (program == -1 || privilege_drop(t->uid, t->uid,
	    t->keeps_dac_override, true) != NULL)
		_exit(NO_EXEC);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(NO_EXEC);
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	syscall(SYS_execveat, program, "", argv, tool_environment(),
	    AT_EMPTY_PATH);
	_exit(NO_EXEC);
}

pid_t
tool_start(const struct tool *t, int input, int output, int *pidfd)
{
	pid_t parent = getpid(), pid;

	tool_environment();
	pid = fork();
	if (pid == 0) {
		tool_reset(input);
		tool_exec(t, output, parent);
	}
	if (pid == -1)
		return -1;
	*pidfd = pidfd_open(pid, 0);
	if (*pidfd == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	fcntl(*pidfd, F_SETFD, FD_CLOEXEC);
	return pid;
}

int
tool_text(struct slice text)
{
	int fd = memfd_create("bulkhead-text", MFD_CLOEXEC);
	ssize_t n = 1;

	if (fd == -1)
		return -1;
	while (text.len > 0 && (n = write(fd, text.p, text.len)) > 0) {
		text.p += n;
		text.len -= (size_t)n;
	}
	if (n > 0 && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What it prints goes to a memfd: nobody need read along. */
static bool
output_take(int fd, struct buf *output)
{
	struct stat st;
	uint8_t *to;

	if (fstat(fd, &st) == -1 || st.st_size > OUTPUT_MAX)
		return false;
	to = buf_reserve(output, (size_t)st.st_size + 1);
	if (pread(fd, to, (size_t)st.st_size, 0) != st.st_size)
		return false;
	buf_commit(output, (size_t)st.st_size);
	return true;
}

static int
tool_wait(int pidfd, int ms, char *why, size_t size)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	uint64_t end = clock_mono_ms() + (uint64_t)ms, now;
	siginfo_t info = {0};
	bool is_late = false;
	int rc = 0;

	while (rc == 0 && (now = clock_mono_ms()) < end) {
		rc = poll(&p, 1, (int)(end - now));
		if (rc == -1 && errno == EINTR)
			rc = 0;
	}
	if (rc <= 0) {
		is_late = true;
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	}
	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) == -1)
		is_late = true;
	if (is_late)
		snprintf(why, size, "did not end in %d ms", ms);
	else if (info.si_code != CLD_EXITED)
		snprintf(why, size, "was ended by signal %d", info.si_status);
	else if (info.si_status == NO_EXEC)
		snprintf(why, size, "cannot be executed");
	else
		return info.si_status;
	return -1;
}

int
tool_run(const struct tool *t, struct slice input, struct buf *output, int ms,
    char *why, size_t size)
{
	int in = tool_text(input), status = -1, pidfd;
	int out = memfd_create("bulkhead-output", MFD_CLOEXEC);

	if (in == -1 || out == -1 || tool_start(t, in, out, &pidfd) == -1) {
		snprintf(why, size, "cannot be started: %s", strerror(errno));
	} else {
		status = tool_wait(pidfd, ms, why, size);
		close(pidfd);
		if (status != -1 && !output_take(out, output)) {
			snprintf(why, size, "printed too much");
			status = -1;
		}
	}
	close(in);
	close(out);
	return status;
}
