/*
 * roster - all connections, found by their number.
 *
 * The low bits of a number are a place in a table that is used again, the
 * rest counts up: no number is ever used twice.
 */
#ifndef ACCEPTOR_MQTT_ROSTER_H
#define ACCEPTOR_MQTT_ROSTER_H

#include "acceptor/mqtt/mqtt.h"

/* Gives c its number. */
void roster_add(struct client *c);
void roster_remove(struct client *c);
/* The client with that number, NULL when it is gone. */
struct client *client_find(uint64_t conn);
/* Every client that is not dead. cb may close it. */
void clients_each(void (*cb)(struct client *c, void *arg), void *arg);

#endif
