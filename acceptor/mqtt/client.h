/*
 * client - connections: their life, their input and their output.
 *
 * Input is read into one buffer of the process and decoded there; only a
 * packet that is not whole is kept with its client. Output is gathered in a
 * buffer taken from a pool and written once per turn, at its end
 * (clients_prepare), or sooner where it grows large. So an idle connection
 * has no buffers at all.
 */
#ifndef ACCEPTOR_MQTT_CLIENT_H
#define ACCEPTOR_MQTT_CLIENT_H

#include "acceptor/mqtt/mqtt.h"
#include "acceptor/mqtt/roster.h"

void clients_init(struct ev_loop *loop);
/* Takes a new connection's descriptor. */
void client_accept(int fd, uint32_t listener);

/*
 * Ends the connection and all that is local to it: the router is told, with
 * the reason. What was written still leaves.
 */
void client_close(struct client *c, enum mqtt_reason reason);
/* The same, and a client of version 5 is told why first. */
void client_fail(struct client *c, enum mqtt_reason reason);
/* The descriptor is of no more use. */
void client_break(struct client *c);
/* The router knows of its end: a client that is gone may be freed. */
void client_told(struct client *c);

/*
 * Where to append output; NULL for a client that is closing. Call
 * client_added after it. The buf may be another after that.
 */
struct buf *client_out(struct client *c);
void client_added(struct client *c);
/* Bytes that the kernel did not take so far. */
size_t client_unwritten(const struct client *c);

/*
 * Bytes that may wait for a client: most, or less where so many clients have
 * something waiting that all together would be too much.
 */
size_t client_allowance(size_t most);
/* Say so when what waits for c, beside unwritten output, comes or goes. */
void client_weigh(struct client *c);

/* The state for QoS 1 and 2, made at first use. */
struct flow *client_flow(struct client *c);

/* Rests and resumes reading, for one of the reasons STOP_*. */
void client_stop(struct client *c, uint8_t why);
void client_resume(struct client *c, uint8_t why);

/* The end of a turn: resumed input, output, the dead. */
void clients_prepare(void);
/* Wall clock in milliseconds, read once per turn. */
uint64_t clients_now_ms(void);
uint32_t clients_now_s(void);	/* monotonic */
/* "address:port" of the peer. */
void client_address(const struct client *c, char *text, size_t cap);

#endif
