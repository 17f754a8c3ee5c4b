/*
 * queue - the outstanding messages of one persistent session, in memory.
 *
 * Pure. An entry is a position in the internal stream $queue and a state;
 * its sequence number is the queue's own count, from 1. All before `floor`
 * are done. A message is 16 bytes here, whatever its size.
 *
 *	waiting --sent--> sent --PUBACK--> done		(QoS 1)
 *	waiting --sent--> sent --PUBREC--> received --PUBCOMP--> done (QoS 2)
 *
 * queue_detach (the connection is gone) takes what was sent back to
 * waiting, marked as a duplicate (MQTT 5, 4.4); what was received stays: only
 * its PUBREL is sent again. The packet identifier of an entry is
 * seq mod 65535 + 1, so the window from floor to the last one sent never
 * spans more than 65535.
 *
 * The row (queue_put, queue_get) holds floor, next and what is done or
 * received beyond the floor; the positions come back from $queue itself by
 * queue_restore, then queue_settle.
 *
 * Architecture, section 4.
 */
#ifndef ROUTER_QUEUE_H
#define ROUTER_QUEUE_H

#include "base/buf.h"

#define QUEUE_WINDOW 65535u
#define QUEUE_NO_OFFSET UINT64_MAX

enum queue_state {
	ENTRY_DONE = 0,
	ENTRY_MISSING,	/* recovery: its record was not met yet */
	ENTRY_WAITING,
	ENTRY_SENT,
	ENTRY_RECEIVED,
};

struct queue_entry {
	uint64_t offset;	/* in $queue */
	uint32_t size;		/* payload and topic, for the limits */
	uint8_t qos;		/* 1 or 2 */
	uint8_t state;
	uint8_t is_dup;
	uint8_t spare;
};

struct queue {
	struct queue_entry *ring;
	uint32_t head;		/* where floor is */
	uint32_t cap;		/* a power of two, or 0 */
	uint64_t floor;		/* first sequence number not done */
	uint64_t next;		/* of the next entry */
	uint64_t cursor;	/* none before it waits */
	uint64_t high;		/* from it on all wait, or never were */
	uint64_t newest;	/* the largest position of an entry */
	bool is_mixed;		/* positions do not rise with the numbers */
	uint32_t count;		/* entries not done */
	uint32_t in_flight;	/* sent or received */
	uint64_t bytes;		/* sum of size of entries not done */
};

void queue_init(struct queue *q);
void queue_fini(struct queue *q);

/* Appends; returns the sequence number. */
uint64_t queue_add(
    struct queue *q, uint64_t offset, uint32_t size, uint8_t qos);
/* NULL when it is done or was never there. */
struct queue_entry *queue_find(const struct queue *q, uint64_t seq);

/*
 * The next entry to send: its position must be below committed, the window
 * and receive_max must have room. 0: nothing now. The entry stays waiting
 * until queue_sent.
 */
uint64_t queue_peek(
    struct queue *q, uint64_t committed, uint32_t receive_max);
void queue_sent(struct queue *q, uint64_t seq);
/* Whether an entry added now would be the next to send, at once. */
bool queue_is_idle(const struct queue *q, uint32_t receive_max);

/* Each: true if it changed what the row holds. */
bool queue_puback(struct queue *q, uint64_t seq);
bool queue_pubrec(struct queue *q, uint64_t seq);
bool queue_pubcomp(struct queue *q, uint64_t seq);
/* Expired, lost or never committed: done, in whatever state. */
bool queue_drop(struct queue *q, uint64_t seq);

void queue_detach(struct queue *q);
/* After a new router: it is in flight at the client already. */
void queue_reclaim(struct queue *q, uint64_t seq);
/* The next received entry at or after seq; 0: none. */
uint64_t queue_next_received(const struct queue *q, uint64_t seq);
/* Copied forward: it stands there now. */
void queue_move(struct queue *q, uint64_t seq, uint64_t offset);
/* The smallest position that is still needed; QUEUE_NO_OFFSET: none. */
uint64_t queue_first_offset(const struct queue *q);

/* The exceptions above the floor, compact; floor and next stand beside. */
void queue_put(const struct queue *q, struct buf *b);
/* False: malformed; the queue is then as after queue_init. */
bool queue_get(
    struct queue *q, uint64_t floor, uint64_t next, struct slice exceptions);
/* Recovery: a record of $queue that was written for this sequence number. */
void queue_restore(struct queue *q, uint64_t seq, uint64_t offset,
    uint32_t size, uint8_t qos);
/*
 * A router died while the session was connected: of the first n nobody knows
 * whether they were sent. And the contrary: the connection lives, and what
 * it was sent has been reclaimed.
 */
void queue_suspect(struct queue *q, uint32_t n);
void queue_absolve(struct queue *q);
/* Recovery is complete: what was not met is lost; returns how many. */
uint32_t queue_settle(struct queue *q);

#endif
