/*
 * clickhouse_answer - what an error of ClickHouse means for the rows.
 *
 * Pure. The codes are those of ErrorCodes.cpp; the status is of little use,
 * as older servers answer 500 to everything.
 */
#ifndef CONNECTOR_WORKER_SINKS_CLICKHOUSE_ANSWER_H
#define CONNECTOR_WORKER_SINKS_CLICKHOUSE_ANSWER_H

#include "connector-worker/http_batch.h"

#define CLICKHOUSE_UNKNOWN_SETTING 115

/* Of "Code: 27, ..." or "Code: 27. ..."; 0 if it has none. */
long clickhouse_code(struct slice body);
struct http_verdict clickhouse_verdict(long status, long code);

#endif
