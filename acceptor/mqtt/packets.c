#include "acceptor/mqtt/packets.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/inbound.h"
#include "acceptor/mqtt/login.h"
#include "acceptor/mqtt/outbound.h"
#include "acceptor/mqtt/subscribe.h"

typedef void packet_handler(struct client *, const struct mqtt_frame *);

/* The peer broke the protocol. */
static void
refuse(struct client *c, enum mqtt_reason reason)
{
	mqtt.stats.protocol_errors_total++;
	client_fail(c, reason);
}

static void
on_connect(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_connect connect;
	enum mqtt_reason reason;

	/* [MQTT-3.1.0-2] */
	if (c->state != CLIENT_NEW) {
		refuse(c, MQTT_PROTOCOL_ERROR);
		return;
	}
	reason = mqtt_connect_get(f, &connect);
	if (reason == MQTT_SUCCESS) {
		login(c, &connect);
		return;
	}
	/* Before version 5 only a version that we lack gets an answer. */
	if (connect.version >= MQTT_V5 ||
	    reason == MQTT_UNSUPPORTED_PROTOCOL_VERSION)
		c->version = connect.version;
	refuse(c, reason);
}

static void
on_publish(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_publish publish;
	enum mqtt_reason reason = mqtt_publish_get(f, c->version, &publish);

	if (reason == MQTT_SUCCESS)
		reason = inbound_publish(c, &publish);
	if (reason != MQTT_SUCCESS)
		refuse(c, reason);
}

static void
on_ack(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_ack ack;
	enum mqtt_reason reason = mqtt_ack_get(f, c->version, &ack);

	if (reason != MQTT_SUCCESS) {
		refuse(c, reason);
		return;
	}
	if (f->type == MQTT_PUBACK)
		outbound_puback(c, ack.id);
	else if (f->type == MQTT_PUBREC)
		outbound_pubrec(c, ack.id, ack.reason);
	else if (f->type == MQTT_PUBCOMP)
		outbound_pubcomp(c, ack.id);
	else
		inbound_pubrel(c, ack.id);
}

static void
on_subscribe(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_subscribe s;
	enum mqtt_reason reason = mqtt_subscribe_get(f, c->version, &s);

	if (reason == MQTT_SUCCESS)
		subscribe(c, &s);
	else
		refuse(c, reason);
}

static void
on_unsubscribe(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_subscribe s;
	enum mqtt_reason reason = mqtt_unsubscribe_get(f, c->version, &s);

	if (reason == MQTT_SUCCESS)
		unsubscribe(c, &s);
	else
		refuse(c, reason);
}

static void
on_pingreq(struct client *c, const struct mqtt_frame *f)
{
	enum mqtt_reason reason = mqtt_ping_get(f);

	if (reason != MQTT_SUCCESS) {
		refuse(c, reason);
		return;
	}
	mqtt_ping_add(client_out(c), MQTT_PINGRESP);
	client_added(c);
}

static void
on_disconnect(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_disconnect d;
	enum mqtt_reason reason = mqtt_disconnect_get(f, c->version, &d);

	if (reason == MQTT_SUCCESS)
		reason = logout(c, &d);
	if (reason != MQTT_SUCCESS)
		refuse(c, reason);
}

static void
on_auth(struct client *c, const struct mqtt_frame *f)
{
	struct mqtt_disconnect auth;
	enum mqtt_reason reason = mqtt_auth_get(f, c->version, &auth);

	if (reason == MQTT_SUCCESS)
		reason = admit_auth(c, &auth);
	if (reason != MQTT_SUCCESS)
		refuse(c, reason);
}

/* What only a server sends is a protocol error. */
static packet_handler *const handlers[16] = {
    [MQTT_CONNECT] = on_connect,
    [MQTT_PUBLISH] = on_publish,
    [MQTT_PUBACK] = on_ack,
    [MQTT_PUBREC] = on_ack,
    [MQTT_PUBREL] = on_ack,
    [MQTT_PUBCOMP] = on_ack,
    [MQTT_SUBSCRIBE] = on_subscribe,
    [MQTT_UNSUBSCRIBE] = on_unsubscribe,
    [MQTT_PINGREQ] = on_pingreq,
    [MQTT_DISCONNECT] = on_disconnect,
    [MQTT_AUTH] = on_auth,
};

void
packet_handle(struct client *c, const struct mqtt_frame *frame)
{
	packet_handler *handler = handlers[frame->type];

	/* [MQTT-3.1.0-1]: first of all a CONNECT; [MQTT-3.1.2-30] */
	if (handler == NULL ||
	    (c->state == CLIENT_NEW && frame->type != MQTT_CONNECT) ||
	    (c->state == CLIENT_ASKING && frame->type != MQTT_AUTH &&
	    frame->type != MQTT_DISCONNECT))
		refuse(c, MQTT_PROTOCOL_ERROR);
	else
		handler(c, frame);
}
