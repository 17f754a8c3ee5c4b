/* handle - what processes say on their links: one function per message. */
#ifndef ROUTER_HANDLE_H
#define ROUTER_HANDLE_H

#include "ipc/link.h"

/* Takes the descriptor. */
void handle_link(enum ipc_kind kind, const char *name, int fd);

#endif
