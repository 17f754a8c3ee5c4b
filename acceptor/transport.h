/*
 * transport - what may lie between a socket and a protocol: a PROXY header,
 * TLS, WebSocket, in this order.
 *
 * Bytes in, bytes out: no descriptor, no loop. A connection of plain TCP has
 * none at all, so that its path is as short as it was. Each direction passes
 * everything on at once; only what is not whole is kept.
 */
#ifndef ACCEPTOR_TRANSPORT_H
#define ACCEPTOR_TRANSPORT_H

#include "acceptor/endpoint.h"
#include "base/buf.h"

struct transport;

/* NULL where the listener's connections are plain. */
struct transport *transport_new(struct endpoint *);
void transport_free(struct transport *);

/* Room that transport_receive needs beyond the bytes that it is given. */
#define TRANSPORT_HELD_MAX (32u << 10)

/*
 * Takes what came from the socket; the protocol's bytes are written to out,
 * which has room for in.len + TRANSPORT_HELD_MAX. Returns their number. Look
 * at the wire and at transport_is_ended after it.
 */
size_t transport_receive(struct transport *, struct slice in, uint8_t *out,
    size_t cap);
/* The peer has ended it, or must be disconnected once the wire is sent. */
bool transport_is_ended(const struct transport *);
/* Why, where the peer did wrong; NULL otherwise. */
const char *transport_problem(const struct transport *);

/* Takes all of plain; the wire has it then. */
void transport_send(struct transport *, struct buf *plain);
/* Last words; a bad end says to WebSocket that it was the peer's fault. */
void transport_end(struct transport *, bool is_good);
/* Bytes for the socket: the caller writes and consumes them. */
struct buf *transport_wire(struct transport *);

/* "address:port" that a proxy named, or NULL. */
const char *transport_address(const struct transport *);
/*
 * The name that the listener takes from certificate or key, appended; false
 * where there is none.
 */
bool transport_identity(const struct transport *, struct buf *name);

#endif
