/*
 * store - DATA/connectors/NAME.db: offsets, ledger, DLQ, sink state, all of
 * which move in one transaction. Written by this worker only, under the OFD
 * lock on connectors/NAME.lock.
 *
 * A failed call leaves the text in store_error; nothing of the transaction
 * is kept then (store_rollback).
 */
#ifndef CONNECTOR_WORKER_STORE_H
#define CONNECTOR_WORKER_STORE_H

#include "connector-worker/ledger.h"

struct store;

/*
 * Takes the lock (and waits for it), opens or makes the database. NULL:
 * why says what is wrong and what to do; *is_final: a restart cannot help.
 */
struct store *store_open(const char *connector, bool *is_final, char *why,
    size_t size);
void store_close(struct store *s);
const char *store_error(const struct store *s);

bool store_begin(struct store *s);
bool store_commit(struct store *s);
void store_rollback(struct store *s);

/* The next offset to read; false if none is stored. */
bool store_offset(struct store *s, uint64_t incarnation, uint32_t partition,
    uint64_t *next);
bool store_put_offset(struct store *s, uint64_t incarnation,
    uint32_t partition, uint64_t next);

/* The newest row of incarnation, partition and version; false: none. */
bool store_ledger_newest(struct store *s, uint64_t incarnation,
    uint32_t partition, uint64_t version, struct ledger_row *row);
uint64_t store_ledger_next_epoch(struct store *s, uint64_t incarnation,
    uint32_t partition, uint64_t version);
/*
 * Adds what is in the row to the stored one and moves its next there; makes
 * it, beginning at first, if there is none.
 */
bool store_add_ledger(struct store *s, const struct ledger_row *row);
/* Every row, in order of incarnation, partition, first. */
struct ledger_row *store_ledger_all(struct store *s, size_t *count);
/* Notes how many records of the row have matched below this offset. */
bool store_put_mark(struct store *s, const struct ledger_key *key,
    uint64_t offset);
/* The newest mark at or below offset; 0 and first if there is none. */
void store_mark(struct store *s, const struct ledger_row *row,
    uint64_t offset, uint64_t *at, uint64_t *matched);

/* The filters of each definition version, as a JSON list. */
bool store_put_version(struct store *s, uint64_t version, const char *topics);
char *store_version(struct store *s, uint64_t version);

bool store_put_keep(struct store *s, struct slice key, struct slice value);
void store_keeps(struct store *s,
    void (*cb)(struct slice key, struct slice value, void *arg), void *arg);

/* Bounds of the batches under way of a type that keys whole batches. */
bool store_put_bounds(struct store *s, const struct batch *b);
bool store_clear_bounds(struct store *s, const struct batch *b);
/* The end of the batch that begins at first; 0 if there is none. */
uint64_t store_bounds(struct store *s, uint64_t incarnation,
    uint32_t partition, uint64_t first);

/* --- the dead message queue (store_dlq.c) ----------------------------- */

bool store_put_dead(struct store *s, const struct ledger_key *key,
    const char *connector, const struct dead *d);
uint64_t store_dlq_count(struct store *s);
/*
 * Rows as JSON objects after the row number `after`, oldest first, at most
 * limit; whole: with payload and headers. *last: the number of the last.
 */
struct json_object *store_dlq_list(struct store *s, uint64_t after,
    size_t limit, bool whole, uint64_t *last);
struct json_object *store_dlq_show(struct store *s, const char *id);
/* A row's number, 0 if there is none of this id. */
int64_t store_dlq_row(struct store *s, const char *id);
int64_t store_dlq_last(struct store *s);
/* The next row in (after, until] as a record of a replay; false: none. */
bool store_dlq_take(struct store *s, int64_t after, int64_t until,
    int64_t *row, struct batch *b);
bool store_dlq_take_row(struct store *s, int64_t row, struct batch *b);
/* The row leaves the queue; the ledger's class moves with it. */
bool store_dlq_remove(struct store *s, int64_t row, bool is_replayed);
bool store_dlq_failed_again(struct store *s, int64_t row, const char *error,
    uint64_t failure_ms);
/* All rows; the number of them, -1 on failure. */
int64_t store_dlq_purge_all(struct store *s);

#endif
