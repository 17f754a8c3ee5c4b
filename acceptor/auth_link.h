/*
 * auth_link - an acceptor's side of the link with the auth process.
 *
 * Whoever is asked about waits: the link may be away for a moment, and then
 * everybody is asked about again. At most AUTH_UNDER_WAY are with the auth
 * process at once and AUTH_WAITING_MAX wait for it, AUTH_BYTES_MAX in all.
 */
#ifndef ACCEPTOR_AUTH_LINK_H
#define ACCEPTOR_AUTH_LINK_H

#include "ipc/messages.h"

#define AUTH_UNDER_WAY 1024
#define AUTH_WAITING_MAX 16384
#define AUTH_BYTES_MAX ((size_t)32 << 20)	/* of all that wait */

struct auth_link_ops {
	/* The answer about this connection; not expected any more after it. */
	void (*on_answer)(const struct ipc_auth_answer *a);
	/* Whoever came in under this name has to go. */
	void (*on_gone)(struct slice username);
	/* Rules or bans are others than before. */
	void (*on_change)(void);
};

void auth_link_init(const struct auth_link_ops *ops);
/* A new link; takes fd. */
void auth_link(const char *name, int fd);
/* Keeps a copy of what is asked; false: too many wait. */
bool auth_link_ask(const struct ipc_auth_ask *ask);
/* It is gone; whether it was asked about or not. */
void auth_link_cancel(uint64_t conn);
/* The end of a turn: what was gathered leaves. */
void auth_link_prepare(void);

#endif
