/* flow_room - what flow.c and flow_answer.c share; private to them. */
#ifndef CONNECTOR_WORKER_FLOW_ROOM_H
#define CONNECTOR_WORKER_FLOW_ROOM_H

#include "connector-worker/flow.h"
#include "connector-worker/keys.h"

#define REASON_MAX 512

enum send_state {
	SEND_READY,	/* to be sent as soon as may be */
	SEND_UNDER_WAY,
	SEND_PROBING,	/* all answered; waits for what the probe says */
	SEND_RETRY,	/* until due */
	SEND_UNAVAILABLE, /* until the target is back */
};

/* Records of one batch that go to the sink in one call. */
struct send {
	struct sink_batch pub;
	struct send *next, *prev;
	struct batch *batch;
	enum send_state state;
	size_t answered;
	uint64_t due;
	uint32_t tries;		/* of the record that was tried most */
};

struct flow {
	const struct definition *d;
	const struct sink_caps *caps;
	struct flow_ops ops;
	void *arg;
	struct batch *waiting, **waiting_tail;	/* not yet started */
	unsigned waiting_count;
	struct batch *started;			/* any order */
	unsigned started_count;
	size_t memory;
	struct send *sends;			/* all, oldest first */
	struct send *sends_last;
	unsigned under_way;
	unsigned active;			/* batches under way */
	bool has_answers;
	bool is_paused;
	bool is_probing;
	bool has_probe_answer;
	bool probe_is_up;
	char probe_reason[REASON_MAX];
	char down_reason[REASON_MAX];
	bool is_down;
	uint64_t down_since_ms;
	uint32_t down_tries;
	uint64_t down_due;
	uint64_t rate_next_us;
	struct keys *keys;
	struct flow_counts counts;
};

static inline struct item *
item_of(struct sink_record *r)
{
	return (struct item *)(void *)((char *)r - offsetof(struct item, pub));
}

static inline struct send *
send_of(struct sink_batch *b)
{
	return (struct send *)(void *)((char *)b - offsetof(struct send, pub));
}

/* flow.c */
struct send *send_new(struct flow *f, struct batch *b);
void send_remove(struct flow *f, struct send *s);
void send_add_item(struct send *s, struct item *it);
void batch_settle(struct flow *f, struct batch *b);
/* Records of this item's kind are kept in the order of their keys. */
bool flow_gates(const struct flow *f, const struct item *it);

/* flow_answer.c: what was answered, what the probe said; true: moved. */
bool flow_take_answers(struct flow *f, struct flow_times now);
bool flow_end_probe(struct flow *f, struct flow_times now);

#endif
