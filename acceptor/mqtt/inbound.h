/*
 * inbound - messages that clients publish, and what they are answered.
 *
 * A message is delivered to the local subscribers and, if anybody outside
 * wants it, handed to the router. Its PUBACK or PUBREC leaves at once when
 * nobody outside wanted it, else when the router has taken it; always in
 * the order of the publishes (MQTT 5, 4.6; architecture, section 5).
 */
#ifndef ACCEPTOR_MQTT_INBOUND_H
#define ACCEPTOR_MQTT_INBOUND_H

#include "acceptor/mqtt/mqtt.h"

enum mqtt_reason inbound_publish(struct client *c, struct mqtt_publish *p);
void inbound_pubrel(struct client *c, uint16_t id);

/* The router has taken all up to number; acknowledgements may leave. */
void inbound_taken(struct client *c, uint64_t number);
/*
 * The router refused this one: a client of version 5 is told so, of
 * another the message is kept. True when it has to be kept.
 */
bool inbound_refused(struct client *c, uint64_t number, uint8_t reason,
    uint16_t *id);
/* A kept one is handed over again, under a new number. */
void inbound_renumber(struct client *c, uint16_t id, uint64_t number);
/* The router has committed an inbound PUBREL. */
void inbound_released(struct client *c, uint16_t id);

/* The topic that an alias stands for from now on, in either direction. */
void alias_set(struct alias *a, struct slice topic);

#endif
