/*
 * wheel - one coarse clock for all that clients must do in time.
 *
 * A client stands in one of 256 slots, one per second; in its second the
 * callback looks whether it is really due (client->due_s may be further
 * away) and puts it in again or ends it. So a packet costs no timer.
 */
#ifndef ACCEPTOR_MQTT_WHEEL_H
#define ACCEPTOR_MQTT_WHEEL_H

#include "acceptor/mqtt/mqtt.h"

/* Begins to turn, at this second. */
void wheel_init(uint32_t now_s, void (*on_due)(struct client *c));
/* Looks at c when due_s has come; replaces what was set before. */
void wheel_add(struct client *c, uint32_t due_s);
void wheel_remove(struct client *c);
/* Turns to now_s and calls on_due for those that are due. */
void wheel_turn(uint32_t now_s);

#endif
