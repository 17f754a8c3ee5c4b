/*
 * attempt - a login under way: the methods in order, until one decides.
 *
 * A method allows, denies, or does not know who this is; then the next one
 * is asked. What takes long runs on the pool; the acceptor waits for the
 * answer, which comes exactly once unless it was cancelled.
 */
#ifndef ACCEPTOR_AUTH_ATTEMPT_H
#define ACCEPTOR_AUTH_ATTEMPT_H

#include "ipc/messages.h"

#include <json-c/json.h>

void attempt_init(void);
/* The threads that compute hashes. */
struct pool *attempt_hashers(void);
/* Everything is copied. */
void attempt_begin(uint64_t acceptor, const struct ipc_auth_ask *ask);
void attempt_cancel(uint64_t acceptor, uint64_t conn);
void attempt_cancel_all(uint64_t acceptor);
/* Adds its metrics. */
void attempt_metrics(struct json_object *metrics);

#endif
