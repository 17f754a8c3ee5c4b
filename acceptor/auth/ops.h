/*
 * ops - the requests that administrators ask: users, rules, bans.
 *
 * No answer holds a password or a hash.
 */
#ifndef ACCEPTOR_AUTH_OPS_H
#define ACCEPTOR_AUTH_OPS_H

#include "base/slice.h"

#include <json-c/json.h>

void ops_run(uint64_t id, struct slice op, struct json_object *args);

#endif
