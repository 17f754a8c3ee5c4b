/*
 * elasticsearch_answer - what the answer to a _bulk says of each record.
 *
 * Each item has a status of its own, whatever the request's is; items stand
 * in the order of the request. What an answer does not speak of is
 * SINK_UNSURE, never delivered.
 */
#ifndef CONNECTOR_WORKER_SINKS_ELASTICSEARCH_ANSWER_H
#define CONNECTOR_WORKER_SINKS_ELASTICSEARCH_ANSWER_H

#include "connector-worker/http_batch.h"

struct elasticsearch_item {
	long status;                /* 0: it names none */
	struct slice type, message; /* raw JSON strings, or null */
};

/*
 * Pure: steps through the items of an answer, at begins at 0. False: no
 * more, or this is no such answer.
 */
bool elasticsearch_items(struct slice body, struct slice *items);
bool elasticsearch_item_next(
    struct slice items, size_t *at, struct elasticsearch_item *);
/* is_create: a document that is there already is one of ours. */
enum sink_outcome elasticsearch_outcome(long status, bool is_create);

struct http_verdict elasticsearch_judge(struct http_run *, long status,
    struct slice body, bool is_create, struct buf *reason);

#endif
