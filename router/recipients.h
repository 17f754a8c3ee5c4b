/*
 * recipients - the queues that a record of $queue is for: the value of its
 * header bulkhead-queues.
 *
 * Pure. Per queue: varint session id, varint sequence number, u8 flags,
 * varint how many subscription identifiers, each a varint.
 */
#ifndef ROUTER_RECIPIENTS_H
#define ROUTER_RECIPIENTS_H

#include "base/buf.h"

struct recipient {
	uint64_t session;
	uint64_t seq;
	uint8_t flags;		/* MSG_QOS, MSG_RETAIN as it is delivered */
	struct slice ids;	/* as they stand in the header */
	uint32_t ids_len;
};

void recipients_add(struct buf *b, uint64_t session, uint64_t seq,
    uint8_t flags, const uint32_t *ids, uint32_t ids_len);
/* The same from one that was read. */
void recipients_copy(struct buf *b, const struct recipient *r);
/* Takes the first: 1 there is one, 0 none is left, -1 malformed. */
int recipients_next(struct slice *s, struct recipient *r);
bool recipients_find(
    struct slice s, uint64_t session, uint64_t seq, struct recipient *r);
/* The identifiers as queue_item.sub_ids has them: u32 big-endian each. */
bool recipient_ids(const struct recipient *r, struct buf *out);

#endif
