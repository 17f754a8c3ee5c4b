/*
 * worker - one connector at work: what its rooms share.
 *
 * setup (worker.c) -> follow the stream -> fill batches (fill.c) -> flow ->
 * sink -> settle and commit (commit.c). Questions are answered by
 * requests.c and what it calls. Everything runs on the one loop.
 */
#ifndef CONNECTOR_WORKER_WORKER_H
#define CONNECTOR_WORKER_WORKER_H

#include "connector-worker/definition.h"
#include "connector-worker/flow.h"
#include "connector-worker/follow.h"
#include "connector-worker/host.h"
#include "connector-worker/rates.h"
#include "connector-worker/store.h"

#include <json-c/json.h>

/* One partition of the stream, as this connector goes through it. */
struct part {
	uint32_t number;
	uint64_t committed;		/* the offset stored */
	struct ledger_key key;		/* of the row that is being written */
	bool has_row;
	uint64_t row_first;		/* where the row begins, if it is new */
	uint64_t position;		/* read up to here */
	struct batch *open;		/* being filled */
	uint64_t bounds_end;		/* a batch of before is cut here, or 0 */
	/* In log order: with the flow, or settled and not yet committed. */
	struct batch *first, **last;
};

struct topics;

struct worker {
	const char *name;		/* of the connector */
	char *stream;
	uint64_t version;
	struct definition *d;
	struct topics *topics;		/* compiled filters */
	char *topics_json;
	struct json_object *start;
	struct json_object *last_exit;
	struct sink sink;
	bool is_sink_open;
	struct flow *flow;
	struct store *store;
	struct follow *follow;
	uint64_t incarnation;		/* the parts' */
	struct part *parts;
	size_t part_count;
	size_t part_turn;		/* whose turn to be read it is */
	bool is_paused;
	bool is_stopping;
	bool is_missing;		/* the stream */
	uint64_t stop_at_ms;
	uint64_t unlinked_ms;		/* since there is no router, or 0 */
	uint64_t probe_until_ms;
	/* Commit. */
	struct batch *settled, **settled_tail;	/* as they settled */
	size_t settled_count;
	uint64_t settled_since_ms;
	uint64_t commit_cost_ms;
	uint64_t commit_again_ms;	/* after a failed one, 0 */
	/* What is shown. */
	struct ledger_row totals;
	uint64_t retried;
	uint64_t dlq_rows;
	char last_error[512];
	uint64_t last_error_ms;
	uint64_t last_success_ms;
	uint64_t since_ms;
	const char *state;
	char reason[512];
	struct rates rates;
	uint64_t commits;
	uint64_t trim_at_ms;		/* when idle memory is given back, or 0 */
	ev_timer timer;
	ev_idle idle;
};

extern struct worker worker;

/* worker.c */
void worker_wake(void);			/* come back at once */
struct flow_times worker_now(void);
void worker_show_state(void);
/* Drops all that was read and not committed; flow and parts are new. */
void worker_restart_flow(void);
struct part *worker_part(uint32_t number);

/* fill.c */
bool fill_turn(uint64_t now_ms);	/* true: something moved */
uint64_t fill_due(void);		/* monotonic, UINT64_MAX: never */

/* parts.c */
/* Sets up the parts of a stream that was just told, at their offsets. */
bool parts_begin(struct follow *f);
void parts_drop(void);

/* topics.c */
struct topics *topics_new(char *const *filters, size_t count);
struct topics *topics_parse(const char *json);
void topics_free(struct topics *t);
bool topics_match(const struct topics *t, struct slice topic);

/* commit.c */
void commit_settled(struct batch *b);	/* from the flow */
bool commit_turn(uint64_t now_ms, bool is_idle);
uint64_t commit_due(void);
bool commit_now(void);
bool commit_keep_now(struct slice key, struct slice value);

/* replay.c */
void replay_turn(void);			/* sends what is due */
void replay_check(uint64_t now_ms);	/* answers who has waited enough */
uint64_t replay_due(void);
bool replay_is_running(void);
void replay_settled(const struct batch *b);
void replay_drop(void);
void replay_request(uint64_t id, struct json_object *args);

/* requests.c */
void request_handle(uint64_t id, struct slice op, struct json_object *args);

/* audit.c, reset.c */
void audit_request(uint64_t id);
void reset_request(uint64_t id, struct json_object *args);

/* marker.c */
void marker_open(bool has_crashed);
void marker_write(const struct flow *f);
struct json_object *marker_json(void);

#endif
