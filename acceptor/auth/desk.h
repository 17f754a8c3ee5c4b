/*
 * desk - the links with the acceptors: who asks, and what they are told.
 */
#ifndef ACCEPTOR_AUTH_DESK_H
#define ACCEPTOR_AUTH_DESK_H

#include "ipc/messages.h"

#include <ev.h>

/* A new acceptor; takes fd. */
void desk_link(const char *name, int fd);
/* Every acceptor is told the rules and bans in force. */
void desk_tell(void);
/* Connections of this user end. */
void desk_end(struct slice username);
/* Answers a question of the acceptor with this number, if it is there. */
void desk_answer(uint64_t acceptor, const struct ipc_auth_answer *a);
/* The end of a turn: answers leave, a frame for each acceptor. */
void desk_prepare(void);

#endif
