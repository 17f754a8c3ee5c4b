#include "ipc/confine.h"

#include "base/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static char problem[160];

static const char *
confine_failed(const char *what)
{
	snprintf(problem, sizeof(problem), "%s: %s", what, strerror(errno));
	return problem;
}

static const char *
confine_limits(const struct ipc_setup *setup)
{
	struct rlimit none = {0, 0}, files;
	int fd;

	setrlimit(RLIMIT_CORE, &none);
	/* A pipe handler ignores that limit: leave it nothing of ours. */
	fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
	if (fd != -1) {
		if (write(fd, "0", 1) != 1)
			fd = (close(fd), -1);
		else
			close(fd);
	}
	if (setup->files > 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = setup->files;
		if (geteuid() != 0 && files.rlim_cur > files.rlim_max)
			files.rlim_cur = files.rlim_max;
		if (files.rlim_cur > files.rlim_max)
			files.rlim_max = files.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &files) == -1) {
			files.rlim_cur = files.rlim_max;
			getrlimit(RLIMIT_NOFILE, &files);
			files.rlim_cur = files.rlim_max;
			setrlimit(RLIMIT_NOFILE, &files);
		}
	}
#ifndef BULKHEAD_SANITIZE
	if (setup->memory > 0) {
		struct rlimit data = {setup->memory, setup->memory};

		if (setrlimit(RLIMIT_DATA, &data) == -1)
			return confine_failed("RLIMIT_DATA");
	}
#endif
	return NULL;
}

const char *
confine_apply(const struct ipc_setup *setup, bool dac_override)
{
	const char *why;

	if ((why = confine_limits(setup)) != NULL)
		return why;
	why = privilege_drop(setup->uid, setup->gid, dac_override, false);
	return why == NULL ? NULL : confine_failed(why);
}

bool
confine_tie(int control_fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	/* setresuid clears it: this comes after the drop. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == -1)
		return false;
	if (getsockopt(control_fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == -1)
		return false;
	return getppid() == peer.pid;
}
