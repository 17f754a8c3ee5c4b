/*
 * listener - listening sockets and the connections that come by them.
 *
 * The supervisor keeps each socket and shares it with every acceptor of its
 * protocol; here it is only accepted from, a bounded number per turn. When
 * descriptors run out, accepting rests for a moment.
 */
#ifndef ACCEPTOR_LISTENER_H
#define ACCEPTOR_LISTENER_H

#include "ipc/messages.h"

#include <ev.h>

/* Takes the descriptor: non-blocking, TCP_NODELAY. */
typedef void listener_accept(int fd, uint32_t listener);

/* Takes fd, and accepts from it from now on. */
void listener_open(struct ev_loop *loop, uint32_t id, int fd,
    listener_accept *on_accept);
void listener_close(uint32_t id);
void listener_close_all(void);

#endif
