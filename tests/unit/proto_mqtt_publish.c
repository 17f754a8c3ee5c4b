/* links: proto_mqtt */
#include "tests/unit/mqtt_hex.h"

static enum mqtt_reason
publish(struct slice s, int version, struct mqtt_publish *p)
{
	struct mqtt_frame f;

	((uint8_t *)s.p)[1] = (uint8_t)(s.len - 2);
	cr_assert_eq(mqtt_frame_get(s.p, s.len, SIZE_MAX, &f),
	    (ssize_t)s.len);
	return mqtt_publish_get(&f, version, p);
}

Test(publish, version_3)
{
	struct slice s = hex("3b 00 0003'a/b' 0010 'data'");
	struct mqtt_publish p;

	cr_assert_eq(publish(s, 4, &p), MQTT_SUCCESS);
	cr_assert(slice_is(p.topic, "a/b"));
	cr_assert(slice_is(p.payload, "data"));
	cr_assert_eq(p.id, 16);
	cr_assert_eq(p.qos, 1);
	cr_assert(p.dup && p.retain);
	cr_assert_eq(p.alias, 0);
	cr_assert_eq(p.properties.len, 0);
	cr_assert_eq(p.expiry_at, MQTT_NOWHERE);
	free((void *)s.p);
}

#define PROPS "01 01 23 0005 02 0000003c 0b 07 26 0001'k' 0001'v' 0b 8001"

Test(publish, properties)
{
	struct slice s = hex("34 00 0003'a/b' 0010 16 " PROPS " 'data'");
	struct mqtt_publish p;

	cr_assert_eq(publish(s, 5, &p), MQTT_SUCCESS);
	cr_assert(slice_is(p.payload, "data"));
	cr_assert_eq(p.alias, 5);
	cr_assert_eq(p.expiry, 60);
	cr_assert_eq(wire_peek_u16(p.properties.p + p.expiry_at + 2), 60);
	cr_assert(p.is_text);
	cr_assert(p.has_subscription_identifier);
	cr_assert(p.has_hop_properties);
	free((void *)s.p);
}

Test(publish, travel)
{
	struct slice s = hex("34 00 0003'a/b' 0010 16 " PROPS " 'data'"),
	    want = hex("01 01 02 0000003c 26 0001'k' 0001'v'"), got;
	struct mqtt_publish p;
	struct buf scratch;
	uint32_t at, seconds;

	buf_init(&scratch);
	publish(s, 5, &p);
	got = mqtt_publish_travel(&p, &scratch, &at);
	cr_assert(slice_eq(got, want));
	cr_assert_eq(at, 3);
	cr_assert_eq(mqtt_expiry_find(got, &seconds), 3);
	cr_assert_eq(seconds, 60);
	free((void *)s.p);

	s = hex("30 00 0001't' 05 02 00000001 'x'");
	publish(s, 5, &p);
	got = mqtt_publish_travel(&p, &scratch, &at);
	cr_assert_eq(got.p, p.properties.p, "nothing to take out: no copy");
	cr_assert_eq(at, 1);
	cr_assert_eq(mqtt_expiry_find(SLICE_EMPTY, &seconds), MQTT_NOWHERE);
	free((void *)s.p);
	free((void *)want.p);
	buf_fini(&scratch);
}

Test(publish, refused)
{
	cr_assert_eq(refusal("36 05 0001'a' 0001", 4), 0x81, "QoS 3");
	cr_assert_eq(refusal("38 03 0001'a'", 4), 0x81, "DUP at QoS 0");
	cr_assert_eq(refusal("32 05 0001'a' 0000", 4), 0x82, "identifier 0");
	cr_assert_eq(refusal("30 02 0000", 4), 0x90, "no topic");
	cr_assert_eq(refusal("30 03 0000 00", 5), 0x82, "no topic, no alias");
	cr_assert_eq(refusal("30 07 0001'a' 03 23 0000", 5), 0x94);
	cr_assert_eq(refusal("30 08 0001'a' 04 08 0001'#'", 5), 0x90);
	cr_assert_eq(refusal("30 03 0001'a'", 5), 0x81, "no properties");
	cr_assert_eq(refusal("30 07 0001'a' 03 21 0001", 5), 0x82);
	cr_assert_eq(refusal("30 03 0005'a'", 4), 0x81);
}

static void
expect_delivery(struct mqtt_delivery *d, int version, const char *text)
{
	struct slice want = hex(text);
	struct buf b;

	((uint8_t *)want.p)[1] = (uint8_t)(want.len - 2);
	buf_init(&b);
	mqtt_delivery_add(&b, d, version);
	cr_assert_eq(mqtt_delivery_size(d, version), want.len);
	cr_assert(slice_eq(buf_slice(&b), want), "%s", text);
	if (d->qos > 0)
		cr_assert_eq(wire_peek_u16(buf_data(&b) +
		    mqtt_delivery_id_at(d)), d->id);
	buf_fini(&b);
	free((void *)want.p);
}

Test(publish, delivery)
{
	static const uint32_t identifiers[] = {7, 128};
	struct slice run = hex("26 0001'k' 0001'v' 02 0000003c");
	struct mqtt_delivery d = {.topic = SLICE_LIT("a/b"),
	    .payload = SLICE_LIT("data"), .expiry_at = MQTT_NOWHERE};

	expect_delivery(&d, 4, "30 00 0003'a/b' 'data'");
	expect_delivery(&d, 5, "30 00 0003'a/b' 00 'data'");
	d.qos = 2;
	d.id = 0x1234;
	d.dup = d.retain = true;
	expect_delivery(&d, 4, "3d 00 0003'a/b' 1234 'data'");
	d.dup = d.retain = false;
	d.properties = run;
	d.expiry_at = 8;
	d.expiry = 59;
	expect_delivery(&d, 4, "34 00 0003'a/b' 1234 'data'");
	expect_delivery(&d, 5, "34 00 0003'a/b' 1234 0c 26 0001'k' 0001'v'"
	    " 02 0000003b 'data'");
	d.identifiers = identifiers;
	d.identifier_count = 2;
	d.alias = 9;
	d.topic = SLICE_EMPTY;
	d.payload = SLICE_EMPTY;
	expect_delivery(&d, 5, "34 00 0000 1234 14 26 0001'k' 0001'v'"
	    " 02 0000003b 0b 07 0b 8001 23 0009");
	free((void *)run.p);
}

/* Each length of the remaining length field, at its edges. */
Test(publish, sizes)
{
	static const size_t sizes[] = {0, 124, 125, 16380, 16381, 2097148,
	    2097149};
	struct mqtt_delivery d = {.topic = SLICE_LIT("t"),
	    .expiry_at = MQTT_NOWHERE};
	uint8_t *payload = calloc(1, 2097149);
	struct mqtt_publish p;
	struct mqtt_frame f;
	struct buf b;
	size_t i;

	buf_init(&b);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		d.payload = slice_of(payload, sizes[i]);
		buf_clear(&b);
		mqtt_delivery_add(&b, &d, 4);
		cr_assert_eq(mqtt_frame_get(buf_data(&b), buf_len(&b),
		    SIZE_MAX, &f), (ssize_t)buf_len(&b));
		cr_assert_eq(mqtt_publish_get(&f, 4, &p), MQTT_SUCCESS);
		cr_assert_eq(p.payload.len, sizes[i]);
	}
	d.payload.len = MQTT_VARINT_MAX - 3;
	cr_assert_eq(mqtt_delivery_size(&d, 4), MQTT_VARINT_MAX + 5ul);
	d.payload.len++;
	cr_assert_eq(mqtt_delivery_size(&d, 4), 0);
	buf_fini(&b);
	free(payload);
}
