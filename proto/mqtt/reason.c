#include "proto/mqtt/reason.h"

#include <stddef.h>

#define IN(packet) (1u << MQTT_##packet)

struct reason {
	const char *text;
	uint16_t packets;
	uint8_t v3;
};

static const struct reason reasons[256] = {
#define REASON(name, code, v3, packets, text) [code] = {text, packets, v3},
#include "proto/mqtt/reasons.def"
#undef REASON
};

static const char *const packets[16] = {
#define PACKET(name, type, flags, from) [type] = #name,
#include "proto/mqtt/packets.def"
#undef PACKET
};

bool
mqtt_reason_check(uint8_t code, enum mqtt_packet packet)
{
	return (reasons[code].packets >> packet & 1) != 0;
}

const char *
mqtt_reason_text(uint8_t code)
{
	return reasons[code].text != NULL ? reasons[code].text : "Unknown";
}

uint8_t
mqtt_reason_v3(uint8_t code)
{
	/* 3: server unavailable, the nearest to "something else". */
	return reasons[code].text != NULL ? reasons[code].v3 : 3;
}

const char *
mqtt_packet_name(enum mqtt_packet packet)
{
	const char *name = packets[packet & 15];

	return name != NULL ? name : "WILL";
}
