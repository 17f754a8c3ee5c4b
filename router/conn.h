/*
 * conn - the connections of all acceptors' clients: who is there, under
 * which epoch, with which will.
 *
 * Every CONNECT registers and gets an epoch; the newest wins, the older
 * connection of the same client id is told to close. What speaks for an
 * older epoch is not heard.
 *
 * Architecture, section 4; MQTT 5, 3.1 and 4.8.
 */
#ifndef ROUTER_CONN_H
#define ROUTER_CONN_H

#include "ipc/messages.h"

struct sender;
struct session;
struct will;

/* There are many of them: one allocation each, texts at its end. */
struct conn {
	uint64_t number;	/* the acceptor's */
	uint64_t epoch;
	struct session *session;	/* NULL: its home is the acceptor */
	struct will *will;
	uint32_t connected_s;	/* since 1970 */
	uint32_t expiry_s;
	uint16_t keepalive_s;
	uint16_t receive_max;
	uint16_t client_len, username_len;
	uint8_t address_len;
	uint8_t protocol;	/* conn_protocol */
	uint8_t home;		/* slot of its acceptor; conn_home */
	bool has_username;
	bool is_connected;	/* CONNECTED was sent */
	char texts[];		/* client id, user name, address */
};

static inline struct slice
conn_client(const struct conn *c)
{
	return slice_of(c->texts, c->client_len);
}

/* Null where the client gave none. */
static inline struct slice
conn_username(const struct conn *c)
{
	return c->has_username ?
	    slice_of(c->texts + c->client_len, c->username_len) : SLICE_NULL;
}

static inline struct slice
conn_address(const struct conn *c)
{
	return slice_of(
	    c->texts + c->client_len + c->username_len, c->address_len);
}

struct sender *conn_home(const struct conn *c);
const char *conn_protocol(const struct conn *c);

#define REASON_TAKEN_OVER 0x8e
#define REASON_ADMINISTRATIVE 0x98

size_t conns_count(void);
uint64_t conns_opened(void);	/* since the start */
struct conn *conns_next(size_t *i);
struct conn *conn_find(const struct sender *home, uint64_t number);
struct conn *conn_by_client(struct slice client_id);

void conn_open(struct sender *home, const struct ipc_connect *m);
/* False: malformed. */
bool conn_reclaim(struct sender *home, const struct ipc_reclaim *m);
void conn_close(struct sender *home, const struct ipc_disconnect *m);
/* The acceptor died: as if each had ended without DISCONNECT. */
void conns_lost(struct sender *home);
/* Tells the acceptor to close it and ends it here. */
void conn_kick(struct conn *c, uint8_t reason);
void conn_subscribe(struct sender *home, const struct ipc_subscribe *m);
void conn_unsubscribe(struct sender *home, const struct ipc_unsubscribe *m);

struct conn_limits {
	uint32_t expiry_max_s;
	uint64_t sessions;
};
void conns_set_limits(const struct conn_limits *limits);

/* Sessions whose time has come; wall clock. */
void sessions_expire(uint64_t now_ms);
/* All acceptors are back: who was not reclaimed is offline from now on. */
void sessions_settle(uint64_t now_ms);
/* With its queue and connection. */
void session_end(struct session *s, uint8_t reason);

#endif
