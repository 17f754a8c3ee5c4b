/*
 * config - the router's part of the configuration: streams and limits.
 *
 * A stream that left the configuration stays. One that cannot be as it is
 * written is named in status; the others are made.
 */
#ifndef ROUTER_CONFIG_H
#define ROUTER_CONFIG_H

#include "base/buf.h"

#include <json-c/json.h>

void config_limits(struct json_object *config);
/* New streams (state new: their rows first) and changed ones. */
void config_streams(struct json_object *config, struct buf *rows);
/* The router's own: all records of sessions' queues, captured by no filter. */
void config_queue(struct buf *rows);
/* A reload. */
void config_apply(struct json_object *config);

#endif
