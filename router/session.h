/*
 * session - persistent sessions: subscriptions, queue, inbound packet
 * identifiers; their rows in router.db.
 *
 * The registry owns the sessions. A change marks the session: SESSION_LAZY
 * goes into the next checkpoint, SESSION_NOW into the very next commit.
 * Expiry runs from the time the connection ended, also through restarts.
 *
 * Architecture, section 4; MQTT 5, 4.1.
 */
#ifndef ROUTER_SESSION_H
#define ROUTER_SESSION_H

#include "router/interest.h"
#include "router/queue.h"

#include <sys/queue.h>

struct conn;
struct log_partition;

#define SESSION_NEVER UINT32_MAX	/* expiry_s: does not expire */

enum session_mark { SESSION_CLEAN, SESSION_LAZY, SESSION_NOW };

/*
 * Recovery found an inbound QoS 2 message in this partition whose commit may
 * not have been whole: its repetition must not be stored there again.
 */
struct session_suspect {
	uint16_t mid;
	const struct log_partition *partition;
};

struct session {
	uint64_t id;
	uint64_t epoch;
	uint64_t created_ms;
	uint64_t offline_ms;	/* wall clock; 0: connected */
	uint32_t expiry_s;
	uint16_t receive_max;	/* of its last connection */
	struct conn *conn;
	struct queue queue;
	struct sub **subs;
	uint32_t subs_len, subs_cap;
	uint16_t *mids;		/* received, not released; sorted */
	uint32_t mids_len, mids_cap;
	struct session_suspect *suspects;
	uint32_t suspects_len;
	uint64_t dropped;	/* over the limits of its queue */
	char *username, *protocol;
	enum session_mark mark;
	TAILQ_ENTRY(session) marked;
	bool is_ready, is_waiting;	/* on a list of delivery.h */
	TAILQ_ENTRY(session) ready;
	TAILQ_ENTRY(session) waiting;
	uint64_t route_mark;	/* scratch of route.c */
	uint32_t route_index;
	uint16_t client_len;
	char client_id[];
};
TAILQ_HEAD(session_list, session);

static inline struct slice
session_client(const struct session *s)
{
	return slice_of(s->client_id, s->client_len);
}

void sessions_init(struct interest *interest);
size_t sessions_count(void);
/* Walks: begin with *i = 0. */
struct session *sessions_next(size_t *i);

struct session *session_new(uint64_t id, struct slice client_id);
struct session *session_find(uint64_t id);
struct session *session_by_client(struct slice client_id);
/* With its row; whoever is connected was told before. */
void session_delete(struct session *s, struct buf *rows);

void session_touch(struct session *s, enum session_mark mark);
/* Writes the rows of what is marked, lazy ones too where all is set. */
void sessions_put(struct buf *rows, bool all);
/* What sessions_put wrote has to be written again. */
bool sessions_are_marked(enum session_mark least);

/* Adds or replaces; true if there was one. *sub: the subscription. */
bool session_subscribe(struct session *s, struct slice filter,
    uint8_t options, uint32_t id, struct sub **sub);
bool session_unsubscribe(struct session *s, struct slice filter);
struct sub *session_sub(const struct session *s, struct slice filter);

bool session_has_mid(const struct session *s, uint16_t mid);
void session_add_mid(struct session *s, uint16_t mid);
bool session_remove_mid(struct session *s, uint16_t mid);
void session_set_mids(struct session *s, struct slice packed);

void session_suspect(struct session *s, uint16_t mid,
    const struct log_partition *partition);
bool session_is_suspect(const struct session *s, uint16_t mid,
    const struct log_partition *partition);
void session_clear_suspects(struct session *s, uint16_t mid);

/* When it expires; UINT64_MAX: not now. */
uint64_t session_expires_ms(const struct session *s);

#endif
