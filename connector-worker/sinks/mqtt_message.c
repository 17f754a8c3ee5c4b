#include "connector-worker/sinks/mqtt_message.h"

#include "base/clock.h"
#include "base/log_layout.h"

#include <mqtt_protocol.h>
#include <stdlib.h>
#include <strings.h>

bool
mqtt_server_parse(const char *text, struct mqtt_server *s)
{
	const char *p, *colon;
	char *end;
	size_t n;
	long port;

	memset(s, 0, sizeof(*s));
	if (strncasecmp(text, "mqtts://", 8) == 0)
		s->is_tls = true;
	else if (strncasecmp(text, "mqtt://", 7) != 0)
		return false;
	p = text + (s->is_tls ? 8 : 7);
	if (*p == '[') {
		const char *close = strchr(++p, ']');

		if (close == NULL || (close[1] != ':' && close[1] != '\0'))
			return false;
		n = (size_t)(close - p);
		colon = close[1] == ':' ? close + 1 : NULL;
	} else {
		colon = strchr(p, ':');
		n = colon == NULL ? strlen(p) : (size_t)(colon - p);
	}
	if (n == 0 || n >= sizeof(s->host) || memchr(p, '/', n) != NULL ||
	    memchr(p, '@', n) != NULL)
		return false;
	memcpy(s->host, p, n);
	s->port = s->is_tls ? 8883 : 1883;
	if (colon == NULL)
		return true;
	port = strtol(colon + 1, &end, 10);
	s->port = (uint16_t)port;
	return colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && port > 0 &&
	    port <= 65535;
}

/* ---- properties ---------------------------------------------------------- */

/* A NUL within is no text of MQTT, and the library would cut there. */
static bool
is_text(struct slice s)
{
	return s.len <= UINT16_MAX &&
	    (s.len == 0 || memchr(s.p, '\0', s.len) == NULL);
}

static bool
add_text(mosquitto_property **props, int id, struct slice s,
    struct buf *scratch)
{
	buf_clear(scratch);
	buf_add_slice(scratch, s);
	return is_text(s) &&
	    mosquitto_property_add_string(props, id, buf_cstr(scratch)) ==
	    MOSQ_ERR_SUCCESS;
}

static bool
add_pair(mosquitto_property **props, struct slice name, struct slice value,
    struct buf *scratch)
{
	const char *text;

	if (!is_text(name) || !is_text(value))
		return false;
	buf_clear(scratch);
	buf_add_slice(scratch, name);
	buf_add_u8(scratch, '\0');
	buf_add_slice(scratch, value);
	text = buf_cstr(scratch);
	return mosquitto_property_add_string_pair(props,
		   MQTT_PROP_USER_PROPERTY, text, text + name.len + 1) ==
	    MOSQ_ERR_SUCCESS;
}

/* What is left of the time that the publisher gave it, in seconds. */
static bool
add_expiry(mosquitto_property **props, const struct record *rec)
{
	uint64_t now = clock_wall_ms(), left;

	if (rec->expires_ms == 0)
		return true;
	left = rec->expires_ms > now ? (rec->expires_ms - now + 999) / 1000 : 1;
	return mosquitto_property_add_int32(props,
		   MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
		   left > UINT32_MAX ? UINT32_MAX : (uint32_t)left) ==
	    MOSQ_ERR_SUCCESS;
}

static bool
add_id(mosquitto_property **props, const struct record *rec,
    struct buf *scratch)
{
	char id[LOG_ID_MAX];
	size_t n = log_id_put(&(struct log_id){.stream = rec->stream,
				  .incarnation = rec->incarnation,
				  .partition = rec->partition,
				  .offset = rec->offset},
	    id);

	return add_pair(
	    props, SLICE_LIT("bulkhead-id"), slice_of(id, n), scratch);
}

bool
mqtt_props_make(const struct record *rec, struct buf *scratch,
    mosquitto_property **props)
{
	*props = NULL;
	if (rec->format == 1 &&
	    mosquitto_property_add_byte(props,
		MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1) != MOSQ_ERR_SUCCESS)
		return false;
	if (rec->content_type.len > 0 &&
	    !add_text(
		props, MQTT_PROP_CONTENT_TYPE, rec->content_type, scratch))
		return false;
	if (rec->response_topic.len > 0 &&
	    !add_text(props, MQTT_PROP_RESPONSE_TOPIC, rec->response_topic,
		scratch))
		return false;
	if (rec->correlation_data.len > UINT16_MAX ||
	    (rec->correlation_data.len > 0 &&
		mosquitto_property_add_binary(props,
		    MQTT_PROP_CORRELATION_DATA, rec->correlation_data.p,
		    (uint16_t)rec->correlation_data.len) != MOSQ_ERR_SUCCESS))
		return false;
	for (size_t i = 0; i < rec->headers_len; i++)
		if (!add_pair(props, rec->headers[i].name,
			rec->headers[i].value, scratch))
			return false;
	return add_expiry(props, rec) && add_id(props, rec, scratch);
}

/* ---- outcomes ------------------------------------------------------------ */

enum sink_outcome
mqtt_reason_outcome(int reason)
{
	switch (reason) {
	case MQTT_RC_TOPIC_NAME_INVALID:
	case MQTT_RC_PAYLOAD_FORMAT_INVALID:
	case MQTT_RC_PACKET_TOO_LARGE:
	case MQTT_RC_RETAIN_NOT_SUPPORTED:
	case MQTT_RC_QOS_NOT_SUPPORTED:
	/* Of this topic: who may not publish at all cannot connect. */
	case MQTT_RC_NOT_AUTHORIZED:
		return SINK_REFUSED;
	case MQTT_RC_QUOTA_EXCEEDED:
	case MQTT_RC_SERVER_BUSY:
	case MQTT_RC_SERVER_UNAVAILABLE:
		return SINK_UNAVAILABLE;
	default:
		return reason < 0x80 ? SINK_DELIVERED : SINK_RETRYABLE;
	}
}

enum sink_outcome
mqtt_publish_outcome(int error)
{
	switch (error) {
	case MOSQ_ERR_INVAL:
	case MOSQ_ERR_PAYLOAD_SIZE:
	case MOSQ_ERR_MALFORMED_UTF8:
	case MOSQ_ERR_OVERSIZE_PACKET:
	case MOSQ_ERR_QOS_NOT_SUPPORTED:
	case MOSQ_ERR_RETAIN_NOT_SUPPORTED:
		return SINK_REFUSED;
	default:
		return SINK_UNAVAILABLE;
	}
}
