/*
 * ring - the last events of a process in a memfd that the supervisor holds.
 *
 * The process writes, the supervisor reads after the process has died: what
 * stands there needs no cooperation of the dead. Fixed layout, fixed size.
 *
 * Architecture, section 1.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_EVENTS 64
#define RING_TEXT 232
#define RING_FRAMES 48

struct ring_event {
	uint64_t seq;		/* 0: never written */
	uint64_t time_ms;
	uint64_t len;
	char text[RING_TEXT];
};

struct ring {
	uint64_t magic;
	uint64_t next;		/* the seq of the next event, from 1 */
	uint64_t ready_ms;	/* when the process became ready, 0 = not */
	int64_t signal;		/* what the crash handler saw, 0 = none */
	uint64_t fault;		/* si_addr */
	uint64_t frame_count;
	uint64_t frames[RING_FRAMES];
	char backtrace[8192];	/* symbolised by the handler, NUL ended */
	struct ring_event events[RING_EVENTS];
};

/* Supervisor: a new memfd of the right size. -1 on failure. */
int ring_create(void);
/* Maps it (shared); NULL on failure. writable in the process itself. */
struct ring *ring_map(int fd, int writable);
void ring_unmap(struct ring *r);
/* Process: this is our ring; events and crashes go there from now on. */
void ring_use(struct ring *r);
struct ring *ring_current(void);
void ring_add(const char *text, size_t len);
/* Process: handlers for SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGABRT. */
void ring_catch_crashes(void);

#endif
