/*
 * pool - buffers that clients have only while there is something in them.
 *
 * A few of moderate size are kept for the next who needs one, as long as
 * there is use for them.
 */
#ifndef ACCEPTOR_MQTT_POOL_H
#define ACCEPTOR_MQTT_POOL_H

#include "base/buf.h"

struct buf *pool_take(void);
/* Gives *b back, empty or not, and sets it to NULL; NULL is nothing. */
void pool_put(struct buf **b);
/* Frees those that nobody needed since the last call. */
void pool_trim(void);

#endif
