/*
 * confine - what a child gives up before it reads a byte from outside.
 *
 * Architecture, section 1: limits, the privilege drop, no_new_privs, and the
 * tie of its life to the supervisor's.
 */
#ifndef IPC_CONFINE_H
#define IPC_CONFINE_H

#include "ipc/messages.h"

/*
 * Applies the limits and the ids of the SETUP message. NULL on success, else
 * what could not be done (a loan).
 */
const char *confine_apply(const struct ipc_setup *setup, bool dac_override);

/* Dies with the parent, from now on; false: the parent is gone already. */
bool confine_tie(int control_fd);

#endif
