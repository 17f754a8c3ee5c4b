/*
 * packets - what a packet of a client leads to.
 *
 * One function per packet, which decodes it and calls the module it is for.
 * Whatever is wrong with it ends the connection with the reason that the
 * codec gave (MQTT 5, 4.13).
 */
#ifndef ACCEPTOR_MQTT_PACKETS_H
#define ACCEPTOR_MQTT_PACKETS_H

#include "acceptor/mqtt/mqtt.h"

void packet_handle(struct client *c, const struct mqtt_frame *frame);

#endif
