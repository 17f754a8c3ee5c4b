/*
 * tool - runs one of our programs for an answer: text in, text out.
 *
 * The program gets its standard descriptors, of the environment only what
 * programs need (secrets may stand in ours), and the rights of one user. It
 * dies with its parent.
 */
#ifndef BASE_TOOL_H
#define BASE_TOOL_H

#include "base/buf.h"

#include <sys/types.h>

struct tool {
	const char *path;
	const char *argument;
	uid_t uid;		/* 0: stay as we are */
	bool keeps_dac_override;
};

/* A text that is kept from leaking: memfd, at its start. -1 on failure. */
int tool_text(struct slice text);

/*
 * Starts it; input and output become its standard ones. The process, with
 * its pidfd; -1 with errno.
 */
pid_t tool_start(const struct tool *, int input, int output, int *pidfd);

/*
 * Runs it to its end, at most ms long. The exit status, or -1 with the
 * reason in why.
 */
int tool_run(const struct tool *, struct slice input, struct buf *output,
    int ms, char *why, size_t size);

/* The environment for programs of ours; a loan, for ever. */
char **tool_environment(void);
/* Between fork and exec: signals and descriptors as a program expects. */
void tool_reset(int input);

#endif
