/*
 * outbox - numbered messages on their way to the router, kept until taken.
 *
 * A batch is what one request publishes: its messages get consecutive
 * numbers, its taker is told once, when the last of them is in the router's
 * hands. After a new link everything not taken is sent again under its old
 * number. Pure; bytes kept are bounded by OUTBOX_BYTES_MAX.
 *
 * Architecture, section 5.
 */
#ifndef ADMIN_SERVER_OUTBOX_H
#define ADMIN_SERVER_OUTBOX_H

#include "ipc/messages.h"

#define OUTBOX_BYTES_MAX ((size_t)64 << 20)

struct outbox_batch;

/* refused holds a reason (as in MQTT 5) per message, 0 = taken. */
typedef void outbox_done(void *arg, const uint8_t *refused, size_t count);

struct outbox {
	struct outbox_batch *first, **end;
	struct outbox_batch *unsent;	/* the next to leave on this link */
	uint64_t next_number;
	size_t bytes;
};

void outbox_init(struct outbox *o);
void outbox_fini(struct outbox *o);

/*
 * Takes over the batch's bytes (count publish_items). NULL when there is no
 * room. done is called from outbox_taken, at most once.
 */
struct outbox_batch *outbox_add(struct outbox *o, struct ipc_batch *items,
    outbox_done *done, void *arg);
/* The taker is gone; the messages still go. */
void outbox_forget(struct outbox_batch *b);

/* The lowest number that is still to be taken. */
uint64_t outbox_floor(const struct outbox *o);
bool outbox_is_empty(const struct outbox *o);
/* A new link: everything kept is to be sent, in order. */
void outbox_rewind(struct outbox *o);
/* The next frame; false when all was sent. */
bool outbox_next(struct outbox *o, struct ipc_publish *frame);
/* False: the frame is malformed. */
bool outbox_taken(struct outbox *o, const struct ipc_taken *taken);

#endif
