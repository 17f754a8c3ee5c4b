#include "acceptor/mqtt/outbound.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/inbound.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/shared.h"
#include "acceptor/mqtt/translate.h"
#include "base/mem.h"
#include "base/props.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * What the router sends on our asking, retained messages and a session's
 * queue, comes faster than a client reads: it may wait in larger amounts.
 */
#define REPLAY_BYTES_MAX (16u << 20)
#define IDENTIFIERS_MAX 64

/* How a message goes to one client. */
struct copy {
	const uint32_t *identifiers;
	size_t identifier_count;
	uint8_t qos;
	bool retain;
	bool dup;
};

static struct {
	struct buf properties;	/* of the message from the router */
} outbound;

/* ---- encoding ----------------------------------------------------------- */

static void
delivery_set(struct mqtt_delivery *d, const struct message *m,
    const struct copy *copy)
{
	*d = (struct mqtt_delivery){
	    .topic = m->topic,
	    .payload = m->payload,
	    .properties = m->properties,
	    .expiry_at = m->expiry_at,
	    .expiry = m->expiry,
	    .identifiers = copy->identifiers,
	    .identifier_count = copy->identifier_count,
	    .qos = copy->qos,
	    .dup = copy->dup,
	    .retain = copy->retain,
	};
}

/* The size of the packet; 0 when it is more than the client takes. */
static size_t
delivery_check(struct client *c, struct mqtt_delivery *d)
{
	size_t n = mqtt_delivery_size(d, c->version);

	if (n != 0 && n <= c->max_packet)
		return n;
	/* [MQTT-3.1.2-24], -25: as if it had been sent */
	mqtt.stats.messages_too_large_total++;
	return 0;
}

/*
 * A client that takes aliases gets the topics that it was sent lately by
 * them: a topic has one place, and pushes out who had it before.
 */
static size_t
alias_use(struct client *c, struct mqtt_delivery *d, size_t n)
{
	uint64_t hash = XXH3_64bits(d->topic.p, d->topic.len);
	struct flow *f = client_flow(c);
	struct alias *a;
	size_t with;

	if (f->sent_aliases == NULL)
		f->sent_aliases = mem_zalloc(c->alias_max, sizeof(*a));
	a = &f->sent_aliases[hash % c->alias_max];
	d->alias = (uint16_t)(hash % c->alias_max + 1);
	if (a->len == d->topic.len && a->topic != NULL &&
	    memcmp(a->topic, d->topic.p, a->len) == 0) {
		d->topic = SLICE_EMPTY;
		return mqtt_delivery_size(d, c->version);
	}
	with = mqtt_delivery_size(d, c->version);
	if (with == 0 || with > c->max_packet) {
		d->alias = 0;
		mqtt_delivery_size(d, c->version);
		return n;
	}
	alias_set(a, d->topic);
	return with;
}

static void
delivery_write(struct client *c, struct mqtt_delivery *d, size_t n)
{
	struct buf *out = client_out(c);

	if (c->alias_max > 0)
		n = alias_use(c, d, n);

	mqtt_delivery_put(buf_reserve(out, n), d, c->version);
	buf_commit(out, n);
	mqtt.stats.messages_sent_total++;
	client_added(c);
}

/* Where the expiry interval is in the packet that d makes, or 0. */
static uint32_t
expiry_in_packet(const struct mqtt_delivery *d, int version)
{
	size_t at = mqtt_delivery_id_at(d) + (d->qos > 0 ? 2 : 0);

	if (version < MQTT_V5 || d->expiry_at == MQTT_NOWHERE)
		return 0;
	return (uint32_t)(at + wire_varint_size(d->properties_len)) +
	    d->expiry_at;
}

static void
delivery_keep(struct client *c, struct parcels *to,
    const struct mqtt_delivery *d, size_t n, uint64_t expires_ms)
{
	struct parcel parcel = {
	    .size = (uint32_t)n,
	    .id_at = d->qos > 0 ? (uint32_t)mqtt_delivery_id_at(d) : 0,
	    .expiry_at = expiry_in_packet(d, c->version),
	    .qos = d->qos,
	    .expires_ms = expires_ms,
	};

	mqtt_delivery_put(parcels_add(to, &parcel), d, c->version);
}

/* ---- limits ------------------------------------------------------------- */

static size_t
queued_bytes(const struct client *c)
{
	return client_unwritten(c) +
	    (c->flow == NULL ? 0 : parcels_size(&c->flow->waiting));
}

/* The last quarter is for what must not be dropped. */
static bool
is_full_for_qos0(const struct client *c)
{
	return client_unwritten(c) >
	    client_allowance(mqtt.limits.max_queued_bytes) / 4 * 3;
}

static bool
is_full(const struct client *c, const struct parcels *waiting)
{
	return queued_bytes(c) >
	    client_allowance(mqtt.limits.max_queued_bytes) ||
	    waiting->count >= mqtt.limits.max_queued;
}

static void
overflow(struct client *c)
{
	mqtt.stats.clients_overflowed_total++;
	client_fail(c, MQTT_QUOTA_EXCEEDED);
}

/* ---- sending ------------------------------------------------------------ */

static bool
window_has_room(const struct client *c, const struct flow *f)
{
	return f->window.count < c->receive_max &&
	    window_may_add(&f->window, f->next);
}

static enum window_state
first_state(uint8_t qos)
{
	return qos == 1 ? WINDOW_PUBACK : WINDOW_PUBREC;
}

/* At QoS 1 and 2, to a clean session. */
static void
send_tracked(struct client *c, struct mqtt_delivery *d, size_t n,
    uint64_t expires_ms)
{
	struct flow *f = client_flow(c);

	if (is_full(c, &f->waiting)) {
		overflow(c);
		return;
	}
	if (f->waiting.count > 0 || !window_has_room(c, f)) {
		delivery_keep(c, &f->waiting, d, n, expires_ms);
		client_weigh(c);
		return;
	}
	d->id = window_id(f->next);
	window_add(&f->window, f->next++, first_state(d->qos));
	delivery_write(c, d, n);
}

static void
send_copy(struct client *c, const struct message *m, const struct copy *copy)
{
	struct mqtt_delivery d;
	size_t n;

	if (!client_is_on(c))
		return;
	delivery_set(&d, m, copy);
	n = delivery_check(c, &d);
	if (n == 0)
		return;
	if (copy->qos > 0)
		send_tracked(c, &d, n, m->expires_ms);
	else if (is_full_for_qos0(c))
		mqtt.stats.messages_dropped_total++;
	else
		delivery_write(c, &d, n);
}

/* A retained replay is under way: it waits for its end. */
static void
hold_copy(struct subscription *sub, const struct message *m,
    const struct copy *copy)
{
	struct client *c = sub->client;
	struct mqtt_delivery d;
	size_t n;

	delivery_set(&d, m, copy);
	n = delivery_check(c, &d);
	if (n == 0)
		return;
	if (sub->held == NULL)
		sub->held = mem_zalloc(1, sizeof(*sub->held));
	if (parcels_size(sub->held) <=
	    client_allowance(mqtt.limits.max_queued_bytes) &&
	    sub->held->count < mqtt.limits.max_queued)
		delivery_keep(c, sub->held, &d, n, m->expires_ms);
	else if (copy->qos > 0)
		overflow(c);
	else
		mqtt.stats.messages_dropped_total++;
}

/*
 * Seconds until then, as they stand in a packet: a message that is still to
 * be delivered has one left.
 */
static uint32_t
seconds_left(uint64_t expires_ms, uint64_t now_ms)
{
	uint64_t left = (expires_ms - now_ms + 999) / 1000;

	return left > UINT32_MAX ? UINT32_MAX : (uint32_t)left;
}

/* Writes a kept packet with its identifier and what is left of its time. */
static void
parcel_write(struct client *c, uint8_t *p, const struct parcel *parcel,
    uint16_t id)
{
	struct buf *out = client_out(c);

	if (parcel->id_at != 0)
		wire_put_u16(p + parcel->id_at, id);
	if (parcel->expiry_at != 0)
		wire_put_u32(p + parcel->expiry_at,
		    seconds_left(parcel->expires_ms, clients_now_ms()));
	buf_add(out, p, parcel->size);
	mqtt.stats.messages_sent_total++;
	client_added(c);
}

static bool
parcel_has_expired(const struct parcel *parcel)
{
	if (parcel->expires_ms == 0 || parcel->expires_ms > clients_now_ms())
		return false;
	mqtt.stats.messages_expired_total++;
	return true;
}

/* There may be room in the window: what waits for it goes on. */
static void
send_waiting(struct client *c)
{
	struct flow *f = c->flow;
	struct parcel parcel;
	uint8_t *p;

	while (client_is_on(c) && f->waiting.count > 0 &&
	    window_has_room(c, f)) {
		p = parcels_peek(&f->waiting, &parcel);
		if (!parcel_has_expired(&parcel)) {
			window_add(&f->window, f->next,
			    first_state(parcel.qos));
			parcel_write(c, p, &parcel, window_id(f->next++));
			if (!client_is_on(c))
				return;
		}
		parcels_remove(&f->waiting);
	}
	client_weigh(c);
}

/* ---- to subscriptions --------------------------------------------------- */

static bool
is_own(const struct subscription *sub, const struct message *m)
{
	if (m->publisher != NULL)
		return m->publisher == sub->client;
	return slice_eq(m->publisher_id, client_id(sub->client));
}

static bool
is_excluded(const struct subscription *sub, const struct message *m)
{
	return (sub->options & SUB_NO_LOCAL) != 0 && is_own(sub, m);
}

/*
 * One copy for all subscriptions of a client that match: the greatest QoS
 * of them [MQTT-3.3.4-2], all their identifiers [MQTT-3.3.4-4].
 */
static void
fan_client(struct subscription *const *subs, size_t n,
    const struct message *m)
{
	uint32_t identifiers[IDENTIFIERS_MAX];
	struct copy copy = {.identifiers = identifiers};
	struct subscription *last = NULL;
	uint8_t qos;
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_excluded(subs[i], m))
			continue;
		last = subs[i];
		qos = last->options & SUB_QOS;
		if (qos > copy.qos)
			copy.qos = qos;
		if ((last->options & SUB_RETAIN_AS_PUBLISHED) != 0)
			copy.retain = m->retain;
		if (last->id != 0 && copy.identifier_count < IDENTIFIERS_MAX)
			identifiers[copy.identifier_count++] = last->id;
	}
	if (last == NULL)
		return;
	if (copy.qos > m->qos)
		copy.qos = m->qos;
	if (last->replay != 0)
		hold_copy(last, m, &copy);
	else
		send_copy(last->client, m, &copy);
}

/*
 * One client's subscriptions are looked at before it may be closed. Groups
 * come last: they are held, and the rest of the route is not needed then.
 */
void
outbound_fan(const struct route *route, const struct message *m)
{
	size_t i = 0, end;

	if (route->group_count > 0)
		shared_hold(route);
	while (i < route->count) {
		end = i + 1;
		while (end < route->count &&
		    route->subs[end]->client == route->subs[i]->client)
			end++;
		fan_client(&route->subs[i], end - i, m);
		i = end;
	}
	if (route->group_count > 0)
		shared_fan(m);
}

bool
outbound_may_take(const struct subscription *sub, uint8_t qos)
{
	const struct client *c = sub->client;
	const struct flow *f = c->flow;

	if (!client_is_on(c))
		return false;
	if (qos == 0 || (sub->options & SUB_QOS) == 0)
		return !is_full_for_qos0(c);
	if (queued_bytes(c) > client_allowance(mqtt.limits.max_queued_bytes))
		return false;
	return f == NULL ? c->receive_max > 0 :
	    f->waiting.count == 0 && window_has_room(c, f);
}

bool
outbound_shared(struct subscription *sub, const struct message *m,
    bool is_dup, uint64_t *seq)
{
	uint8_t qos = sub->options & SUB_QOS;
	struct copy copy = {.identifiers = &sub->id,
	    .identifier_count = sub->id != 0,
	    .qos = qos < m->qos ? qos : m->qos};
	struct client *c = sub->client;
	uint64_t before;

	copy.retain = m->retain &&
	    (sub->options & SUB_RETAIN_AS_PUBLISHED) != 0;
	copy.dup = is_dup && copy.qos > 0;
	*seq = before = copy.qos == 0 ? 0 : client_flow(c)->next;
	send_copy(c, m, &copy);
	/* Its flow is gone where it was closed; too large, it counts as sent. */
	return copy.qos > 0 && c->flow != NULL && c->flow->next != before;
}

void
outbound_retained(struct subscription *sub, const struct message *m)
{
	struct copy copy = {.identifiers = &sub->id,
	    .identifier_count = sub->id != 0, .retain = true,
	    .qos = sub->options & SUB_QOS};
	struct client *c = sub->client;
	struct mqtt_delivery d;
	size_t n;

	if (copy.qos > m->qos)
		copy.qos = m->qos;
	delivery_set(&d, m, &copy);
	n = delivery_check(c, &d);
	if (n == 0 || !client_is_on(c))
		return;
	if (copy.qos == 0 && client_unwritten(c) >
	    client_allowance(REPLAY_BYTES_MAX))
		mqtt.stats.messages_dropped_total++;
	else if (copy.qos == 0)
		delivery_write(c, &d, n);
	else
		send_tracked(c, &d, n, m->expires_ms);
}

void
outbound_replayed(struct subscription *sub)
{
	struct parcels *held = sub->held;
	struct client *c = sub->client;
	struct parcel parcel;
	uint8_t *p;

	sub->replay = 0;
	sub->held = NULL;
	while (held != NULL && client_is_on(c) &&
	    (p = parcels_peek(held, &parcel)) != NULL) {
		if (parcel.qos > 0)
			memcpy(parcels_add(&client_flow(c)->waiting, &parcel),
			    p, parcel.size);
		else if (!parcel_has_expired(&parcel))
			parcel_write(c, p, &parcel, 0);
		parcels_remove(held);
	}
	if (c->flow != NULL)
		send_waiting(c);
	if (held != NULL)
		parcels_fini(held);
	free(held);
}

/* ---- from the router ---------------------------------------------------- */

bool
outbound_message(struct message *m, const struct ipc_deliver_item *item)
{
	uint64_t now = clients_now_ms();

	*m = (struct message){
	    .topic = item->topic,
	    .payload = item->payload,
	    .qos = (item->flags & MSG_QOS) % 3,
	    .retain = (item->flags & MSG_RETAIN) != 0,
	    .publisher_id = item->client_id,
	    .expiry_at = MQTT_NOWHERE,
	    .expires_ms = item->expires_ms,
	};
	if (m->expires_ms != 0 && m->expires_ms <= now) {
		mqtt.stats.messages_expired_total++;
		return false;
	}
	if (m->expires_ms != 0)
		m->expiry = seconds_left(m->expires_ms, now);
	if (m->expires_ms == 0 && item->props.len == 0)
		return true;
	buf_clear(&outbound.properties);
	if (!translate_out(item->props, m->expires_ms != 0,
	    &outbound.properties, &m->expiry_at)) {
		/* Another protocol's; the message goes without. */
		buf_clear(&outbound.properties);
		m->expiry_at = MQTT_NOWHERE;
	}
	m->properties = buf_slice(&outbound.properties);
	return true;
}

static size_t
identifiers_get(struct slice run, uint32_t *ids)
{
	size_t n = 0;

	while (n < IDENTIFIERS_MAX && wire_get_u32(&run, &ids[n])) {
		if (ids[n] != 0 && ids[n] <= MQTT_VARINT_MAX)
			n++;
	}
	return n;
}

/* Not to be sent at all: for the router it is answered. */
static void
queue_skip(const struct client *c, const struct ipc_queue_item *item)
{
	if (item->seq != 0)
		router_settle(c->session, item->seq, SETTLE_PUBACK);
}

static void
queue_send(struct client *c, const struct ipc_queue_item *item,
    const struct message *m, const struct copy *copy)
{
	struct flow *f = client_flow(c);
	struct mqtt_delivery d;
	size_t n;

	delivery_set(&d, m, copy);
	n = delivery_check(c, &d);
	if (n == 0) {
		queue_skip(c, item);
		return;
	}
	if (queued_bytes(c) > client_allowance(REPLAY_BYTES_MAX)) {
		/* It stays with the router, as all that is unanswered. */
		overflow(c);
		return;
	}
	d.id = window_id(item->seq);
	window_add(&f->window, item->seq, first_state(copy->qos));
	delivery_write(c, &d, n);
}

void
outbound_queue(struct client *c, const struct ipc_queue_item *item)
{
	uint32_t identifiers[IDENTIFIERS_MAX];
	struct ipc_deliver_item deliver = {.topic = item->topic,
	    .payload = item->payload, .flags = item->flags,
	    .expires_ms = item->expires_ms, .props = item->props};
	struct copy copy = {.identifiers = identifiers};
	struct message m;

	if (!client_is_on(c))
		return;
	if (!admit_may_receive(c, item->topic) ||
	    !outbound_message(&m, &deliver)) {
		queue_skip(c, item);
		return;
	}
	copy.identifier_count = identifiers_get(item->sub_ids, identifiers);
	copy.qos = m.qos;
	copy.retain = m.retain;
	copy.dup = m.qos > 0 && (item->flags & MSG_DUP) != 0;
	if (item->seq == 0) {
		copy.qos = 0;
		copy.dup = false;
		send_copy(c, &m, &copy);
		return;
	}
	if (copy.qos == 0)
		copy.qos = 1;
	/* Sent before a new router, and not answered since. */
	if (window_get(&client_flow(c)->window, item->seq) != WINDOW_FREE ||
	    !window_may_add(&c->flow->window, item->seq))
		return;
	queue_send(c, item, &m, &copy);
}

static void
pubrel_send(struct client *c, uint16_t id, uint8_t reason)
{
	struct buf *out = client_out(c);
	uint8_t *p = buf_reserve(out, MQTT_ACK_MAX);

	buf_commit(out, (size_t)(mqtt_ack_put(p, c->version, MQTT_PUBREL, id,
	    reason) - p));
	client_added(c);
}

void
outbound_release(struct client *c, uint64_t seq)
{
	struct flow *f;
	enum window_state state;

	if (!client_is_on(c))
		return;
	f = client_flow(c);
	state = window_get(&f->window, seq);
	if (state == WINDOW_PUBCOMP)
		return;
	if (state == WINDOW_FREE && !window_may_add(&f->window, seq))
		return;
	/* Free: of an earlier connection of this session. */
	window_add(&f->window, seq, WINDOW_PUBCOMP);
	pubrel_send(c, window_id(seq), MQTT_SUCCESS);
}

/* ---- what clients answer ------------------------------------------------ */

static void
answered(struct client *c, uint64_t seq, enum settle_kind kind)
{
	window_remove(&c->flow->window, seq);
	if (c->session != 0)
		router_settle(c->session, seq, kind);
	send_waiting(c);
	if (c->flow != NULL && c->flow->shared != NULL)
		shared_answered(c, seq);
}

void
outbound_puback(struct client *c, uint16_t id)
{
	uint64_t seq;

	if (c->flow != NULL && window_find(&c->flow->window, id, &seq) &&
	    window_get(&c->flow->window, seq) == WINDOW_PUBACK)
		answered(c, seq, SETTLE_PUBACK);
}

static void
pubrec_good(struct client *c, uint64_t seq)
{
	struct window *w = &c->flow->window;

	switch (window_get(w, seq)) {
	case WINDOW_PUBREC:
		if (c->session != 0) {
			window_set(w, seq, WINDOW_RELEASE);
			router_settle(c->session, seq, SETTLE_PUBREC);
			break;
		}
		window_set(w, seq, WINDOW_PUBCOMP);
		pubrel_send(c, window_id(seq), MQTT_SUCCESS);
		break;
	case WINDOW_PUBCOMP:
		/* It did not see ours. */
		pubrel_send(c, window_id(seq), MQTT_SUCCESS);
		break;
	case WINDOW_FREE:
	case WINDOW_PUBACK:
	case WINDOW_RELEASE:
		break;
	}
}

void
outbound_pubrec(struct client *c, uint16_t id, uint8_t reason)
{
	uint64_t seq;

	if (c->flow == NULL || !window_find(&c->flow->window, id, &seq)) {
		pubrel_send(c, id, MQTT_PACKET_IDENTIFIER_NOT_FOUND);
		return;
	}
	/* A refusal ends the exchange (MQTT 5, 4.3.3). */
	if (reason < 0x80)
		pubrec_good(c, seq);
	else if (window_get(&c->flow->window, seq) == WINDOW_PUBREC)
		answered(c, seq, SETTLE_PUBACK);
}

void
outbound_pubcomp(struct client *c, uint16_t id)
{
	uint64_t seq;

	if (c->flow != NULL && window_find(&c->flow->window, id, &seq) &&
	    window_get(&c->flow->window, seq) == WINDOW_PUBCOMP)
		answered(c, seq, SETTLE_PUBCOMP);
}
