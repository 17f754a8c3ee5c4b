/*
 * batch - a run of one partition's log on its way to the target.
 *
 * Records are copied in when they are read (the reader's loan is short) and
 * stay until the batch is settled. Filled, then sealed: items do not move
 * from then on. What the batch will commit is gathered beside them.
 */
#ifndef CONNECTOR_WORKER_BATCH_H
#define CONNECTOR_WORKER_BATCH_H

#include "connector-worker/sink.h"

/* What became of the records of a run: the columns of the ledger. */
struct tally {
	uint64_t matched;
	uint64_t delivered;
	uint64_t filtered;
	uint64_t discarded;
	uint64_t dlq;
	uint64_t expired;
	uint64_t damaged;
	uint64_t skipped;
};

void tally_add(struct tally *to, const struct tally *from);

enum item_state {
	ITEM_NEW,	/* not yet sent */
	ITEM_BLOCKED,	/* waits for an earlier one of its key */
	ITEM_SENT,	/* in a send, not answered */
	ITEM_ANSWERED,	/* answered, the send not yet looked through */
	ITEM_WAITING,	/* in a send that will be tried again */
	ITEM_FINAL,
};

struct send;
struct batch;

struct item {
	struct sink_record pub;
	struct record rec;
	struct batch *batch;
	struct send *send;
	struct item *next_blocked;	/* of the same key */
	enum item_state state;
	enum sink_outcome outcome;
	uint32_t tries;			/* failed ones that count */
	uint64_t first_failure_ms;	/* wall clock, 0: none */
	uint64_t last_failure_ms;
	char *reason;			/* of the last failure */
	int64_t dlq_row;		/* of a replay */
};

/* A record that ends in the dead message queue. */
struct dead {
	struct dead *next;
	struct record *rec;		/* its own copy */
	char *reason;
	const char *error_class;	/* "retryable", "refused", "crash" */
	uint32_t tries;
	uint64_t first_failure_ms;
	uint64_t last_failure_ms;
};

/* Sink state to store with the batch; value NULL: remove. */
struct keep {
	struct keep *next;
	struct slice key;
	struct slice value;
	uint8_t bytes[];
};

/* What became of a replayed row of the DLQ. */
struct replayed {
	struct replayed *next;
	int64_t row;
	bool is_delivered;
	char *reason;
	uint64_t failure_ms;
};

struct chunk;

struct batch {
	struct batch *next;		/* in the flow, then as it settled */
	struct batch *after;		/* of the partition, in log order */
	bool is_settled;
	uint64_t incarnation;
	uint32_t partition;
	bool is_replay;			/* of the DLQ: moves no offset */
	bool is_sealed;
	uint64_t first;			/* first offset of the run */
	uint64_t end;			/* the offset that it commits */
	/* A segment begins at first: the ledger marks this place. */
	bool begins_segment;
	uint64_t opened_ms;		/* monotonic */
	size_t bytes;			/* of payloads, keys, headers */
	size_t memory;
	struct item *items;
	size_t count, cap;
	size_t left;			/* items not final */
	unsigned sends;			/* of it, under way or waiting */
	unsigned under_way;		/* sends with the sink */
	struct send *ready;		/* freed by their keys, not yet sent */
	struct tally tally;
	uint64_t retried;
	struct dead *dead, **dead_tail;
	struct keep *keeps, **keep_tail;
	struct replayed *replayed, **replayed_tail;
	struct chunk *chunks;
};

struct batch *batch_new(uint64_t incarnation, uint32_t partition,
    uint64_t first, uint64_t now_ms);
void batch_free(struct batch *b);

/* Copies a record in. */
struct item *batch_add(struct batch *b, const struct record *rec);
/* The same of a row of the DLQ. */
void batch_add_replay(struct batch *b, const struct record *rec, int64_t row);
/* No more records; end is the offset to continue from. */
void batch_seal(struct batch *b, uint64_t end);
/* Records and their memory are given back; what is to commit stays. */
void batch_drop_records(struct batch *b);

void batch_add_dead(struct batch *b, const struct item *it,
    const char *error_class);
void batch_add_keep(struct batch *b, struct slice key, struct slice value);
void batch_add_replayed(struct batch *b, const struct item *it,
    bool is_delivered);

#endif
