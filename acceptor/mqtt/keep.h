/*
 * keep - numbered items for the router, kept until it has taken them.
 *
 * Items (encoded publish_item or settle_item) are gathered into batches.
 * Each has a number, one more than the last, never used twice. A batch is
 * closed when it is sent or full. Batches wait to be sent; those with an
 * item that must not be lost are kept until their last number was taken,
 * and are sent again, from the first number not taken, on a new link.
 * Architecture, section 5.
 */
#ifndef ACCEPTOR_MQTT_KEEP_H
#define ACCEPTOR_MQTT_KEEP_H

#include "ipc/messages.h"

struct keep_owner {
	uint64_t number;
	uint64_t conn;		/* whose acknowledgement waits for it */
};

struct keep_batch {
	struct keep_batch *next;
	uint64_t first;		/* the number of its first item */
	struct ipc_batch items;
	struct keep_owner *owners;
	uint32_t owner_count, owner_cap, owner_next;
	bool is_kept;
	bool is_closed;
};

struct keep {
	struct keep_batch *head, *tail;
	struct keep_batch *unsent;	/* the first one not sent */
	struct keep_batch *spare;
	uint64_t next;			/* the number of the next item */
	uint64_t taken;
	size_t bytes;			/* of all items held */
};

void keep_init(struct keep *k);
void keep_fini(struct keep *k);
/* The batch to add an item to; then say so with keep_added. */
struct ipc_batch *keep_open(struct keep *k);
/*
 * The last item's number. must: keep it until it is taken; conn, if not 0,
 * is told by keep_taken.
 */
uint64_t keep_added(struct keep *k, bool must, uint64_t conn);

/*
 * The next batch to be sent, closed now, NULL when there is none; its items
 * and the number of the first. Say keep_sent when it was.
 */
struct keep_batch *keep_unsent(struct keep *k);
void keep_sent(struct keep *k);
/* All up to number is taken: cb for each owner's connection and number. */
void keep_taken(struct keep *k, uint64_t number,
    void (*cb)(uint64_t conn, uint64_t number, void *arg), void *arg);
/* A new link: what was sent and not taken is to be sent again. */
void keep_resend(struct keep *k);
/*
 * The items of a batch that are not taken yet, and the number of the first;
 * next is ipc_next_publish_item or the like, over one item.
 */
struct ipc_list keep_rest(const struct keep *k, const struct keep_batch *b,
    bool (*skip)(struct ipc_list *), uint64_t *first);
/* The encoded item with that number, null when it is not held any more. */
struct slice keep_find(const struct keep *k, uint64_t number,
    bool (*skip)(struct ipc_list *), uint64_t *conn);

#endif
