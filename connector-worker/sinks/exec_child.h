/*
 * exec_child - the command of an exec connector: a process and a socket.
 *
 * It has /dev/null as stdin, our stderr as stdout and stderr, the socket as
 * descriptor 3 and no other; its working directory is /; it leads a process
 * group of its own and dies with us. What it can say is bounded by
 * exec_frame.h; whatever else comes ends it.
 */
#ifndef CONNECTOR_WORKER_SINKS_EXEC_CHILD_H
#define CONNECTOR_WORKER_SINKS_EXEC_CHILD_H

#include "connector-worker/sinks/exec_frame.h"

#include <sys/types.h>

struct exec_ops {
	/* NULL, or what is wrong with it: the command is then ended. */
	const char *(*on_frame)(void *arg, struct exec_frame *f);
	/*
	 * It is gone and may be started again. is_own: by a fault of its
	 * own (a crash, garbage, a hang), not by who sent it a signal.
	 */
	void (*on_end)(void *arg, const char *why, bool is_own);
};

struct exec_child {
	struct ev_loop *loop;
	const struct exec_ops *ops;
	void *arg;
	char *const *argv;
	char *const *envp;

	pid_t pid;		/* 0: none */
	int pidfd, fd;
	struct ev_io exit, io;
	struct buf in, out;	/* out: add frames, then exec_child_flush */
	bool is_ending;		/* was killed; only its end is awaited */
	bool has_closed;
	bool is_own;
	int *exec_error;	/* shared: why there is no such program */
	char why[EXEC_REASON_MAX / 8];
};

void exec_child_init(struct exec_child *c, struct ev_loop *loop,
    const struct exec_ops *ops, void *arg, char *const *argv,
    char *const *envp);
/* Ends it: a moment for the frames in out to be read, then SIGKILL. */
void exec_child_fini(struct exec_child *c);

/* False with the reason in c->why. */
bool exec_child_start(struct exec_child *c);
void exec_child_flush(struct exec_child *c);
/* on_end comes later, from the loop. */
void exec_child_kill(struct exec_child *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
