/* links: proto_mqtt */
#include "tests/unit/mqtt_hex.h"

static const uint8_t ids[] = {
#define PROPERTY(NAME, field, id, type, many, min, max, packets) id,
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

static const char *const types[] = {
#define PROPERTY(NAME, field, id, type, many, min, max, packets) #type,
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

#define COUNT (sizeof(ids) / sizeof(ids[0]))

/* One encoded property with a value that is right for every bound. */
static void
one_add(struct buf *b, size_t i)
{
	buf_add_u8(b, ids[i]);
	if (strcmp(types[i], "BYTE") == 0)
		buf_add_u8(b, 1);
	else if (strcmp(types[i], "TWO") == 0)
		buf_add_be16(b, 2);
	else if (strcmp(types[i], "FOUR") == 0)
		buf_add_be32(b, 4);
	else if (strcmp(types[i], "VARINT") == 0)
		wire_add_varint(b, 300);
	else
		wire_add_bytes(b, SLICE_LIT("text"));
	if (strcmp(types[i], "PAIR") == 0)
		wire_add_bytes(b, SLICE_LIT("value"));
}

static enum mqtt_reason
get(struct buf *run, enum mqtt_packet packet, struct mqtt_properties *out)
{
	struct slice s;
	uint8_t *p;
	size_t n;
	enum mqtt_reason reason;

	/* exact memory, for the sanitizer */
	n = buf_len(run);
	p = malloc(n + 4);
	s.p = p;
	s.len = (size_t)(wire_put_varint(p, (uint32_t)n) - p) + n;
	memcpy(p + s.len - n, buf_data(run), n);
	p = realloc(p, s.len);
	s.p = p;
	reason = mqtt_properties_get(&s, packet, out);
	if (out != NULL)
		memset(&out->raw, 0, sizeof(out->raw));
	free(p);
	return reason;
}

static const char *const names[] = {
#define PROPERTY(NAME, field, id, type, many, min, max, packets) #NAME,
#include "proto/mqtt/properties.def"
#undef PROPERTY
};

/* MQTT 5, table 2-4, written once more: bit n for packet n, 0 the will. */
static const uint32_t where[] = {
	[0x01] = 1 << 3 | 1, [0x02] = 1 << 3 | 1, [0x03] = 1 << 3 | 1,
	[0x08] = 1 << 3 | 1, [0x09] = 1 << 3 | 1, [0x0b] = 1 << 3 | 1 << 8,
	[0x11] = 1 << 1 | 1 << 2 | 1 << 14, [0x12] = 1 << 2, [0x13] = 1 << 2,
	[0x15] = 1 << 1 | 1 << 2 | 1 << 15, [0x16] = 1 << 1 | 1 << 2 | 1 << 15,
	[0x17] = 1 << 1, [0x18] = 1, [0x19] = 1 << 1, [0x1a] = 1 << 2,
	[0x1c] = 1 << 2 | 1 << 14, [0x1f] = 0xcaf4,
	[0x21] = 1 << 1 | 1 << 2, [0x22] = 1 << 1 | 1 << 2, [0x23] = 1 << 3,
	[0x24] = 1 << 2, [0x25] = 1 << 2, [0x26] = 0xcfff,
	[0x27] = 1 << 1 | 1 << 2, [0x28] = 1 << 2, [0x29] = 1 << 2,
	[0x2a] = 1 << 2,
};

static bool
stands_in(size_t i, int packet)
{
	return (where[ids[i]] >> packet & 1) != 0;
}

Test(property, stands_only_where_table_says)
{
	struct mqtt_properties out;
	enum mqtt_reason want;
	struct buf b;
	size_t i;
	int packet;

	buf_init(&b);
	for (i = 0; i < COUNT; i++) {
		for (packet = 0; packet < 16; packet++) {
			buf_clear(&b);
			one_add(&b, i);
			want = stands_in(i, packet) ? MQTT_SUCCESS :
			    MQTT_PROTOCOL_ERROR;
			cr_assert_eq(get(&b, packet, &out), want, "%s in %s",
			    names[i], mqtt_packet_name(packet));
		}
	}
	buf_fini(&b);
}

/* 2.2.2.2: one only, but for user properties and identifiers in PUBLISH */
Test(property, twice)
{
	enum mqtt_reason want;
	struct buf b;
	size_t i;
	int packet;

	buf_init(&b);
	for (i = 0; i < COUNT; i++) {
		for (packet = 0; packet < 16; packet++) {
			if (!stands_in(i, packet))
				continue;
			buf_clear(&b);
			one_add(&b, i);
			one_add(&b, i);
			want = ids[i] == MQTT_PROP_USER_PROPERTY ||
			    (ids[i] == MQTT_PROP_SUBSCRIPTION_IDENTIFIER &&
			    packet == MQTT_PUBLISH) ? MQTT_SUCCESS :
			    MQTT_PROTOCOL_ERROR;
			cr_assert_eq(get(&b, packet, NULL), want, "%s",
			    names[i]);
		}
	}
	buf_fini(&b);
}

Test(property, every_truncation)
{
	static const enum mqtt_packet packets[] = {MQTT_WILL, MQTT_CONNECT,
	    MQTT_CONNACK, MQTT_PUBLISH, MQTT_SUBSCRIBE, MQTT_DISCONNECT};
	struct buf b, cut;
	size_t i, k, n, len;

	buf_init(&b);
	buf_init(&cut);
	for (k = 0; k < sizeof(packets) / sizeof(packets[0]); k++) {
		for (i = 0; i < COUNT; i++) {
			if (!stands_in(i, packets[k]))
				continue;
			buf_clear(&b);
			one_add(&b, i);
			len = buf_len(&b);
			for (n = 1; n < len; n++) {
				buf_clear(&cut);
				buf_add(&cut, buf_data(&b), n);
				cr_assert_eq(get(&cut, packets[k], NULL),
				    MQTT_MALFORMED_PACKET, "%s cut at %zu",
				    names[i], n);
			}
		}
	}
	buf_fini(&b);
	buf_fini(&cut);
}

static enum mqtt_reason
run(const char *text, enum mqtt_packet packet)
{
	struct slice s = hex(text);
	struct buf b;
	enum mqtt_reason reason;

	buf_init(&b);
	buf_add_slice(&b, s);
	reason = get(&b, packet, NULL);
	buf_fini(&b);
	free((void *)s.p);
	return reason;
}

Test(property, bounds)
{
	cr_assert_eq(run("01 02", MQTT_PUBLISH), MQTT_PROTOCOL_ERROR);
	cr_assert_eq(run("21 0000", MQTT_CONNECT), MQTT_PROTOCOL_ERROR,
	    "3.1.2.11.3: receive maximum 0");
	cr_assert_eq(run("27 00000000", MQTT_CONNECT), MQTT_PROTOCOL_ERROR,
	    "3.1.2.11.4: maximum packet size 0");
	cr_assert_eq(run("17 02", MQTT_CONNECT), MQTT_PROTOCOL_ERROR);
	cr_assert_eq(run("19 02", MQTT_CONNECT), MQTT_PROTOCOL_ERROR);
	cr_assert_eq(run("0b 00", MQTT_SUBSCRIBE), MQTT_PROTOCOL_ERROR,
	    "3.8.2.1.2: subscription identifier 0");
	cr_assert_eq(run("0b ffffff7f", MQTT_SUBSCRIBE), MQTT_SUCCESS);
	cr_assert_eq(run("0b ffffffff01", MQTT_SUBSCRIBE),
	    MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("0b 8100", MQTT_SUBSCRIBE), MQTT_MALFORMED_PACKET,
	    "MQTT-1.5.5-1: the fewest bytes");
	cr_assert_eq(run("24 02", MQTT_CONNACK), MQTT_PROTOCOL_ERROR);
	cr_assert_eq(run("00", MQTT_CONNECT), MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("2b 00", MQTT_CONNECT), MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("ff 00", MQTT_CONNECT), MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("03 0001 ff", MQTT_PUBLISH), MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("09 0001 ff", MQTT_PUBLISH), MQTT_SUCCESS);
	cr_assert_eq(run("26 0001 00 0000", MQTT_PUBLISH),
	    MQTT_MALFORMED_PACKET);
	cr_assert_eq(run("26 0000 0001 00", MQTT_PUBLISH),
	    MQTT_MALFORMED_PACKET);
}

Test(property, length_beyond_packet)
{
	struct slice s = hex("05 21 0001"), none = {s.p, 0};

	cr_assert_eq(mqtt_properties_get(&s, MQTT_CONNECT, NULL),
	    MQTT_MALFORMED_PACKET);
	cr_assert_eq(mqtt_properties_get(&none, MQTT_CONNECT, NULL),
	    MQTT_MALFORMED_PACKET);
}

Test(property, round_trip)
{
	struct mqtt_properties in = {0}, out;
	struct mqtt_property prop;
	struct buf b, users;
	struct slice s, rest;
	int seen = 0;

	buf_init(&b);
	buf_init(&users);
	mqtt_user_add(&users, SLICE_LIT("k"), SLICE_LIT("v1"));
	mqtt_user_add(&users, SLICE_LIT("k"), SLICE_LIT("v2"));
	mqtt_set_session_expiry_interval(&in, 77);
	mqtt_set_receive_maximum(&in, 10);
	mqtt_set_server_keep_alive(&in, 65535);
	mqtt_set_maximum_qos(&in, 1);
	mqtt_set_reason_string(&in, SLICE_LIT("why"));
	mqtt_set_authentication_data(&in, SLICE_LIT("\0\xff"));
	in.raw = buf_slice(&users);
	mqtt_properties_add(&b, &in);
	s = buf_slice(&b);
	cr_assert_eq(s.len, mqtt_properties_size(&in) + 1);
	cr_assert_eq(mqtt_properties_get(&s, MQTT_CONNACK, &out), 0);
	cr_assert_eq(s.len, 0);
	cr_assert_eq(out.session_expiry_interval, 77);
	cr_assert_eq(out.receive_maximum, 10);
	cr_assert_eq(out.server_keep_alive, 65535);
	cr_assert_eq(out.maximum_qos, 1);
	cr_assert(slice_is(out.reason_string, "why"));
	cr_assert(slice_eq(out.authentication_data, SLICE_LIT("\0\xff")));
	cr_assert_not(mqtt_has(&out, MQTT_PROP_TOPIC_ALIAS_MAXIMUM));
	rest = out.raw;
	while (mqtt_property_next(&rest, &prop)) {
		if (prop.id != MQTT_PROP_USER_PROPERTY)
			continue;
		seen++;
		cr_assert(slice_is(prop.text, "k"));
		cr_assert(slice_is(prop.value, seen == 1 ? "v1" : "v2"));
	}
	cr_assert_eq(seen, 2);
	buf_fini(&b);
	buf_fini(&users);
}
