/*
 * redis_lane - a connection to one Redis server, and what its replies are
 * owed to: commands are pipelined, replies come in order.
 *
 * A lane is made up before any reply is awaited and ends once; the owner
 * hears of each reply and of the end. Inside either call lane_free of it is
 * allowed.
 */
#ifndef CONNECTOR_WORKER_SINKS_REDIS_LANE_H
#define CONNECTOR_WORKER_SINKS_REDIS_LANE_H

#include "connector-worker/conn.h"
#include "connector-worker/sinks/redis_text.h"

#include <hiredis/hiredis.h>

/* What a reply is owed to. */
enum owed_kind {
	OWED_RECORD,
	OWED_OLD_ID,	/* XRANGE: whether the record's entry is there */
	OWED_HELLO,	/* AUTH, SELECT, PING: must succeed */
	OWED_ASKING,	/* before a redirected command: nothing to tell */
	OWED_MASTER,	/* SENTINEL get-master-addr-by-name */
	OWED_ROLE,	/* whether it is a master */
	OWED_SLOTS,	/* CLUSTER SLOTS */
	OWED_PROBE,
	OWED_VERSION,	/* INFO server, for the test */
	OWED_COMMAND,	/* COMMAND INFO, for the test */
};

struct owed {
	enum owed_kind kind;
	unsigned redirects;
	struct sink_record *record;
};

struct redis;

struct lane {
	struct redis *redis;
	struct redis_server server;
	struct conn *conn;
	redisReader *reader;
	struct owed *owed;	/* a ring, cap a power of two */
	size_t head, count, cap;
	ev_tstamp oldest;	/* since when the first reply is owed */
	bool is_sentinel;
	bool is_ready;		/* greeted: records may go */
	bool is_dirty;		/* commands were added since lane_flush */
	size_t slots;		/* of the cluster's, that it owns */
	struct lane *next;
};

struct lane *lane_open(struct redis *r, const struct redis_server *s,
    bool is_sentinel);
/* What it owes is forgotten: take it before with lane_settle. */
void lane_free(struct lane *l);
/* Adds a command; it leaves with lane_flush. */
void lane_send(struct lane *l, struct owed owed, const struct slice *args,
    size_t count);
/* The same of constant words. */
void lane_say(struct lane *l, enum owed_kind kind, const char *const *words,
    size_t count);
#define LANE_SAY(l, kind, ...)                                               \
	lane_say(l, kind, (const char *const[]){__VA_ARGS__},                \
	    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
/* May end the lane, through redis_lane_down. */
void lane_flush(struct lane *l);
/* The oldest that a reply is owed to; count must not be 0. */
struct owed lane_settle(struct lane *l);

/* --- what the owner does -------------------------------------------- */

void redis_lane_up(struct lane *l);
/* NULL, or why the lane must end. It does not free the lane. */
const char *redis_lane_reply(struct lane *l, struct owed o,
    const redisReply *reply);
/* After all replies that came at once. */
void redis_lane_replied(struct lane *l);
void redis_lane_down(struct lane *l, enum sink_outcome outcome,
    const char *why);

#endif
