/*
 * sink - what a connector type is: one file, sinks/TYPE.c, with one
 * `const struct sink_type sink_type`, and a line in types.def.
 *
 * The runtime (everything else in this folder) reads the log, makes batches,
 * keeps order, retries, counts, writes the DLQ and commits. The sink speaks
 * to the target and answers for every record it was given, in any order and
 * as late as it needs, from within send_batch or from a watcher on its loop.
 *
 * No call of a sink blocks longer than half the watchdog's time, name
 * resolution included; one that needs blocking calls owns a thread and
 * answers from an ev_async of the loop. All functions below are for the
 * loop's thread only.
 *
 * The first line of sinks/TYPE.c may name what it links beyond the runtime,
 * pkg-config modules: "/" "* links: libcurl *" "/".
 *
 * Connectors, sections 1 to 4.
 */
#ifndef CONNECTOR_WORKER_SINK_H
#define CONNECTOR_WORKER_SINK_H

#include "base/fault.h"
#include "base/record.h"
#include "base/schema.h"
#include "base/template.h"

#include <ev.h>

struct sink;		/* what the runtime lends to an open sink */
struct sink_options;	/* the values of `config`, see below */

/*
 * A record on its way. Valid, with all that rec points to, from send_batch
 * until it is answered; the answer ends the loan.
 */
struct sink_record {
	const struct record *rec;
	/*
	 * Records of one batch with the same number may not overtake each
	 * other at the target: when one of them was not delivered and may be
	 * tried again, those after it are answered SINK_HELD. 0: free.
	 */
	uint64_t order;
	void *data;		/* the sink's own, NULL at each send_batch */
};

/*
 * Records of one partition, in log order. The first time it holds what a
 * run of the log has for the target, less those that must wait for earlier
 * ones of their key; these come in a later call, as do those to be tried
 * again. The batch is valid until the runtime's turn after its last answer.
 */
struct sink_batch {
	struct sink_record **records;
	size_t count;
	uint32_t partition;
	uint64_t first_offset;	/* of the run, the same at every try */
	uint64_t last_offset;
	unsigned tries;		/* 0 at first */
	void *data;		/* the sink's own, NULL at each send_batch */
};

enum sink_outcome {
	SINK_DELIVERED,		/* the target has said that it has it */
	SINK_RETRYABLE,		/* not now; the target itself works */
	SINK_REFUSED,		/* never: this record is not acceptable */
	SINK_UNAVAILABLE,	/* the target's fault: spends no retry */
	/*
	 * A time-out or an error that says nothing: the runtime calls probe
	 * and makes it retryable if that succeeds, else unavailable.
	 */
	SINK_UNSURE,
	/* Not tried, because of the order; spends no retry. */
	SINK_HELD,
};

/* Bits of what a type can keep: connectors, section 1, `order`. */
#define SINK_ORDER_KEY 1u
#define SINK_ORDER_PARTITION 2u
#define SINK_ORDER_NONE 4u

struct sink_caps {
	bool effectively_once;	/* can be; see is_exact */
	/* Its keys are of whole batches: bounds are committed before. */
	bool keys_batch;
	/* Unsettled records do not count against in_flight; has flush. */
	bool aggregates;
	/*
	 * Its state is by position (sink_keep): a batch is sent when the one
	 * before it is settled, whatever in_flight says.
	 */
	bool serial;
	unsigned orders;	/* SINK_ORDER_ bits */
	uint32_t in_flight_max;	/* batches under way, 0: no limit */
	uint32_t records_max;	/* in a batch, 0: no limit */
	size_t bytes_max;	/* of payload in a batch, 0: no limit */
	/* For the sandbox: options that name files, NULL-terminated. */
	const char *const *paths;
	const char *ports;	/* "none", "fixed" or "any" */
	bool writes_files;	/* of the user: keeps CAP_DAC_OVERRIDE */
};

struct sink_type {
	const char *name;
	const char *help_en;
	const char *help_zh;
	/*
	 * Paths are relative to `config`: "port", "tls.enable". The schema
	 * has checked types, bounds and templates before anything below.
	 */
	const struct option *options;
	size_t option_count;
	struct sink_caps caps;

	/*
	 * Pure: what the table cannot say (pairs, exclusions, fixed parts of
	 * a path), each by sink_fault. May be NULL.
	 */
	void (*validate)(const struct sink_options *, struct faults *);
	/* Whether these options make it effectively once; NULL: caps say. */
	bool (*is_exact)(const struct sink_options *);
	/*
	 * Makes the sink's state; reads the options. Does not wait for the
	 * target and does not fail because of it: connections are made when
	 * a batch, probe or test needs them. Never returns NULL; what cannot
	 * work with this definition is said by sink_reject.
	 */
	void *(*open)(struct sink *);
	/* Every record of it is answered, once. */
	void (*send_batch)(void *self, struct sink_batch *);
	/*
	 * A real round trip that the target must answer; ends with
	 * sink_probed, also late. One at a time.
	 */
	void (*probe)(void *self);
	/*
	 * `connector test`: connect, authenticate, look, send no record;
	 * sink_found for each finding, ends with sink_tested. NULL: probe.
	 */
	void (*test)(void *self);
	/* Settle what is held back (aggregates). May be NULL. */
	void (*flush)(void *self);
	/*
	 * Frees everything, stops watchers and threads. Records that were
	 * not answered never will be.
	 */
	void (*close)(void *self);
};

/* The one that the file declares. */
extern const struct sink_type sink_type;

/* --- answers -------------------------------------------------------- */

/* reason: a text for people without secrets, copied; NULL if delivered. */
void sink_answer(struct sink_record *, enum sink_outcome, const char *reason);
/* Answers for all records of the batch that were not answered yet. */
void sink_answer_rest(struct sink_batch *, enum sink_outcome,
    const char *reason);
void sink_probed(struct sink *, bool is_up, const char *reason);
void sink_found(struct sink *, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sink_tested(struct sink *, bool is_good, const char *reason);
/*
 * The definition cannot work, whatever the target does later; a restart
 * does not help. The worker parks with this reason.
 */
void sink_reject(struct sink *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* --- what a sink may use -------------------------------------------- */

struct ev_loop *sink_loop(const struct sink *);
const struct sink_options *sink_opts(const struct sink *);
const char *sink_connector(const struct sink *);	/* its name */
const char *sink_stream(const struct sink *);
/* In `connector test` the target must not be changed. */
bool sink_is_test(const struct sink *);

/*
 * State of the sink that is stored in the very transaction that commits
 * this batch's offsets (effectively once by position). A later keep of the
 * same key replaces an earlier one; a null value removes the key.
 */
void sink_keep(struct sink_batch *, struct slice key, struct slice value);
/*
 * Commits now: everything settled so far, and this key. For steps that must
 * be on disk before they are made (a rotation). False: it could not, the
 * caller answers SINK_UNAVAILABLE.
 */
bool sink_keep_now(struct sink *, struct slice key, struct slice value);
/*
 * Where the connector stands, as a text: everything that belongs before it
 * is settled. A sink that finds at open that its target lost what was
 * committed goes back to such a text; it then skips what the target still
 * has. Only for serial types.
 */
void sink_position(const struct sink *, struct buf *out);
bool sink_rewind(struct sink *, struct slice position);
/* What was committed, at open. */
void sink_kept(const struct sink *,
    void (*cb)(struct slice key, struct slice value, void *arg), void *arg);

/* --- options -------------------------------------------------------- */

/*
 * Getters mark the option as read: the contract test finds options that no
 * open, send_batch or probe ever asked for. Names are paths as in the
 * table; asking for one that is not in it, or of another kind, is a bug.
 * What is returned lives as long as the options.
 */
bool opt_is_set(const struct sink_options *, const char *name);
/* NULL if absent and without a default. */
const char *opt_string(const struct sink_options *, const char *name);
/* Also sizes (bytes) and durations (milliseconds); 0 if absent. */
int64_t opt_int(const struct sink_options *, const char *name);
bool opt_bool(const struct sink_options *, const char *name);
/* The index in the table's choices, -1 if absent. */
int opt_choice(const struct sink_options *, const char *name);
/* The parsed template of an option marked so; NULL if absent. */
const struct template *opt_template(const struct sink_options *,
    const char *name);
/* Lists and maps, in the order of the definition. */
size_t opt_count(const struct sink_options *, const char *name);
const char *opt_key(const struct sink_options *, const char *name, size_t i);
const char *opt_value(const struct sink_options *, const char *name,
    size_t i);
const struct template *opt_value_template(const struct sink_options *,
    const char *name, size_t i);

/* A fault of validate at this option: path and place are filled in. */
void sink_fault(const struct sink_options *, struct faults *,
    const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
