/*
 * conn - one connection of the API (private to server.c and conn.c).
 */
#ifndef ADMIN_SERVER_CONN_H
#define ADMIN_SERVER_CONN_H

#include "admin-server/exchange.h"

#include <ev.h>

enum conn_state {
	CONN_IDLE,	/* between requests */
	CONN_HEAD,
	CONN_BODY,
	CONN_SERVING,	/* an exchange is under way */
	CONN_CLOSING,	/* the last answer is being written */
};

struct listener;

struct conn {
	struct conn *next, **prev;
	struct listener *listener;
	int fd;
	ev_io reader, writer;
	ev_timer timer;
	enum conn_state state;
	struct http_parser parser;
	struct buf in;		/* read and not yet parsed */
	struct buf out;
	int kernel_left;	/* unsent bytes at the last look */
	size_t body_counted;	/* of the bytes of bodies in all */
	struct exchange x;
	bool has_exchange;
	bool is_streaming;
	bool is_head;		/* HEAD: no body in the answer */
	bool closes;		/* after this answer */
	bool is_eof;		/* the client sends no more */
	bool is_public;		/* beyond loopback */
	bool is_unix;
	bool is_busy;		/* in a handler: free later */
	bool is_dead;
};

struct conn *conn_new(struct listener *l, int fd, bool is_unix,
    bool is_public);
void conn_free(struct conn *c);
/* Ends a stream from our side; nothing if there is none. */
void conn_end_stream(struct conn *c);

/* What a connection needs of its server. */
const struct route_table *server_routes(void);
bool server_is_draining(void);
/* Moves the count of body bytes; false when there is no room. */
bool server_count_body(struct conn *c, size_t bytes);
void server_count_request(void);
void server_forget(struct conn *c);

#endif
