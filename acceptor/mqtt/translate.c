#include "acceptor/mqtt/translate.h"

#include "base/props.h"
#include "proto/mqtt/publish.h"

void
translate_in(struct slice mqtt, struct buf *out)
{
	struct mqtt_property p;
	uint8_t format;

	while (mqtt_property_next(&mqtt, &p)) {
		switch (p.id) {
		case MQTT_PROP_PAYLOAD_FORMAT_INDICATOR:
			format = (uint8_t)p.number;
			props_add(out, PROP_FORMAT, slice_of(&format, 1));
			break;
		case MQTT_PROP_CONTENT_TYPE:
			props_add(out, PROP_CONTENT_TYPE, p.text);
			break;
		case MQTT_PROP_RESPONSE_TOPIC:
			props_add(out, PROP_RESPONSE_TOPIC, p.text);
			break;
		case MQTT_PROP_CORRELATION_DATA:
			props_add(out, PROP_CORRELATION, p.text);
			break;
		case MQTT_PROP_USER_PROPERTY:
			props_add_header(out, p.text, p.value);
			break;
		default:
			/* of the connection, or the expiry */
			break;
		}
	}
}

static bool
text_add(struct buf *out, uint8_t id, struct slice text)
{
	if (text.len > UINT16_MAX)
		return false;
	buf_add_u8(out, id);
	wire_add_bytes(out, text);
	return true;
}

static bool
prop_add(struct buf *out, const struct prop *p)
{
	switch (p->tag) {
	case PROP_FORMAT:
		if (p->value.len != 1 || p->value.p[0] > 1)
			return false;
		buf_add_u8(out, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR);
		buf_add_u8(out, p->value.p[0]);
		return true;
	case PROP_CONTENT_TYPE:
		return text_add(out, MQTT_PROP_CONTENT_TYPE, p->value);
	case PROP_RESPONSE_TOPIC:
		return text_add(out, MQTT_PROP_RESPONSE_TOPIC, p->value);
	case PROP_CORRELATION:
		return text_add(out, MQTT_PROP_CORRELATION_DATA, p->value);
	case PROP_HEADER:
		if (p->value.len > UINT16_MAX)
			return false;
		mqtt_user_add(out, p->name, p->value);
		return true;
	}
	return false;
}

bool
translate_out(struct slice props, bool wants_expiry, struct buf *out,
    uint32_t *expiry_at)
{
	struct prop p;
	int more;

	*expiry_at = MQTT_NOWHERE;
	if (wants_expiry) {
		buf_add_u8(out, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL);
		*expiry_at = (uint32_t)buf_len(out);
		buf_add_be32(out, 0);
	}
	while ((more = props_next(&props, &p)) > 0) {
		if (!prop_add(out, &p))
			return false;
	}
	return more == 0;
}
