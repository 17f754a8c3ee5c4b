/*
 * websocket - MQTT in WebSocket: the upgrade, then binary messages whose
 * bounds mean nothing (RFC 6455; MQTT 5, section 6).
 *
 * Bytes in, bytes out: no descriptor, no loop. Answers (the upgrade, pongs,
 * the close) are appended to a buffer that the caller sends.
 */
#ifndef ACCEPTOR_WEBSOCKET_H
#define ACCEPTOR_WEBSOCKET_H

#include "proto/ws/frame.h"

#include <json-c/json.h>

/* What a listener demands of an upgrade. */
struct websocket_rules {
	char *path;
	struct json_object *origins;	/* a list, or NULL: any */
	uint64_t message_max;
};

struct websocket;

/* The rules are looked at until the upgrade is done. */
struct websocket *websocket_new(const struct websocket_rules *);
void websocket_free(struct websocket *);

/* Beyond what it was given, websocket_receive needs so much room. */
#define WEBSOCKET_HELD_MAX 256

/*
 * Takes n bytes at p, whose room is n + WEBSOCKET_HELD_MAX, and leaves the
 * payload there; returns its length. *is_ended: no more will be read, and
 * the connection closes when answer was sent.
 */
size_t websocket_receive(struct websocket *, uint8_t *p, size_t n,
    struct buf *answer, bool *is_ended);
void websocket_send(const struct websocket *, struct slice plain,
    struct buf *out);
/* A close frame, unless one was sent. */
void websocket_end(struct websocket *, enum ws_status, struct buf *out);

/* Why the last one was refused; static memory. */
const char *websocket_problem(void);

#endif
