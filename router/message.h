/*
 * message - a message between its two forms: publish_item on a link, record
 * in a stream.
 */
#ifndef ROUTER_MESSAGE_H
#define ROUTER_MESSAGE_H

#include "base/record.h"
#include "ipc/messages.h"

/*
 * The record lends from the message and from the space. False: its
 * properties are malformed.
 */
bool message_record(const struct ipc_publish_item *m,
    struct record_space *space, struct record *r);
/* The message lends from the record and from props (cleared first). */
void message_of_record(
    const struct record *r, struct buf *props, struct ipc_publish_item *m);

#endif
