/*
 * mqtt - what the modules of the MQTT acceptor share.
 *
 * One thread, one loop. A client is a connection; it is found by its
 * number, conn, which is never used twice. Whatever a handler does to a
 * client, its memory lives until the end of the turn (clients_prepare):
 * look at its state after a call that may have closed it.
 */
#ifndef ACCEPTOR_MQTT_MQTT_H
#define ACCEPTOR_MQTT_MQTT_H

#include "acceptor/mqtt/id_set.h"
#include "acceptor/mqtt/route.h"
#include "acceptor/mqtt/seen.h"
#include "acceptor/mqtt/window.h"
#include "base/buf.h"
#include "proto/mqtt/publish.h"

#include <ev.h>
#include <json-c/json.h>

/* Bounds of what is taken, from the configuration. */
struct limits {
	size_t max_packet_size;
	size_t max_queued_bytes;
	uint32_t max_connections;
	uint32_t max_queued;
	uint32_t max_subscriptions;	/* of one client */
	uint32_t connect_rate;		/* a second, 0: none */
	uint32_t topic_aliases_sent;	/* to one client */
	uint32_t connect_timeout_s;
	uint32_t session_expiry_max_s;
	uint16_t max_inflight;
	uint16_t topic_alias_maximum;
	uint16_t keep_alive_max_s;	/* 0: none */
};

/* What is counted; the table is stats.def. */
struct stats {
#define STAT(name, type, help) uint64_t name;
#include "acceptor/mqtt/stats.def"
#undef STAT
};

/* The acceptor as a whole: the one mutable thing of this room. */
struct mqtt {
	struct limits limits;
	struct stats stats;
	struct subs subs;	/* that we serve ourselves */
	struct wanted wanted;	/* outside */
	struct routes routes;
	struct seen seen;	/* of other acceptors' messages */
	uint8_t shared_strategy;	/* enum shared_strategy */
	bool has_shared;	/* shared subscriptions are served */
};
extern struct mqtt mqtt;

void mqtt_configure(struct json_object *config);
/* The answer to the request "metrics"; the caller puts it. */
struct json_object *mqtt_metrics(void);

enum client_state {
	CLIENT_NEW,		/* CONNECT has to come */
	CLIENT_ASKING,		/* the auth process is asked about it */
	CLIENT_WAITING,		/* for the router's answer */
	CLIENT_ON,
	CLIENT_CLOSING,		/* what is written leaves, no more is read */
	CLIENT_GONE,		/* no descriptor; the router is to be told */
	CLIENT_DEAD,		/* freed at the end of the turn */
};

/* Why a client is not read from; a set of bits. */
enum {
	STOP_CONNECT = 1,	/* its CONNECT waits for the router */
	STOP_ROUTER = 2,	/* the router takes no messages */
	STOP_INFLIGHT = 4,	/* too much of it is unanswered */
	STOP_OUTPUT = 8,	/* it does not read what we write */
};

/* An acknowledgement that waits for the router, or for one before it. */
struct ack {
	uint64_t number;	/* of the hand-over; 0: nothing to wait for */
	uint16_t id;
	uint8_t type;		/* MQTT_PUBACK or MQTT_PUBREC */
	uint8_t reason;
};
/* The router refused it for want of space: it is handed over again. */
#define ACK_REFUSED UINT64_MAX

struct alias {
	uint8_t *topic;
	size_t len;
};

/* What only clients with messages at QoS 1 and 2, or aliases, have. */
struct flow {
	struct window window;	/* to the client */
	struct parcels waiting;	/* beyond the window */
	uint64_t next;		/* sequence number of the next delivery */
	struct buf acks;	/* struct ack, in the order of publishes */
	uint32_t pubacks;	/* of them at QoS 1 */
	struct id_set received;	/* QoS 2 from the client, not released */
	struct id_set releasing;	/* PUBREL came, the router knows */
	/* Of shared groups, sent and not acknowledged. */
	struct shared_message *shared, *shared_last;
	struct alias *sent_aliases;	/* alias_max of them */
	struct alias *aliases;	/* topic_alias_maximum of them, by alias - 1 */
};

struct will {
	struct slice topic, payload;	/* in bytes */
	struct slice props;		/* packed, base/props.h */
	uint32_t delay_s, expiry_s;
	uint8_t flags;			/* MSG_* */
	struct buf bytes;
};

struct transport;

struct client {
	ev_io io;
	struct transport *transport;	/* NULL: plain */
	uint64_t conn;
	uint64_t epoch;
	uint64_t session;	/* of the router, 0: clean */
	struct buf *in;		/* a packet that is not whole, or NULL */
	struct buf *out;	/* not yet with the kernel, or NULL */
	struct client *dirty_next;
	struct client *resume_next;
	struct client *wheel_next, **wheel_prev;
	struct subscription *subs;
	struct request *requests;	/* SUBSCRIBEs under way */
	struct flow *flow;
	struct will *will;
	struct guest *guest;	/* admit.h, or NULL */
	uint8_t *id;		/* client identifier */
	uint8_t *username;	/* NULL: none */
	uint32_t due_s;		/* when the wheel looks at it */
	uint32_t seen_s;	/* when it last sent, or read, something */
	uint32_t expiry_s;
	uint32_t max_packet;	/* what it takes */
	uint32_t sub_count;
	uint16_t id_len, username_len;
	uint16_t receive_max;
	uint16_t keep_alive;
	uint16_t alias_max;	/* aliases that we may use with it */
	uint16_t listener;
	uint8_t version;
	uint8_t state;		/* enum client_state */
	uint8_t stop;		/* STOP_* */
	bool is_dirty, is_resuming, is_writing;
	bool is_heavy;		/* counted in clients_heavy */
	bool clean_start, is_id_assigned;
	bool has_identity;	/* username was proved by certificate or key */
	bool wants_will;	/* when it closes without a DISCONNECT */
	bool has_expiry;	/* its DISCONNECT changed expiry_s */
	uint8_t reason;		/* it closed with */
};

static inline struct slice
client_id(const struct client *c)
{
	return slice_of(c->id, c->id_len);
}

static inline struct slice
client_username(const struct client *c)
{
	return slice_of(c->username, c->username_len);
}

static inline bool
client_is_on(const struct client *c)
{
	return c->state == CLIENT_ON;
}

#endif
