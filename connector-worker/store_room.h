/* store_room - what store.c and store_dlq.c share; private to them. */
#ifndef CONNECTOR_WORKER_STORE_ROOM_H
#define CONNECTOR_WORKER_STORE_ROOM_H

#include "base/db/db.h"
#include "connector-worker/store.h"

#define LEDGER_COLUMNS                                                   \
	"incarnation, partition, version, epoch, first, next, matched, " \
	"delivered, filtered, discarded, dlq, replayed, purged, "        \
	"expired, damaged, skipped"
#define DLQ_COLUMNS                                                      \
	"id, connector, incarnation, partition, version, epoch, "        \
	"stream, offset, topic, key, payload, qos, retain, client_id, "  \
	"username, protocol, timestamp_ms, headers, content_type, "      \
	"response_topic, correlation_data, error, error_class, tries, "  \
	"first_failure_ms, last_failure_ms"

enum statement {
#define STATEMENT(NAME, sql) ST_##NAME,
#include "connector-worker/statements.def"
#undef STATEMENT
	ST_COUNT,
};

struct store {
	struct db *db;
	int lock;
	struct db_stmt *st[ST_COUNT];
};

#endif
