#include "base/ring.h"

#include "base/clock.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_MAGIC 0x62756c6b72696e67ull

static struct ring *current;

int
ring_create(void)
{
	int fd = memfd_create("bulkhead-ring", MFD_CLOEXEC);

	if (fd == -1)
		return -1;
	if (ftruncate(fd, sizeof(struct ring)) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

struct ring *
ring_map(int fd, int writable)
{
	void *p = mmap(NULL, sizeof(struct ring),
	    PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

void
ring_unmap(struct ring *r)
{
	if (r != NULL)
		munmap(r, sizeof(*r));
}

void
ring_use(struct ring *r)
{
	current = r;
	if (r == NULL)
		return;
	r->magic = RING_MAGIC;
	if (r->next == 0)
		r->next = 1;
}

struct ring *
ring_current(void)
{
	return current;
}

void
ring_add(const char *text, size_t len)
{
	struct ring_event *e;

	if (current == NULL)
		return;
	e = &current->events[current->next % RING_EVENTS];
	if (len > sizeof(e->text))
		len = sizeof(e->text);
	e->seq = 0;
	e->time_ms = clock_wall_ms();
	e->len = len;
	memcpy(e->text, text, len);
	e->seq = current->next++;
}

/* The symbols of the frames, through a pipe: no allocation. */
static void
ring_backtrace(struct ring *r)
{
	void *frames[RING_FRAMES];
	size_t used = 0;
	ssize_t got;
	int n, ends[2];

	n = backtrace(frames, RING_FRAMES);
	for (int i = 0; i < n; i++)
		r->frames[i] = (uint64_t)(uintptr_t)frames[i];
	r->frame_count = (uint64_t)n;
	if (pipe(ends) == -1)
		return;
	backtrace_symbols_fd(frames, n, ends[1]);
	close(ends[1]);
	while (used < sizeof(r->backtrace) - 1 &&
	    (got = read(ends[0], r->backtrace + used,
		sizeof(r->backtrace) - 1 - used)) > 0)
		used += (size_t)got;
	r->backtrace[used] = '\0';
	close(ends[0]);
}

static void
on_crash(int signo, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t again;

	(void)context;
	/* SA_RESETHAND: a fault in here ends the process as it must. */
	if (current != NULL && !again) {
		again = 1;
		current->signal = signo;
		current->fault = (uint64_t)(uintptr_t)info->si_addr;
		ring_backtrace(current);
	}
	raise(signo);
}

void
ring_catch_crashes(void)
{
	static const int signals[] = {
	    SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGABRT};
	static char stack[65536];
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_crash,
	    .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_ONSTACK};
	void *warm[2];

	/* The first call loads libgcc: not something to do in a handler. */
	backtrace(warm, 2);
	sigaltstack(&alt, NULL);
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
}
