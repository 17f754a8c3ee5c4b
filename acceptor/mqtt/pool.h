/*
 * pool - buffers that clients have only while there is something in them.
 *
 * A few of moderate size are kept for the next who needs one.
 */
#ifndef ACCEPTOR_MQTT_POOL_H
#define ACCEPTOR_MQTT_POOL_H

#include "base/buf.h"

struct buf *pool_take(void);
/* Gives *b back, empty or not, and sets it to NULL; NULL is nothing. */
void pool_put(struct buf **b);

#endif
