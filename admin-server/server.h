/*
 * server - the connections of the API: accept, read, limits, write.
 *
 * A head must be whole within HEAD_S of its first byte, a body within
 * BODY_S, what is written must move within WRITE_S; an idle connection is
 * closed after IDLE_S. At most CONNS_MAX per transport, BODIES_MAX bytes of
 * bodies in all. One request at a time per connection; what comes meanwhile
 * waits in the socket.
 *
 * Listeners beyond loopback answer /health to anybody and the rest to those
 * with a token (token.h).
 */
#ifndef ADMIN_SERVER_SERVER_H
#define ADMIN_SERVER_SERVER_H

#include "admin-server/route.h"
#include "ipc/messages.h"

void server_init(const struct route_table *routes);
/* Takes fd. */
void server_listen(const struct ipc_listener *l, int fd);
void server_unlisten(uint32_t id);
/* No new connections or requests; idle ones are closed. */
void server_drain(void);
/* Connections that still have something to say. */
size_t server_busy(void);
size_t server_connections(void);
uint64_t server_requests(void);

#endif
