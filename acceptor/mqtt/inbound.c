#include "acceptor/mqtt/inbound.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/outbound.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/translate.h"
#include "base/mem.h"
#include "base/props.h"

#include <stdlib.h>

static struct {
	struct buf travel;	/* properties without those of the hop */
	struct buf packed;	/* properties for the router */
	struct buf topic;	/* what an alias stands for */
} inbound;

/* ---- topic aliases (MQTT 5, 3.3.2.3.4) ---------------------------------- */

void
alias_set(struct alias *a, struct slice topic)
{
	a->topic = mem_realloc(a->topic, topic.len);
	memcpy(a->topic, topic.p, topic.len);
	a->len = topic.len;
}

/* Remembers or looks up; p->topic is then the topic it stands for. */
static enum mqtt_reason
alias_resolve(struct client *c, struct mqtt_publish *p)
{
	struct flow *f = client_flow(c);
	struct alias *a;

	/* [MQTT-3.3.2-9] */
	if (p->alias > mqtt.limits.topic_alias_maximum)
		return MQTT_TOPIC_ALIAS_INVALID;
	if (f->aliases == NULL)
		f->aliases = mem_zalloc(mqtt.limits.topic_alias_maximum,
		    sizeof(*f->aliases));
	a = &f->aliases[p->alias - 1];
	if (p->topic.len > 0) {
		alias_set(a, p->topic);
		return MQTT_SUCCESS;
	}
	if (a->topic == NULL)
		return MQTT_PROTOCOL_ERROR;
	/* A copy: the client may end while others get the message. */
	buf_clear(&inbound.topic);
	buf_add(&inbound.topic, a->topic, a->len);
	p->topic = buf_slice(&inbound.topic);
	return MQTT_SUCCESS;
}

/* ---- acknowledgements --------------------------------------------------- */

static size_t
acks_count(const struct flow *f)
{
	return buf_len(&f->acks) / sizeof(struct ack);
}

static struct ack *
ack_at(const struct flow *f, size_t i)
{
	return (struct ack *)(void *)(f->acks.p + f->acks.off) + i;
}

static void
ack_send(struct client *c, uint8_t type, uint16_t id, uint8_t reason)
{
	struct buf *out = client_out(c);
	uint8_t *p = buf_reserve(out, MQTT_ACK_MAX);

	buf_commit(out, (size_t)(mqtt_ack_put(p, c->version,
	    (enum mqtt_packet)type, id, reason) - p));
	client_added(c);
}

/* number 0: it may leave as soon as those before it have. */
static void
ack_add(struct client *c, uint8_t type, uint16_t id, uint8_t reason,
    uint64_t number)
{
	struct ack ack = {number, id, type, reason};
	struct flow *f = c->flow;

	if (number == 0 && (f == NULL || buf_len(&f->acks) == 0)) {
		ack_send(c, type, id, reason);
		return;
	}
	f = client_flow(c);
	buf_add(&f->acks, &ack, sizeof(ack));
	f->pubacks += type == MQTT_PUBACK;
	if (acks_count(f) >= mqtt.limits.max_inflight)
		client_stop(c, STOP_INFLIGHT);
}

void
inbound_taken(struct client *c, uint64_t number)
{
	struct flow *f = c->flow;
	struct ack ack;

	if (f == NULL)
		return;
	while (buf_len(&f->acks) > 0) {
		ack = *ack_at(f, 0);
		if (ack.number > number)
			break;
		buf_consume(&f->acks, sizeof(ack));
		f->pubacks -= ack.type == MQTT_PUBACK;
		ack_send(c, ack.type, ack.id, ack.reason);
		if (!client_is_on(c))
			return;
	}
	if (buf_len(&f->acks) == 0)
		buf_trim(&f->acks, 4096);
	if (acks_count(f) <= mqtt.limits.max_inflight / 2)
		client_resume(c, STOP_INFLIGHT);
}

bool
inbound_refused(struct client *c, uint64_t number, uint8_t reason,
    uint16_t *id)
{
	struct flow *f = c->flow;
	struct ack *ack;
	size_t i, n = f == NULL ? 0 : acks_count(f);

	for (i = 0; i < n; i++) {
		ack = ack_at(f, i);
		if (ack->number != number)
			continue;
		*id = ack->id;
		if (c->version < MQTT_V5) {
			ack->number = ACK_REFUSED;
			return true;
		}
		ack->reason = reason;
		/* A refusal ends the exchange (MQTT 5, 4.3.3). */
		if (ack->type == MQTT_PUBREC)
			id_set_remove(&f->received, ack->id);
		return false;
	}
	return false;
}

void
inbound_renumber(struct client *c, uint16_t id, uint64_t number)
{
	struct flow *f = c->flow;
	size_t i, n = f == NULL ? 0 : acks_count(f);

	for (i = 0; i < n; i++) {
		if (ack_at(f, i)->number == ACK_REFUSED &&
		    ack_at(f, i)->id == id) {
			ack_at(f, i)->number = number;
			return;
		}
	}
}

/* ---- publishes ---------------------------------------------------------- */

/* Messages of the client that are not answered to their end. */
static size_t
unanswered(const struct flow *f)
{
	return f->pubacks + f->received.count + f->releasing.count;
}

static bool
is_repeated(struct client *c, const struct mqtt_publish *p)
{
	if (p->qos != 2)
		return false;
	return !id_set_add(&client_flow(c)->received, p->id);
}

static uint64_t
hand_over(struct client *c, const struct mqtt_publish *p,
    struct slice properties, uint64_t expires_ms)
{
	bool is_tracked = p->qos == 2 && c->session != 0;
	struct ipc_publish_item item = {
	    .topic = p->topic,
	    .payload = p->payload,
	    .flags = (uint8_t)(p->qos | (p->retain ? MSG_RETAIN : 0)),
	    .timestamp_ms = clients_now_ms(),
	    .expires_ms = expires_ms,
	    .client_id = client_id(c),
	    .username = client_username(c),
	    .protocol = SLICE_LIT("mqtt"),
	    .session = is_tracked ? c->session : 0,
	    .mid = is_tracked ? p->id : 0,
	};

	if (properties.len > 0) {
		buf_clear(&inbound.packed);
		translate_in(properties, &inbound.packed);
		item.props = buf_slice(&inbound.packed);
	}
	return router_publish(c, &item, p->qos > 0);
}

/* Wall clock, 0: never. */
static uint64_t
expires_ms(const struct mqtt_publish *p)
{
	if (p->expiry_at == MQTT_NOWHERE)
		return 0;
	return clients_now_ms() + p->expiry * 1000ull;
}

/*
 * Is it for the router? What is retained is, what others want, what a
 * persistent session sends at QoS 2 (the router knows what it had), and
 * everything while we do not know what others want.
 */
static bool
is_for_router(const struct client *c, const struct mqtt_publish *p,
    const struct route *route)
{
	return route->is_wanted || p->retain || wanted_is_stale(&mqtt.wanted) ||
	    (p->qos == 2 && c->session != 0);
}

static void
answer(struct client *c, const struct mqtt_publish *p, uint64_t number,
    bool is_heard)
{
	uint8_t reason = is_heard || number != 0 ? MQTT_SUCCESS :
	    MQTT_NO_MATCHING_SUBSCRIBERS;

	if (p->qos == 1)
		ack_add(c, MQTT_PUBACK, p->id, reason, number);
	else if (p->qos == 2)
		ack_add(c, MQTT_PUBREC, p->id, reason, number);
}

/*
 * A repetition at QoS 2 is not delivered again. Of a persistent session the
 * first one may wait for its commit still: the router answers for it.
 */
static void
answer_again(struct client *c, const struct mqtt_publish *p)
{
	uint64_t number = 0;
	uint32_t at;

	if (c->session != 0)
		number = hand_over(c, p, mqtt_publish_travel(p,
		    &inbound.travel, &at), expires_ms(p));
	ack_add(c, MQTT_PUBREC, p->id, MQTT_SUCCESS, number);
}

static void
distribute(struct client *c, const struct mqtt_publish *p,
    const struct route *route)
{
	struct message m = {.topic = p->topic, .payload = p->payload,
	    .qos = p->qos, .retain = p->retain, .publisher = c,
	    .expiry = p->expiry};
	bool is_heard = route->count > 0 || route->group_count > 0;
	uint64_t number = 0;

	m.properties = mqtt_publish_travel(p, &inbound.travel, &m.expiry_at);
	m.expires_ms = expires_ms(p);
	/* The route is not looked at any more once messages were sent. */
	if (is_for_router(c, p, route))
		number = hand_over(c, p, m.properties, m.expires_ms);
	if (is_heard)
		outbound_fan(route, &m);
	if (client_is_on(c))
		answer(c, p, number, is_heard);
}

/*
 * Not allowed: told where the version can, else answered as if it had been
 * taken (3.1.1, 3.3.5.2).
 */
static void
deny(struct client *c, const struct mqtt_publish *p)
{
	uint8_t reason = c->version >= MQTT_V5 ? MQTT_NOT_AUTHORIZED :
	    MQTT_SUCCESS;

	mqtt.stats.publishes_denied_total++;
	if (p->qos == 1)
		ack_add(c, MQTT_PUBACK, p->id, reason, 0);
	if (p->qos != 2)
		return;
	if (c->version < MQTT_V5)
		id_set_add(&client_flow(c)->received, p->id);
	ack_add(c, MQTT_PUBREC, p->id, reason, 0);
}

enum mqtt_reason
inbound_publish(struct client *c, struct mqtt_publish *p)
{
	const struct route *route;
	enum mqtt_reason reason;

	mqtt.stats.messages_received_total++;
	/* [MQTT-3.3.4-6] */
	if (p->has_subscription_identifier)
		return MQTT_PROTOCOL_ERROR;
	if (p->alias != 0) {
		reason = alias_resolve(c, p);
		if (reason != MQTT_SUCCESS)
			return reason;
	}
	route = route_find(&mqtt.routes, p->topic);
	if (route == NULL)
		return MQTT_TOPIC_NAME_INVALID;
	/* [MQTT-3.3.4-9]; version 3 knows no such bound, and is stopped */
	if (p->qos > 0 && c->version >= MQTT_V5 && c->flow != NULL &&
	    unanswered(c->flow) >= mqtt.limits.max_inflight &&
	    !(p->qos == 2 && id_set_has(&c->flow->received, p->id)))
		return MQTT_RECEIVE_MAXIMUM_EXCEEDED;
	if (!admit_may_publish(c, route->serial, p->topic))
		deny(c, p);
	else if (is_repeated(c, p))
		answer_again(c, p);
	else
		distribute(c, p, route);
	return MQTT_SUCCESS;
}

void
inbound_pubrel(struct client *c, uint16_t id)
{
	struct flow *f = client_flow(c);
	bool was_there = id_set_remove(&f->received, id);

	if (c->session != 0) {
		id_set_add(&f->releasing, id);
		router_settle(c->session, id, SETTLE_RELEASE);
		return;
	}
	ack_send(c, MQTT_PUBCOMP, id, was_there ? MQTT_SUCCESS :
	    MQTT_PACKET_IDENTIFIER_NOT_FOUND);
}

void
inbound_released(struct client *c, uint16_t id)
{
	if (c->flow != NULL && id_set_remove(&c->flow->releasing, id))
		ack_send(c, MQTT_PUBCOMP, id, MQTT_SUCCESS);
}
