/*
 * reason - the reason codes of MQTT 5, and what version 3 makes of them.
 *
 * Implements MQTT 5, 2.4 from reasons.def. Every decoder of this folder
 * answers with one of these: MQTT_SUCCESS, or why the connection must end.
 */
#ifndef PROTO_MQTT_REASON_H
#define PROTO_MQTT_REASON_H

#include <stdbool.h>
#include <stdint.h>

enum mqtt_packet {
	MQTT_WILL = 0,	/* not a packet: the will properties in a CONNECT */
#define PACKET(name, type, flags, from) MQTT_##name = (type),
#include "proto/mqtt/packets.def"
#undef PACKET
};

enum mqtt_reason {
#define REASON(name, code, v3, packets, text) MQTT_##name = (code),
#include "proto/mqtt/reasons.def"
#undef REASON
};

enum mqtt_version {
	MQTT_V31 = 3,
	MQTT_V311 = 4,
	MQTT_V5 = 5,
};

/* Is this a code of the specification that may stand in such a packet? */
bool mqtt_reason_check(uint8_t code, enum mqtt_packet packet);
/* The specification's name for it; "Unknown" for any other number. */
const char *mqtt_reason_text(uint8_t code);
/* The return code in a CONNACK to a version 3 client (3.1.1, 3.2.2.3). */
uint8_t mqtt_reason_v3(uint8_t code);
/* The specification's name of a packet type. */
const char *mqtt_packet_name(enum mqtt_packet packet);

#endif
