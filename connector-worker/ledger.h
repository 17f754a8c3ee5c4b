/*
 * ledger - what became of the records of a stretch of the log. Pure.
 *
 * A row covers [first, next) of one incarnation and partition under one
 * definition version; a reset that goes back begins a new epoch. Everything
 * in it moves in the transaction that moves next.
 *
 * Connectors, section 3.
 */
#ifndef CONNECTOR_WORKER_LEDGER_H
#define CONNECTOR_WORKER_LEDGER_H

#include "connector-worker/batch.h"

#include <json-c/json.h>

struct ledger_key {
	uint64_t incarnation;
	uint32_t partition;
	uint64_t version;
	uint64_t epoch;
};

struct ledger_row {
	struct ledger_key key;
	uint64_t first, next;
	/* dlq: still there; replayed, purged: were, and left it so. */
	struct tally tally;
	uint64_t replayed;
	uint64_t purged;
};

/* All that stands against matched. */
uint64_t ledger_accounted(const struct ledger_row *row);
/*
 * The figures of the recount of a row: `readable` records of [from, next)
 * that match and `damaged` ones that cannot be read any more; `stored`:
 * matched records below `from`, which are gone, as they were counted then.
 * Damage that came after a record was accounted for can hide at most as
 * many matching records as it holds: it closes the books and no more.
 */
uint64_t ledger_matched(const struct ledger_row *row, uint64_t stored,
    uint64_t readable, uint64_t damaged);

/* {"matched", "delivered", ...}; the caller puts it. */
struct json_object *ledger_json(const struct ledger_row *row,
    uint64_t matched);

#endif
