/* links: proto_mqtt */
#include "tests/unit/mqtt_hex.h"

struct vector {
	int version;
	const char *text;
};

/* Right packets, written from the specification. */
static const struct vector good[] = {
	/* CONNECT: MQTT 5 figure 3-6 and 3.1.1 figure 3.6, then options */
	{5, "10 10 0004'MQTT' 05 ce 000a 05 11 0000000a 0000 00 0001'w' 0000"
	    " 0001'u' 0001'p'" + 0},
	{4, "10 0c 0004'MQTT' 04 02 003c 0000"},
	{4, "10 1b 0004'MQTT' 04 ee 000a 0001'c' 0001'w' 0002'hi' 0001'u'"
	    " 0002'pw'"},
	{3, "10 10 0006'MQIsdp' 03 02 003c 0002'id'"},
	{5, "10 0f 0004'MQTT' 05 42 0000 00 0000 0000"},
	/* CONNACK */
	{4, "20 02 01 00"},
	{4, "20 02 00 05"},
	{5, "20 06 00 00 03 22 000a"},
	{5, "20 03 00 86 00"},
	/* PUBLISH: figure 3-9 of MQTT 5 */
	{5, "32 08 0003'a/b' 000a 00"},
	{4, "30 07 0003'a/b' 'hi'"},
	{4, "31 05 0003'a/b'"},
	{4, "3d 09 0003'a/b' 0001 'xy'"},
	{5, "30 0a 0000 03 23 0007 'data'"},
	{5, "32 15 0001't' 0001 0d 01 01 02 0000003c 26 0001'k' 0000 'p'"},
	/* acknowledgements */
	{4, "40 02 0001"},
	{5, "40 02 ffff"},
	{5, "40 03 0001 10"},
	{5, "40 04 0001 97 00"},
	{5, "50 09 0001 80 05 1f 0002'no'"},
	{4, "62 02 0102"},
	{5, "62 03 0102 92"},
	{5, "70 03 0102 92"},
	/* SUBSCRIBE: figure 3-20, 3-21 */
	{5, "82 0f 000a 00 0003'a/b' 01 0003'c/d' 02"},
	{5, "82 11 000a 02 0b 07 0003'a/b' 2e 0003'c/d' 10"},
	{4, "82 0e 000a 0003'a/b' 01 0003'c/d' 02"},
	{3, "82 08 000a 0003'a/b' f1"},
	{5, "82 10 0001 00 000a'$share/g/a' 01"},
	/* SUBACK, UNSUBSCRIBE, UNSUBACK */
	{5, "90 06 000a 00 01 02 87"},
	{4, "90 05 000a 00 02 80"},
	{5, "a2 0d 000a 00 0003'a/b' 0003'c/d'"},
	{4, "a2 0c 000a 0003'a/b' 0003'c/d'"},
	{5, "b0 05 000a 00 00 11"},
	{4, "b0 02 000a"},
	/* PINGREQ, PINGRESP, DISCONNECT, AUTH */
	{4, "c0 00"},
	{5, "d0 00"},
	{4, "e0 00"},
	{5, "e0 00"},
	{5, "e0 01 04"},
	{5, "e0 02 8e 00"},
	{5, "e0 07 00 05 11 00000005"},
	{5, "f0 00"},
	{5, "f0 06 18 04 15 0001'S'"},
};
#define GOOD (sizeof(good) / sizeof(good[0]))

/* The remaining length in a vector is counted for the writer. */
static struct slice
vector_get(const struct vector *v)
{
	struct slice s = hex(v->text);

	((uint8_t *)s.p)[1] = (uint8_t)(s.len - 2);
	return s;
}

Test(packet, vectors)
{
	struct mqtt_frame f;
	struct slice s;
	size_t i;

	for (i = 0; i < GOOD; i++) {
		s = vector_get(&good[i]);
		cr_assert_eq(mqtt_frame_get(s.p, s.len, s.len, &f),
		    (ssize_t)s.len, "%s", good[i].text);
		cr_assert_eq(any_get(&f, good[i].version), MQTT_SUCCESS, "%s",
		    good[i].text);
		free((void *)s.p);
	}
}

Test(packet, need_more)
{
	struct mqtt_frame f;
	struct slice s;
	size_t i, n;

	for (i = 0; i < GOOD; i++) {
		s = vector_get(&good[i]);
		for (n = 0; n < s.len; n++)
			cr_assert_eq(mqtt_frame_get(s.p, n, SIZE_MAX, &f), 0);
		free((void *)s.p);
	}
}

/* A body cut anywhere is refused, or is a shorter packet that is right. */
static bool
may_be_cut(const struct vector *v, uint8_t type, size_t n)
{
	switch (type) {
	case MQTT_PUBLISH:
		return true;	/* the payload has no length of its own */
	case MQTT_DISCONNECT:
	case MQTT_AUTH:
		return n < 2;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		return n >= 2;
	case MQTT_SUBSCRIBE:
	case MQTT_UNSUBSCRIBE:
		return n >= 7;	/* after the first filter */
	default:
		return v->version == 5 && (n == 2 || n == 3);
	}
}

Test(packet, every_truncation)
{
	struct mqtt_frame f;
	struct slice s;
	uint8_t *p;
	size_t i, n;
	enum mqtt_reason reason;

	for (i = 0; i < GOOD; i++) {
		s = vector_get(&good[i]);
		for (n = 0; n < s.len - 2; n++) {
			p = malloc(n + 2);
			memcpy(p, s.p, n + 2);
			p[1] = (uint8_t)n;
			cr_assert_eq(mqtt_frame_get(p, n + 2, SIZE_MAX, &f),
			    (ssize_t)(n + 2));
			reason = any_get(&f, good[i].version);
			cr_assert(reason != MQTT_SUCCESS ||
			    may_be_cut(&good[i], f.type, n),
			    "%s cut at %zu", good[i].text, n);
			free(p);
		}
		free((void *)s.p);
	}
}

Test(packet, trailing_byte)
{
	struct mqtt_frame f;
	struct slice s;
	uint8_t *p;
	size_t i;

	for (i = 0; i < GOOD; i++) {
		s = vector_get(&good[i]);
		p = malloc(s.len + 1);
		memcpy(p, s.p, s.len);
		p[s.len] = 0xee;
		p[1]++;
		mqtt_frame_get(p, s.len + 1, SIZE_MAX, &f);
		/* to these one more byte is one more field */
		if (f.type != MQTT_PUBLISH)
			cr_assert_neq(any_get(&f, good[i].version),
			    MQTT_SUCCESS, "%s", good[i].text);
		free(p);
		free((void *)s.p);
	}
}

/* [MQTT-2.1.3-1] and types */
Test(packet, fixed_header)
{
	struct mqtt_frame f;
	uint8_t p[2] = {0, 0};
	unsigned first;
	int type, flags;
	bool is_good;

	for (first = 0; first < 256; first++) {
		type = (int)(first >> 4);
		flags = (int)(first & 15);
		p[0] = (uint8_t)first;
		if (type == 0)
			is_good = false;
		else if (type == MQTT_PUBLISH)
			is_good = (flags & 6) != 6 && flags != 8 && flags != 9;
		else
			is_good = flags == (type == 6 || type == 8 ||
			    type == 10 ? 2 : 0);
		cr_assert_eq(mqtt_frame_get(p, 2, SIZE_MAX, &f),
		    is_good ? 2 : -MQTT_MALFORMED_PACKET, "%02x", first);
	}
}

static ssize_t
frame(const char *text, size_t max)
{
	struct slice s = hex(text);
	struct mqtt_frame f;
	ssize_t n = mqtt_frame_get(s.p, s.len, max, &f);

	free((void *)s.p);
	return n;
}

Test(packet, remaining_length)
{
	cr_assert_eq(frame("30 ff", SIZE_MAX), 0);
	cr_assert_eq(frame("30 ffffff", SIZE_MAX), 0);
	cr_assert_eq(frame("30 ffffff7f", SIZE_MAX), 0);
	cr_assert_eq(frame("30 ffffffff", SIZE_MAX), -MQTT_MALFORMED_PACKET);
	cr_assert_eq(frame("30 8000", SIZE_MAX), -MQTT_MALFORMED_PACKET);
	cr_assert_eq(frame("30 808001", SIZE_MAX), 0);
	cr_assert_eq(frame("30 ffffff7f", 1000), -MQTT_PACKET_TOO_LARGE);
	cr_assert_eq(frame("30 08", 10), 0);
	cr_assert_eq(frame("30 09", 10), -MQTT_PACKET_TOO_LARGE);
	cr_assert_eq(frame("30 00", 1), -MQTT_PACKET_TOO_LARGE);
}

Test(packet, connect_fields)
{
	struct slice s = hex("10 2f 0004'MQTT' 05 f6 000a 03 21 0014 0002'id'"
	    " 05 18 00000007 0003'w/t' 0003 'bye' 0002'me' 0003 00ff01");
	struct mqtt_connect c;
	struct mqtt_frame f;

	((uint8_t *)s.p)[1] = (uint8_t)(s.len - 2);
	cr_assert_gt(mqtt_frame_get(s.p, s.len, SIZE_MAX, &f), 0);
	cr_assert_eq(mqtt_connect_get(&f, &c), MQTT_SUCCESS);
	cr_assert_eq(c.version, 5);
	cr_assert(c.clean_start);
	cr_assert_eq(c.keep_alive, 10);
	cr_assert(slice_is(c.client_id, "id"));
	cr_assert_eq(c.properties.receive_maximum, 20);
	cr_assert(c.has_will && c.will_retain);
	cr_assert_eq(c.will_qos, 2);
	cr_assert_eq(c.will_properties.will_delay_interval, 7);
	cr_assert(slice_is(c.will_topic, "w/t"));
	cr_assert(slice_is(c.will_payload, "bye"));
	cr_assert(slice_is(c.user_name, "me"));
	cr_assert(slice_eq(c.password, SLICE_LIT("\0\xff\1")));
	free((void *)s.p);
}

Test(packet, connect_refused)
{
	/* [MQTT-3.1.2-1], [MQTT-3.1.2-2] */
	cr_assert_eq(refusal("10 0c 0004'MQTX' 04 02 0000 0000", 4), 0x84);
	cr_assert_eq(refusal("10 0c 0004'MQTT' 03 02 0000 0000", 4), 0x84);
	cr_assert_eq(refusal("10 0c 0004'MQTT' 06 02 0000 0000", 4), 0x84);
	cr_assert_eq(refusal("10 0e 0006'MQIsdp' 04 02 0000 0000", 4), 0x84);
	/* [MQTT-3.1.2-3] reserved bit */
	cr_assert_eq(refusal("10 0c 0004'MQTT' 04 03 0000 0000", 4), 0x81);
	/* [MQTT-3.1.2-11..13] will QoS and retain without will; QoS 3 */
	cr_assert_eq(refusal("10 0c 0004'MQTT' 04 0a 0000 0000", 4), 0x81);
	cr_assert_eq(refusal("10 0c 0004'MQTT' 04 22 0000 0000", 4), 0x81);
	cr_assert_eq(refusal("10 11 0004'MQTT' 04 1e 0000 0000 0001'w' 0000",
	    4), 0x81);
	/* 3.1.1 [MQTT-3.1.2-22] password without user name */
	cr_assert_eq(refusal("10 0e 0004'MQTT' 04 42 0000 0000 0000", 4),
	    0x81);
	/* will topics and response topics */
	cr_assert_eq(refusal("10 11 0004'MQTT' 04 06 0000 0000 0001'#' 0000",
	    4), 0x90);
	cr_assert_eq(refusal("10 10 0004'MQTT' 04 06 0000 0000 0000 0000", 4),
	    0x90);
	cr_assert_eq(refusal("10 17 0004'MQTT' 05 06 0000 00 0000"
	    " 04 08 0001'+' 0001'w' 0000", 5), 0x90);
	/* authentication data without a method */
	cr_assert_eq(refusal("10 10 0004'MQTT' 05 02 0000 03 16 0000 0000",
	    5), 0x82);
	/* client identifier and user name: UTF-8 */
	cr_assert_eq(refusal("10 0d 0004'MQTT' 04 02 0000 0001 ff", 4), 0x81);
	cr_assert_eq(refusal("10 0f 0004'MQTT' 04 82 0000 0000 0001 00", 4),
	    0x81);
	/* a property of another packet */
	cr_assert_eq(refusal("10 10 0004'MQTT' 05 02 0000 03 23 0001 0000",
	    5), 0x82);
}

Test(packet, others_refused)
{
	cr_assert_eq(refusal("20 02 02 00", 4), 0x81);
	cr_assert_eq(refusal("20 03 01 86 00", 5), 0x82);
	cr_assert_eq(refusal("20 03 00 01 00", 5), 0x82);
	cr_assert_eq(refusal("40 02 0000", 4), 0x82);
	cr_assert_eq(refusal("40 03 0001 00", 4), 0x81);
	cr_assert_eq(refusal("40 03 0001 92", 5), 0x82);
	cr_assert_eq(refusal("62 03 0001 10", 5), 0x82);
	cr_assert_eq(refusal("82 06 0000 0001'a' 00", 4), 0x82);
	cr_assert_eq(refusal("82 02 0001", 4), 0x82);
	cr_assert_eq(refusal("82 03 0001 00", 5), 0x82);
	cr_assert_eq(refusal("82 06 0001 0001'a' 03", 4), 0x81);
	cr_assert_eq(refusal("82 06 0001 0001'a' 04", 4), 0x81);
	cr_assert_eq(refusal("82 07 0001 00 0001'a' 03", 5), 0x82);
	cr_assert_eq(refusal("82 07 0001 00 0001'a' 30", 5), 0x82);
	cr_assert_eq(refusal("82 07 0001 00 0001'a' 40", 5), 0x81);
	cr_assert_eq(refusal("82 07 0001 00 0001'a' 80", 5), 0x81);
	cr_assert_eq(refusal("82 10 0001 00 000a'$share/g/a' 05", 5), 0x82);
	cr_assert_eq(refusal("82 08 0001 00 0002'a#' 00", 5), 0x8f);
	cr_assert_eq(refusal("82 06 0001 00 0000 00", 5), 0x8f);
	cr_assert_eq(refusal("a2 02 0001", 4), 0x82);
	cr_assert_eq(refusal("a2 05 0001 0001 ff", 4), 0x81);
	cr_assert_eq(refusal("90 03 0001 03", 4), 0x82);
	cr_assert_eq(refusal("90 04 0001 00 11", 5), 0x82);
	cr_assert_eq(refusal("90 02 0001", 4), 0x82);
	cr_assert_eq(refusal("b0 03 0001 00", 4), 0x81);
	cr_assert_eq(refusal("c0 01 00", 4), 0x81);
	cr_assert_eq(refusal("e0 01 00", 4), 0x81);
	cr_assert_eq(refusal("e0 01 01", 5), 0x82);
	cr_assert_eq(refusal("f0 00", 4), 0x81);
	cr_assert_eq(refusal("f0 01 18", 5), 0x82);
}

Test(packet, subscribe_fields)
{
	struct slice s = hex("82 10 000a 02 0b 07 0003'a/b' 2e 0002'c/' 10"),
	    rest;
	struct mqtt_subscribe sub;
	struct mqtt_filter filter;
	struct mqtt_frame f;

	cr_assert_eq(mqtt_frame_get(s.p, s.len, SIZE_MAX, &f), 18);
	cr_assert_eq(mqtt_subscribe_get(&f, 5, &sub), MQTT_SUCCESS);
	cr_assert_eq(sub.id, 10);
	cr_assert_eq(sub.properties.subscription_identifier, 7);
	rest = sub.filters;
	cr_assert(mqtt_filter_next(&rest, &filter));
	cr_assert(slice_is(filter.filter, "a/b"));
	cr_assert_eq(filter.qos, 2);
	cr_assert(filter.no_local);
	cr_assert(filter.retain_as_published);
	cr_assert_eq(filter.retain_handling, 2);
	cr_assert(mqtt_filter_next(&rest, &filter));
	cr_assert(slice_is(filter.filter, "c/"));
	cr_assert_eq(filter.qos, 0);
	cr_assert_not(filter.no_local);
	cr_assert_not(filter.retain_as_published);
	cr_assert_eq(filter.retain_handling, 1);
	cr_assert_not(mqtt_filter_next(&rest, &filter));
	free((void *)s.p);
}

/* What an add wrote, is it these bytes? */
static void
expect_bytes(struct buf *b, const char *text)
{
	struct slice s = hex(text);

	cr_assert(slice_eq(buf_slice(b), s), "%s", text);
	cr_assert_eq(s.p[1], s.len - 2, "%s", text);
	free((void *)s.p);
	buf_clear(b);
}

Test(packet, connect_add)
{
	struct mqtt_connect c = {.version = 5, .clean_start = true,
	    .keep_alive = 10, .client_id = SLICE_LIT("id"),
	    .user_name = SLICE_LIT("me"), .password = SLICE_EMPTY,
	    .has_will = true, .will_qos = 1, .will_topic = SLICE_LIT("w"),
	    .will_payload = SLICE_LIT("bye")};
	struct buf b;

	buf_init(&b);
	mqtt_set_will_delay_interval(&c.will_properties, 7);
	mqtt_set_session_expiry_interval(&c.properties, UINT32_MAX);
	mqtt_connect_add(&b, &c);
	expect_bytes(&b, "10 28 0004'MQTT' 05 ce 000a 05 11 ffffffff 0002'id'"
	    " 05 18 00000007 0001'w' 0003'bye' 0002'me' 0000");
	c = (struct mqtt_connect){.version = 3, .client_id = SLICE_LIT("x")};
	mqtt_connect_add(&b, &c);
	expect_bytes(&b, "10 0f 0006'MQIsdp' 03 00 0000 0001'x'");
	buf_fini(&b);
}

Test(packet, adds)
{
	struct mqtt_connack connack = {true, MQTT_SUCCESS, {0}};
	struct mqtt_ack ack = {.id = 0x0102, .reason = MQTT_QUOTA_EXCEEDED};
	struct mqtt_suback suback = {.id = 9,
	    .reasons = SLICE_LIT("\0\2\x87")};
	struct mqtt_disconnect d = {.reason = MQTT_SESSION_TAKEN_OVER};
	struct mqtt_filter filters[2] = {
	    {SLICE_LIT("a"), 1, true, true, 2}, {SLICE_LIT("b"), 0, 0, 0, 0}};
	struct slice names[2] = {SLICE_LIT("a"), SLICE_LIT("b")};
	struct buf b;

	buf_init(&b);
	mqtt_connack_add(&b, 4, &connack);
	expect_bytes(&b, "20 02 01 00");
	mqtt_connack_add(&b, 3, &connack);
	expect_bytes(&b, "20 02 00 00");
	mqtt_set_topic_alias_maximum(&connack.properties, 10);
	mqtt_connack_add(&b, 5, &connack);
	expect_bytes(&b, "20 06 01 00 03 22 000a");
	connack = (struct mqtt_connack){false, MQTT_NOT_AUTHORIZED, {0}};
	mqtt_connack_add(&b, 4, &connack);
	expect_bytes(&b, "20 02 00 05");

	mqtt_ack_add(&b, 4, MQTT_PUBACK, &ack);
	expect_bytes(&b, "40 02 0102");
	mqtt_ack_add(&b, 5, MQTT_PUBREC, &ack);
	expect_bytes(&b, "50 03 0102 97");
	mqtt_set_reason_string(&ack.properties, SLICE_LIT("no"));
	mqtt_ack_add(&b, 5, MQTT_PUBACK, &ack);
	expect_bytes(&b, "40 09 0102 97 05 1f 0002'no'");
	ack = (struct mqtt_ack){.id = 3};
	mqtt_ack_add(&b, 5, MQTT_PUBREL, &ack);
	expect_bytes(&b, "62 02 0003");
	mqtt_ack_add(&b, 4, MQTT_PUBCOMP, &ack);
	expect_bytes(&b, "70 02 0003");

	mqtt_suback_add(&b, 4, MQTT_SUBACK, &suback);
	expect_bytes(&b, "90 05 0009 00 02 80");
	mqtt_suback_add(&b, 5, MQTT_SUBACK, &suback);
	expect_bytes(&b, "90 06 0009 00 00 02 87");
	mqtt_suback_add(&b, 4, MQTT_UNSUBACK, &suback);
	expect_bytes(&b, "b0 02 0009");
	suback.reasons = SLICE_LIT("\0\x11");
	mqtt_suback_add(&b, 5, MQTT_UNSUBACK, &suback);
	expect_bytes(&b, "b0 05 0009 00 00 11");

	mqtt_subscribe_add(&b, 5, 7, NULL, filters, 2);
	expect_bytes(&b, "82 0b 0007 00 0001'a' 2d 0001'b' 00");
	mqtt_subscribe_add(&b, 4, 7, NULL, filters, 1);
	expect_bytes(&b, "82 06 0007 0001'a' 01");
	mqtt_unsubscribe_add(&b, 5, 7, NULL, names, 2);
	expect_bytes(&b, "a2 09 0007 00 0001'a' 0001'b'");
	mqtt_unsubscribe_add(&b, 4, 7, NULL, names, 1);
	expect_bytes(&b, "a2 05 0007 0001'a'");

	mqtt_ping_add(&b, MQTT_PINGRESP);
	expect_bytes(&b, "d0 00");
	mqtt_disconnect_add(&b, 5, &d);
	expect_bytes(&b, "e0 01 8e");
	mqtt_disconnect_add(&b, 4, &d);
	expect_bytes(&b, "e0 00");
	mqtt_set_reason_string(&d.properties, SLICE_LIT("gone"));
	mqtt_disconnect_add(&b, 5, &d);
	expect_bytes(&b, "e0 09 8e 07 1f 0004'gone'");
	d = (struct mqtt_disconnect){0};
	mqtt_disconnect_add(&b, 5, &d);
	expect_bytes(&b, "e0 00");
	d.reason = MQTT_CONTINUE_AUTHENTICATION;
	mqtt_set_authentication_method(&d.properties, SLICE_LIT("S"));
	mqtt_auth_add(&b, &d);
	expect_bytes(&b, "f0 06 18 04 15 0001'S'");
	buf_fini(&b);
}

/* Every code of every packet, both ways: table 2-6 of MQTT 5 by its file. */
Test(packet, reasons)
{
	cr_assert(mqtt_reason_check(0x04, MQTT_DISCONNECT));
	cr_assert_not(mqtt_reason_check(0x04, MQTT_CONNACK));
	cr_assert(mqtt_reason_check(0x97, MQTT_PUBREC));
	cr_assert_not(mqtt_reason_check(0x97, MQTT_PUBREL));
	cr_assert_not(mqtt_reason_check(0x05, MQTT_DISCONNECT));
	cr_assert_str_eq(mqtt_reason_text(0x8e), "Session taken over");
	cr_assert_str_eq(mqtt_reason_text(0x7f), "Unknown");
	cr_assert_eq(mqtt_reason_v3(0x84), 1);
	cr_assert_eq(mqtt_reason_v3(0x85), 2);
	cr_assert_eq(mqtt_reason_v3(0x89), 3);
	cr_assert_eq(mqtt_reason_v3(0x86), 4);
	cr_assert_eq(mqtt_reason_v3(0x87), 5);
	cr_assert_eq(mqtt_reason_v3(0x55), 3);
	cr_assert_str_eq(mqtt_packet_name(MQTT_PUBREC), "PUBREC");
	cr_assert_str_eq(mqtt_packet_name(MQTT_WILL), "WILL");
}
