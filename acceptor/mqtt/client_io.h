/*
 * client_io - what goes in and out of a connection's descriptor.
 *
 * For client.c; the others append output with client_out and client_added.
 */
#ifndef ACCEPTOR_MQTT_CLIENT_IO_H
#define ACCEPTOR_MQTT_CLIENT_IO_H

#include "acceptor/mqtt/mqtt.h"

void io_init(struct ev_loop *loop);
/* Takes the descriptor and begins to read. */
void io_open(struct client *c, int fd);
void io_close(struct client *c);
/* Its buffers, when it is freed. */
void io_release(struct client *c);
/* Listens for what the client's state asks for. */
void io_update(struct client *c);
/* Writes what there is, as far as the kernel takes it. */
void io_write(struct client *c);
/* Writes the same, and the transport's last words. */
void io_end(struct client *c, bool is_good);
/* Is there something to read that we did not look at? */
bool io_has_unread(const struct client *c);
/* The end of a turn; true when there is more to do at once. */
bool io_turn(void);

#endif
