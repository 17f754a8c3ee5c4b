/*
 * live_json - a message on its way as one JSON object: what the default
 * JSON of a record (base/record_json.h) says, without what only a stored
 * record has. Pure.
 */
#ifndef ADMIN_SERVER_LIVE_JSON_H
#define ADMIN_SERVER_LIVE_JSON_H

#include "ipc/messages.h"

void live_json_add(struct buf *out, const struct ipc_deliver_item *item);

#endif
