/*
 * mqtt_hex - packets for tests, written as hexadecimal text.
 *
 * Spaces are skipped; 'text' in single quotes stands for its bytes. What a
 * packet is decoded from lies in heap memory of exactly its size, so that
 * a sanitizer sees a read beyond it.
 */
#ifndef TESTS_UNIT_MQTT_HEX_H
#define TESTS_UNIT_MQTT_HEX_H

#include "base/buf.h"
#include "proto/mqtt/publish.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static inline struct slice
hex(const char *text)
{
	struct buf b;
	unsigned v;
	uint8_t *p;
	size_t n;

	buf_init(&b);
	while (*text != '\0') {
		if (*text == ' ') {
			text++;
		} else if (*text == '\'') {
			for (text++; *text != '\''; text++)
				buf_add_u8(&b, (uint8_t)*text);
			text++;
		} else {
			cr_assert_eq(sscanf(text, "%2x", &v), 1);
			buf_add_u8(&b, (uint8_t)v);
			text += 2;
		}
	}
	n = buf_len(&b);
	p = malloc(n > 0 ? n : 1);
	memcpy(p, buf_data(&b), n);
	buf_fini(&b);
	return slice_of(p, n);
}

/* Decodes any packet; the answer of its get. */
static inline enum mqtt_reason
any_get(const struct mqtt_frame *f, int version)
{
	struct mqtt_connect connect;
	struct mqtt_connack connack;
	struct mqtt_publish publish;
	struct mqtt_ack ack;
	struct mqtt_subscribe subscribe;
	struct mqtt_suback suback;
	struct mqtt_disconnect disconnect;

	switch (f->type) {
	case MQTT_CONNECT:
		return mqtt_connect_get(f, &connect);
	case MQTT_CONNACK:
		return mqtt_connack_get(f, version, &connack);
	case MQTT_PUBLISH:
		return mqtt_publish_get(f, version, &publish);
	case MQTT_PUBACK:
	case MQTT_PUBREC:
	case MQTT_PUBREL:
	case MQTT_PUBCOMP:
		return mqtt_ack_get(f, version, &ack);
	case MQTT_SUBSCRIBE:
		return mqtt_subscribe_get(f, version, &subscribe);
	case MQTT_UNSUBSCRIBE:
		return mqtt_unsubscribe_get(f, version, &subscribe);
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return mqtt_suback_get(f, version, &suback);
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		return mqtt_ping_get(f);
	case MQTT_DISCONNECT:
		return mqtt_disconnect_get(f, version, &disconnect);
	case MQTT_AUTH:
		return mqtt_auth_get(f, version, &disconnect);
	}
	cr_assert(0, "type %u", f->type);
	return MQTT_SUCCESS;
}

/* Frames and decodes one packet in text; the reason it is refused with. */
static inline enum mqtt_reason
refusal(const char *text, int version)
{
	struct slice s = hex(text);
	struct mqtt_frame f;
	ssize_t n = mqtt_frame_get(s.p, s.len, SIZE_MAX, &f);
	enum mqtt_reason reason;

	cr_assert_neq(n, 0, "not a whole packet: %s", text);
	if (n < 0) {
		free((void *)s.p);
		return (enum mqtt_reason)-n;
	}
	cr_assert_eq((size_t)n, s.len, "%s: %zd of %zu", text, n, s.len);
	reason = any_get(&f, version);
	free((void *)s.p);
	return reason;
}

#endif
