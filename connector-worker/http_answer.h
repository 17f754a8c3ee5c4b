/*
 * http_answer - what the answer of an HTTP target means for what was sent.
 *
 * Pure. The table of status codes is the one of every sink that speaks HTTP
 * (connectors, section 3; RFC 9110, 15).
 */
#ifndef CONNECTOR_WORKER_HTTP_ANSWER_H
#define CONNECTOR_WORKER_HTTP_ANSWER_H

#include "connector-worker/sink.h"

/* 1xx, 3xx and what is no status at all are SINK_UNSURE. */
enum sink_outcome http_answer_outcome(long status);
/* The answer to a probe: any will do, but for those that say: not now. */
bool http_answer_is_up(long status);

#endif
