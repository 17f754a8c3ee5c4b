/*
 * spawn - fork and exec of a program in libexec.
 *
 * The child gets descriptor 3 and its standard ones, nothing else; of the
 * environment only what programs need (secrets may stand in ours).
 *
 * Architecture, section 1.
 */
#ifndef SUPERVISOR_SPAWN_H
#define SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

struct spawned {
	pid_t pid;
	int pidfd;	/* readable when it has died */
};

/*
 * control becomes its descriptor 3. False with errno when nothing was
 * started; a program that cannot be executed exits with SPAWN_NO_EXEC.
 */
#define SPAWN_NO_EXEC 127
bool spawn_child(struct spawned *, const char *path, int control);

#endif
