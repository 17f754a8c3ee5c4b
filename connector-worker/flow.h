/*
 * flow - batches on their way through the sink: what is sent when, what an
 * answer does, what waits for what. Connectors, section 3.
 *
 * Batches come in log order (flow_add) and go out settled, in whatever
 * order that happens (ops->settled); who commits them puts them in order
 * again. Between them: `in_flight` batches under way, records of one key one
 * send at a time, retries with backoff, and one canary while the target is
 * unavailable. A batch that only waits (for a retry, for a key) is not
 * under way and does not stop later ones, unless the type is serial.
 *
 * Answers only note; everything moves in flow_turn, so that a sink never
 * loses what it holds within its own call. Times come in, in milliseconds;
 * no loop, no clock, no database.
 */
#ifndef CONNECTOR_WORKER_FLOW_H
#define CONNECTOR_WORKER_FLOW_H

#include "connector-worker/batch.h"
#include "connector-worker/definition.h"

struct flow;

struct flow_times {
	uint64_t mono_ms;
	uint64_t wall_ms;
};

struct flow_ops {
	void (*send)(void *arg, struct sink_batch *);
	void (*probe)(void *arg);
	/* The callee owns the batch now; its records are dropped. */
	void (*settled)(void *arg, struct batch *);
	/* reason NULL: available again. */
	void (*available)(void *arg, const char *reason);
	/* A record failed, for last_error; final tells that it ended so. */
	void (*failed)(void *arg, const struct item *, const char *reason,
	    bool is_final);
	uint64_t (*chance)(void *arg);
};

struct flow_counts {
	uint64_t delivered;
	uint64_t retried;
	uint64_t discarded;
	uint64_t dead;
	uint64_t sends;
};

struct flow *flow_new(const struct definition *d, const struct sink_caps *,
    const struct flow_ops *ops, void *arg);
/* Frees all batches that it still has. */
void flow_free(struct flow *f);

/* Takes a sealed batch. */
void flow_add(struct flow *f, struct batch *b);
/* Room for another batch. */
bool flow_wants(const struct flow *f);
/* Nothing is with the sink, nothing waits. */
bool flow_is_empty(const struct flow *f);
/* Sends that are with the sink. */
unsigned flow_under_way(const struct flow *f);
unsigned flow_batches(const struct flow *f);
/* Nothing is sent while paused; what is under way goes on. */
void flow_pause(struct flow *f, bool is_paused);

/* Does what is due. True: something moved, call again. */
bool flow_turn(struct flow *f, struct flow_times now);
/* When the next thing is due (monotonic); UINT64_MAX: nothing is. */
uint64_t flow_due(const struct flow *f);

/* The sink's probe has ended. */
void flow_probed(struct flow *f, bool is_up, const char *reason);
bool flow_is_probing(const struct flow *f);
/* NULL while the target is available. since is wall-clock milliseconds. */
const char *flow_unavailable(const struct flow *f, uint64_t *since_ms);
const struct flow_counts *flow_counts(const struct flow *f);

/* For the marker: the batches that are with the sink. */
void flow_each_under_way(const struct flow *f,
    void (*cb)(const struct batch *, void *), void *arg);

#endif
