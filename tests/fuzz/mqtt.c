/* links: proto_mqtt */
/*
 * The first byte chooses the version; the rest is a stream of packets, each
 * decoded as both sides would. What decodes is written again and must read
 * as the same.
 */
#include "proto/mqtt/publish.h"
#include "proto/mqtt/topic.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool is_true)
{
	if (!is_true)
		abort();
}

static void
publish_run(const struct mqtt_frame *f, int version)
{
	struct mqtt_publish p, again;
	struct mqtt_delivery d = {0};
	struct mqtt_frame frame;
	struct buf b, scratch;
	uint32_t at;

	if (mqtt_publish_get(f, version, &p) != MQTT_SUCCESS)
		return;
	buf_init(&b);
	buf_init(&scratch);
	(void)mqtt_topic_check(p.topic);
	d.properties = mqtt_publish_travel(&p, &scratch, &at);
	d.topic = p.topic;
	d.payload = p.payload;
	d.expiry_at = at;
	d.expiry = p.expiry;
	d.qos = p.qos;
	d.id = p.id;
	d.alias = p.alias;
	mqtt_delivery_add(&b, &d, version);
	expect(mqtt_frame_get(buf_data(&b), buf_len(&b), SIZE_MAX, &frame) ==
	    (ssize_t)buf_len(&b));
	expect(mqtt_publish_get(&frame, version, &again) == MQTT_SUCCESS);
	expect(slice_eq(again.topic, p.topic));
	expect(slice_eq(again.payload, p.payload));
	expect(again.alias == p.alias && again.id == p.id);
	expect(p.expiry_at == MQTT_NOWHERE || again.expiry == p.expiry);
	buf_fini(&b);
	buf_fini(&scratch);
}

static void
connect_run(const struct mqtt_frame *f)
{
	struct mqtt_connect c, again;
	struct mqtt_frame frame;
	struct buf b;

	if (mqtt_connect_get(f, &c) != MQTT_SUCCESS)
		return;
	/* What raw holds is in the fields too, but for user properties. */
	c.properties.set = c.will_properties.set = 0;
	buf_init(&b);
	mqtt_connect_add(&b, &c);
	expect(mqtt_frame_get(buf_data(&b), buf_len(&b), SIZE_MAX, &frame) ==
	    (ssize_t)buf_len(&b));
	expect(mqtt_connect_get(&frame, &again) == MQTT_SUCCESS);
	expect(slice_eq(again.client_id, c.client_id));
	expect(slice_eq(again.will_topic, c.will_topic));
	expect(slice_eq(again.password, c.password));
	buf_fini(&b);
}

static void
subscribe_run(const struct mqtt_frame *f, int version)
{
	struct mqtt_subscribe s;
	struct mqtt_filter filter;
	struct slice rest, group;

	if (mqtt_subscribe_get(f, version, &s) != MQTT_SUCCESS)
		return;
	for (rest = s.filters; rest.len > 0;) {
		expect(mqtt_filter_next(&rest, &filter));
		(void)mqtt_filter_share(&filter.filter, &group);
		expect(filter.filter.len > 0 && filter.qos < 3);
	}
}

static void
others_run(const struct mqtt_frame *f, int version)
{
	struct mqtt_connack connack;
	struct mqtt_ack ack;
	struct mqtt_subscribe s;
	struct mqtt_suback suback;
	struct mqtt_disconnect d;
	struct slice filter;

	switch (f->type) {
	case MQTT_CONNACK:
		(void)mqtt_connack_get(f, version, &connack);
		break;
	case MQTT_UNSUBSCRIBE:
		if (mqtt_unsubscribe_get(f, version, &s) != MQTT_SUCCESS)
			break;
		while (s.filters.len > 0)
			expect(mqtt_unfilter_next(&s.filters, &filter));
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		(void)mqtt_suback_get(f, version, &suback);
		break;
	case MQTT_DISCONNECT:
		(void)mqtt_disconnect_get(f, version, &d);
		break;
	case MQTT_AUTH:
		(void)mqtt_auth_get(f, version, &d);
		break;
	case MQTT_PINGREQ:
	case MQTT_PINGRESP:
		(void)mqtt_ping_get(f);
		break;
	default:
		(void)mqtt_ack_get(f, version, &ack);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mqtt_frame f;
	size_t at = 1;
	ssize_t n;
	int version;

	if (size == 0)
		return 0;
	version = 3 + data[0] % 3;
	while ((n = mqtt_frame_get(data + at, size - at, 1 << 20, &f)) > 0) {
		at += (size_t)n;
		if (f.type == MQTT_PUBLISH)
			publish_run(&f, version);
		else if (f.type == MQTT_CONNECT)
			connect_run(&f);
		else if (f.type == MQTT_SUBSCRIBE)
			subscribe_run(&f, version);
		else
			others_run(&f, version);
	}
	return 0;
}
