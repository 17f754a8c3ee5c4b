/*
 * http_answer - what the answer of an HTTP target means for what was sent.
 *
 * Pure. The table of status codes is the one of every sink that speaks HTTP
 * (connectors, section 3); RFC 9110 for the fields.
 */
#ifndef CONNECTOR_WORKER_HTTP_ANSWER_H
#define CONNECTOR_WORKER_HTTP_ANSWER_H

#include "base/buf.h"
#include "connector-worker/sink.h"

/* No target makes us wait longer than this. */
#define HTTP_RETRY_AFTER_MAX_MS (10u * 60 * 1000)

/* 1xx, 3xx and what is no status at all are SINK_UNSURE. */
enum sink_outcome http_answer_outcome(long status);

/*
 * A field line "Name: value", without or with its line end. False if it is
 * none (the status line, the empty line at the end).
 */
bool http_answer_field(struct slice line, struct slice *name,
    struct slice *value);
bool http_answer_name_is(struct slice name, const char *lower_case);

/*
 * Retry-After in milliseconds from now_ms (since 1970), at most
 * HTTP_RETRY_AFTER_MAX_MS. 0 if it says nothing that can be read.
 */
uint64_t http_answer_retry_after(struct slice value, uint64_t now_ms);

#endif
