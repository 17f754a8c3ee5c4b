#include "acceptor/mqtt/login.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/subscribe.h"
#include "acceptor/mqtt/translate.h"
#include "acceptor/mqtt/wheel.h"
#include "acceptor/transport.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/topic.h"

#include <stdio.h>
#include <stdlib.h>

#define NEVER UINT32_MAX

static uint8_t *
bytes_dup(struct slice s)
{
	return (uint8_t *)slice_dup(s);
}

/* Is there anything in a CONNECT that this server does not take? */
static enum mqtt_reason
connect_check(const struct mqtt_connect *m)
{
	/* 3.1.1 [MQTT-3.1.3-8]; 3.1 wants at least one character */
	if (m->client_id.len == 0 && (m->version == MQTT_V31 ||
	    (m->version == MQTT_V311 && !m->clean_start)))
		return MQTT_CLIENT_IDENTIFIER_NOT_VALID;
	if (m->has_will && topic_levels(m->will_topic) > TOPIC_LEVELS_MAX)
		return MQTT_TOPIC_NAME_INVALID;
	return MQTT_SUCCESS;
}

/* What a certificate or a key proves goes before what a CONNECT says. */
static bool
username_prove(struct client *c)
{
	struct buf name;
	bool is_proved;

	if (c->transport == NULL)
		return false;
	buf_init(&name);
	is_proved = transport_identity(c->transport, &name);
	if (is_proved) {
		c->username = bytes_dup(buf_slice(&name));
		c->username_len = (uint16_t)buf_len(&name);
	}
	buf_fini(&name);
	return is_proved;
}

/* So many in each second of the clock. */
static bool
is_too_fast(void)
{
	static uint32_t second, count;

	if (mqtt.limits.connect_rate == 0)
		return false;
	if (second != clients_now_s()) {
		second = clients_now_s();
		count = 0;
	}
	return count++ >= mqtt.limits.connect_rate;
}

static void
identity_set(struct client *c, const struct mqtt_connect *m)
{
	char assigned[32];
	struct slice id = m->client_id;

	if (id.len == 0) {
		snprintf(assigned, sizeof(assigned), "auto-%016llx",
		    (unsigned long long)random_u64());
		id = slice_str(assigned);
		c->is_id_assigned = true;
	}
	c->id = bytes_dup(id);
	c->id_len = (uint16_t)id.len;
	c->has_identity = username_prove(c);
	if (c->has_identity || slice_is_null(m->user_name))
		return;
	c->username = bytes_dup(m->user_name);
	c->username_len = (uint16_t)m->user_name.len;
}

static struct slice
will_part(struct buf *b, size_t *at, size_t len)
{
	struct slice part = slice_of(buf_data(b) + *at, len);

	*at += len;
	return part;
}

static void
will_set(struct client *c, const struct mqtt_connect *m)
{
	const struct mqtt_properties *p = &m->will_properties;
	struct will *w;
	size_t at = 0, props;

	if (!m->has_will)
		return;
	w = mem_zalloc(1, sizeof(*w));
	buf_add_slice(&w->bytes, m->will_topic);
	buf_add_slice(&w->bytes, m->will_payload);
	translate_in(p->raw, &w->bytes);
	props = buf_len(&w->bytes) - m->will_topic.len - m->will_payload.len;
	w->topic = will_part(&w->bytes, &at, m->will_topic.len);
	w->payload = will_part(&w->bytes, &at, m->will_payload.len);
	w->props = will_part(&w->bytes, &at, props);
	w->flags = (uint8_t)(m->will_qos | MSG_WILL |
	    (m->will_retain ? MSG_RETAIN : 0));
	w->delay_s = p->will_delay_interval;
	w->expiry_s = mqtt_has(p, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL) ?
	    p->message_expiry_interval : NEVER;
	c->will = w;
	c->wants_will = true;
}

/* Version 3 says with one bit what version 5 says with two values. */
static uint32_t
expiry_wanted(const struct mqtt_connect *m)
{
	if (m->version >= MQTT_V5)
		return m->properties.session_expiry_interval;
	return m->clean_start ? 0 : NEVER;
}

static void
terms_set(struct client *c, const struct mqtt_connect *m)
{
	const struct mqtt_properties *p = &m->properties;
	uint16_t most = mqtt.limits.keep_alive_max_s;

	c->clean_start = m->clean_start;
	c->expiry_s = expiry_wanted(m);
	if (c->expiry_s > mqtt.limits.session_expiry_max_s)
		c->expiry_s = mqtt.limits.session_expiry_max_s;
	if (mqtt_has(p, MQTT_PROP_RECEIVE_MAXIMUM))
		c->receive_max = (uint16_t)p->receive_maximum;
	if (mqtt_has(p, MQTT_PROP_MAXIMUM_PACKET_SIZE))
		c->max_packet = p->maximum_packet_size;
	if (mqtt_has(p, MQTT_PROP_TOPIC_ALIAS_MAXIMUM))
		c->alias_max = (uint16_t)(p->topic_alias_maximum <
		    mqtt.limits.topic_aliases_sent ? p->topic_alias_maximum :
		    mqtt.limits.topic_aliases_sent);
	c->keep_alive = m->keep_alive;
	/* Version 3 has no way to be told of another. */
	if (most != 0 && m->version >= MQTT_V5 &&
	    (c->keep_alive == 0 || c->keep_alive > most))
		c->keep_alive = most;
}

void
login(struct client *c, const struct mqtt_connect *m)
{
	enum mqtt_reason reason = is_too_fast() ?
	    MQTT_CONNECTION_RATE_EXCEEDED : connect_check(m);

	c->version = m->version;
	if (reason != MQTT_SUCCESS) {
		client_fail(c, reason);
		return;
	}
	identity_set(c, m);
	will_set(c, m);
	terms_set(c, m);
	admit(c, m);
}

void
login_admitted(struct client *c)
{
	c->state = CLIENT_WAITING;
	wheel_remove(c);
	client_stop(c, STOP_CONNECT);
	router_connect(c);
}

static const char *
protocol_name(int version)
{
	return version == MQTT_V31 ? "mqtt3.1" : version == MQTT_V311 ?
	    "mqtt3.1.1" : "mqtt5";
}

void
login_describe(const struct client *c, char text[LOGIN_ADDRESS_LEN],
    struct ipc_connect *m)
{
	uint16_t most = mqtt.limits.max_inflight;

	client_address(c, text, LOGIN_ADDRESS_LEN);
	*m = (struct ipc_connect){
	    .conn = c->conn,
	    .client_id = client_id(c),
	    .username = client_username(c),
	    .protocol = slice_str(protocol_name(c->version)),
	    .address = slice_str(text),
	    .keepalive_s = c->keep_alive,
	    .clean_start = c->clean_start,
	    .expiry_s = c->expiry_s,
	    .receive_max = c->receive_max < most ? c->receive_max : most,
	};
	if (c->will == NULL)
		return;
	m->has_will = 1;
	m->will_flags = c->will->flags;
	m->will_topic = c->will->topic;
	m->will_payload = c->will->payload;
	m->will_props = c->will->props;
	m->will_delay_s = c->will->delay_s;
	m->will_expiry_s = c->will->expiry_s;
}

/* What the server grants otherwise than asked, or than the default. */
static void
connack_properties(const struct client *c, struct mqtt_properties *p)
{
	mqtt_set_session_expiry_interval(p, c->expiry_s);
	mqtt_set_receive_maximum(p, mqtt.limits.max_inflight);
	mqtt_set_maximum_packet_size(p,
	    (uint32_t)mqtt.limits.max_packet_size);
	mqtt_set_topic_alias_maximum(p, mqtt.limits.topic_alias_maximum);
	admit_connack(c, p);
	if (!mqtt.has_shared)
		mqtt_set_shared_subscription_available(p, 0);
	if (c->is_id_assigned)
		mqtt_set_assigned_client_identifier(p, client_id(c));
	if (mqtt.limits.keep_alive_max_s != 0)
		mqtt_set_server_keep_alive(p, c->keep_alive);
}

static void
connack_send(struct client *c, bool is_present)
{
	struct mqtt_connack m = {.session_present = is_present,
	    .reason = MQTT_SUCCESS};

	if (c->version >= MQTT_V5)
		connack_properties(c, &m.properties);
	mqtt_connack_add(client_out(c), c->version, &m);
	client_added(c);
}

/* What this session sent at QoS 2 before, and is not to be heard twice. */
static void
received_set(struct client *c, struct slice ids)
{
	uint16_t id;

	while (wire_get_u16(&ids, &id)) {
		if (id != 0)
			id_set_add(&client_flow(c)->received, id);
	}
}

void
login_connected(struct client *c, const struct ipc_connected *m)
{
	if (c->state != CLIENT_WAITING)
		return;
	if (m->reason != MQTT_SUCCESS) {
		client_fail(c, (enum mqtt_reason)m->reason);
		return;
	}
	c->epoch = m->epoch;
	c->session = m->session;
	c->state = CLIENT_ON;
	if (c->keep_alive != 0)
		wheel_add(c, clients_now_s() + c->keep_alive);
	received_set(c, m->received);
	subscriptions_restore(c, m->subs);
	connack_send(c, m->present != 0);
	client_resume(c, STOP_CONNECT);
}

enum mqtt_reason
logout(struct client *c, const struct mqtt_disconnect *d)
{
	uint32_t expiry = d->properties.session_expiry_interval;

	if (mqtt_has(&d->properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL)) {
		/* 3.14.2.2.2: what ends with the connection stays so */
		if (c->expiry_s == 0 && expiry != 0)
			return MQTT_PROTOCOL_ERROR;
		c->has_expiry = true;
		c->expiry_s = expiry < mqtt.limits.session_expiry_max_s ?
		    expiry : mqtt.limits.session_expiry_max_s;
	}
	/* [MQTT-3.14.4-3] */
	if (d->reason != MQTT_DISCONNECT_WITH_WILL)
		c->wants_will = false;
	client_close(c, MQTT_SUCCESS);
	return MQTT_SUCCESS;
}
