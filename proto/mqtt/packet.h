/*
 * packet - control packets: the fixed header and all but PUBLISH.
 *
 * Implements MQTT 3.1, 3.1.1 and 5, section 3. mqtt_frame_get finds the
 * first whole packet in some bytes; the get of its type decodes the body in
 * place: every slice lends from it. A get answers MQTT_SUCCESS, or with
 * what reason the connection ends. The add of a type appends a whole
 * packet to a buf. Everything a get accepts is right by the specification
 * as far as the packet alone can tell; what depends on the connection's
 * state is for the caller.
 */
#ifndef PROTO_MQTT_PACKET_H
#define PROTO_MQTT_PACKET_H

#include "proto/mqtt/property.h"

#include <sys/types.h>

struct mqtt_frame {
	uint8_t type;		/* enum mqtt_packet */
	uint8_t flags;		/* low four bits of the first byte */
	struct slice body;	/* what the remaining length counts */
};

/*
 * The packet at p: its whole size, 0 when more bytes are needed, or minus
 * the reason: MALFORMED_PACKET for a type, flags or length that cannot be,
 * PACKET_TOO_LARGE above max bytes (known from the header alone).
 */
ssize_t mqtt_frame_get(const uint8_t *p, size_t n, size_t max,
    struct mqtt_frame *frame);

/* MQTT 5, 3.1 */
struct mqtt_connect {
	uint8_t version;	/* enum mqtt_version */
	bool clean_start;	/* "clean session" in version 3 */
	uint16_t keep_alive;	/* seconds, 0: none */
	struct slice client_id;
	struct slice user_name;	/* null when absent */
	struct slice password;	/* null when absent; secret */
	struct mqtt_properties properties;
	bool has_will;
	bool will_retain;
	uint8_t will_qos;
	struct slice will_topic;
	struct slice will_payload;
	struct mqtt_properties will_properties;
};
/*
 * UNSUPPORTED_PROTOCOL_VERSION is answered with c->version set to what the
 * answer is best written in: 5 for later ones, else 4.
 */
enum mqtt_reason mqtt_connect_get(const struct mqtt_frame *f,
    struct mqtt_connect *c);
void mqtt_connect_add(struct buf *b, const struct mqtt_connect *c);

/* MQTT 5, 3.2. The reason is a return code in version 3, as on the wire. */
struct mqtt_connack {
	bool session_present;
	uint8_t reason;
	struct mqtt_properties properties;
};
enum mqtt_reason mqtt_connack_get(const struct mqtt_frame *f, int version,
    struct mqtt_connack *c);
/* Takes a reason for every version and translates it for version 3. */
void mqtt_connack_add(struct buf *b, int version,
    const struct mqtt_connack *c);

/* PUBACK, PUBREC, PUBREL, PUBCOMP: MQTT 5, 3.4 to 3.7 */
struct mqtt_ack {
	uint16_t id;
	uint8_t reason;
	struct mqtt_properties properties;
};
enum mqtt_reason mqtt_ack_get(const struct mqtt_frame *f, int version,
    struct mqtt_ack *a);
/* In version 3 the reason is not sent, and in 5 a success is left out. */
#define MQTT_ACK_MAX 5
uint8_t *mqtt_ack_put(uint8_t *p, int version, enum mqtt_packet type,
    uint16_t id, uint8_t reason);
void mqtt_ack_add(struct buf *b, int version, enum mqtt_packet type,
    const struct mqtt_ack *a);

/* SUBSCRIBE and UNSUBSCRIBE: MQTT 5, 3.8 and 3.10 */
struct mqtt_subscribe {
	uint16_t id;
	struct mqtt_properties properties;
	struct slice filters;	/* at least one; see mqtt_filter_next */
};
struct mqtt_filter {
	struct slice filter;
	uint8_t qos;
	bool no_local;
	bool retain_as_published;
	uint8_t retain_handling;
};
/* The filters are checked too, so the walk over them cannot fail. */
enum mqtt_reason mqtt_subscribe_get(const struct mqtt_frame *f, int version,
    struct mqtt_subscribe *s);
bool mqtt_filter_next(struct slice *filters, struct mqtt_filter *filter);
enum mqtt_reason mqtt_unsubscribe_get(const struct mqtt_frame *f,
    int version, struct mqtt_subscribe *s);
bool mqtt_unfilter_next(struct slice *filters, struct slice *filter);
void mqtt_subscribe_add(struct buf *b, int version, uint16_t id,
    const struct mqtt_properties *p, const struct mqtt_filter *filters,
    size_t n);
void mqtt_unsubscribe_add(struct buf *b, int version, uint16_t id,
    const struct mqtt_properties *p, const struct slice *filters, size_t n);

/* SUBACK and UNSUBACK: MQTT 5, 3.9 and 3.11 */
struct mqtt_suback {
	uint16_t id;
	struct mqtt_properties properties;
	struct slice reasons;	/* one byte for each filter */
};
enum mqtt_reason mqtt_suback_get(const struct mqtt_frame *f, int version,
    struct mqtt_suback *s);
/* For version 3 every failure is written 0x80, and an UNSUBACK has none. */
void mqtt_suback_add(struct buf *b, int version, enum mqtt_packet type,
    const struct mqtt_suback *s);

/* PINGREQ and PINGRESP: MQTT 5, 3.12 and 3.13 */
enum mqtt_reason mqtt_ping_get(const struct mqtt_frame *f);
void mqtt_ping_add(struct buf *b, enum mqtt_packet type);

/* DISCONNECT and AUTH: MQTT 5, 3.14 and 3.15 */
struct mqtt_disconnect {
	uint8_t reason;
	struct mqtt_properties properties;
};
enum mqtt_reason mqtt_disconnect_get(const struct mqtt_frame *f, int version,
    struct mqtt_disconnect *d);
void mqtt_disconnect_add(struct buf *b, int version,
    const struct mqtt_disconnect *d);
/* AUTH is a malformed packet before version 5. */
enum mqtt_reason mqtt_auth_get(const struct mqtt_frame *f, int version,
    struct mqtt_disconnect *d);
void mqtt_auth_add(struct buf *b, const struct mqtt_disconnect *d);

#endif
