/*
 * router_link - the link to the router: what this process says at the
 * start of each, and which module hears what.
 *
 * The admin-server is a numbered sender like an acceptor (architecture,
 * section 5): what it publishes is kept until taken and sent again to a new
 * router. It has no sessions.
 */
#ifndef ADMIN_SERVER_ROUTER_LINK_H
#define ADMIN_SERVER_ROUTER_LINK_H

#include "admin-server/outbox.h"
#include "ipc/link.h"

void router_link_init(void);
/* Takes fd. */
void router_link_open(const char *name, int fd);
/* Sends what the credit allows; before the loop blocks. */
void router_link_prepare(void);

bool router_link_is_up(void);
/* NULL while there is none. */
struct link *router_link_get(void);
struct outbox *router_link_outbox(void);

#endif
