#include "router/publish.h"

#include "base/props.h"
#include "router/commit.h"
#include "router/delivery.h"
#include "router/message.h"
#include "router/retained.h"
#include "router/route.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/stream.h"

#define REASON_TOO_LARGE 0x95	/* packet too large */
#define REASON_QUOTA 0x97	/* quota exceeded: no space */
#define REASON_FORMAT 0x99	/* payload format invalid, or its properties */

static struct {
	struct publish_stats stats;
	struct record_space space;
} publish;

/* One message on its way. */
struct passage {
	struct sender *sender;		/* NULL: the router's own */
	uint64_t incarnation, number;
	const struct ipc_publish_item *m;
	const struct route *route;
	struct session *session;	/* of an inbound QoS 2 */
	bool is_captured;		/* somewhere new */
	uint8_t refused;		/* a reason, 0: not */
};

const struct publish_stats *
publish_stats(void)
{
	return &publish.stats;
}

/* ---- capture ------------------------------------------------------------ */

static void
captured(struct passage *x, struct log_partition *p, uint64_t offset)
{
	x->is_captured = true;
	publish.stats.captured++;
	if (x->sender == NULL)
		return;
	sender_capture(x->sender,
	    &(struct capture){.number = x->number,
		.offset = offset,
		.partition = p,
		.qos = x->m->flags & MSG_QOS,
		.mid = x->m->mid,
		.session = x->m->session});
}

/* The repetition of one that recovery found here already. */
static bool
is_suspect(const struct passage *x, const struct log_partition *p)
{
	return x->session != NULL && x->session->suspects_len > 0 &&
	    session_is_suspect(x->session, x->m->mid, p);
}

static void
to_partition(
    struct passage *x, struct log_partition *p, const struct record *rec)
{
	uint64_t offset;

	if (is_suspect(x, p)) {
		publish.stats.duplicates++;
		return;
	}
	switch (log_append(p, x->incarnation, x->number, rec, &offset)) {
	case LOG_APPEND_OK:
		captured(x, p, offset);
		return;
	case LOG_APPEND_DUPLICATE:
		publish.stats.duplicates++;
		return;
	case LOG_APPEND_NO_SPACE:
		x->refused = REASON_QUOTA;
		return;
	case LOG_APPEND_TOO_LARGE:
		x->refused = REASON_TOO_LARGE;
		return;
	}
}

static void
to_streams(struct passage *x)
{
	struct record rec;

	if (x->route->partitions_len == 0)
		return;
	if (!message_record(x->m, &publish.space, &rec)) {
		x->refused = REASON_FORMAT;
		return;
	}
	for (uint32_t i = 0; i < x->route->partitions_len; i++)
		to_partition(x, x->route->partitions[i], &rec);
}

static void
to_sessions(struct passage *x)
{
	uint64_t offset;

	if (x->route->subs_len == 0 || is_suspect(x, stream_queue()))
		return;
	switch (delivery_add(
	    x->route, x->m, x->incarnation, x->number, &offset)) {
	case DELIVERY_QUEUED:
		captured(x, stream_queue(), offset);
		return;
	case DELIVERY_NO_SPACE:
		x->refused = REASON_QUOTA;
		return;
	case DELIVERY_TOO_LARGE:
		x->refused = REASON_TOO_LARGE;
		return;
	case DELIVERY_NONE:
	case DELIVERY_DUPLICATE:
		return;
	}
}

static void
to_retained(struct passage *x)
{
	struct sender *s = x->sender;

	if ((x->m->flags & MSG_RETAIN) == 0 || x->refused != 0)
		return;
	if (s != NULL && x->number <= s->retained)
		return;
	if (!retained_set(x->m)) {
		x->refused = REASON_QUOTA;
		return;
	}
	if (s == NULL)
		return;
	s->retained = x->number;
	sender_need_rows(s, x->number);
}

/* ---- forwarding --------------------------------------------------------- */

static void
to_processes(const struct passage *x)
{
	const struct ipc_publish_item *m = x->m;
	uint64_t slots = x->route->slots;
	struct sender *to;

	/* Its own clients were served by the acceptor itself. */
	if (x->sender != NULL && x->sender->has_slot &&
	    x->sender->kind == KIND_ACCEPTOR && (m->flags & MSG_WILL) == 0)
		slots &= ~(UINT64_C(1) << x->sender->slot);
	for (unsigned i = 0; slots != 0; i++, slots >>= 1) {
		if ((slots & 1) == 0 || (to = sender_by_slot(i)) == NULL)
			continue;
		sender_add_deliver(to,
		    &(struct ipc_deliver_item){.topic = m->topic,
			.payload = m->payload,
			.flags = m->flags,
			.timestamp_ms = m->timestamp_ms,
			.expires_ms = m->expires_ms,
			.props = m->props,
			.client_id = m->client_id,
			.sender = x->incarnation,
			.number = x->number});
		publish.stats.forwarded++;
	}
}

/* ---- inbound QoS 2 ------------------------------------------------------ */

/* True: it was stored before (MQTT 5, 4.3.3), only the answer is missing. */
static bool
is_repeated(struct passage *x)
{
	const struct ipc_publish_item *m = x->m;

	if ((m->flags & MSG_QOS) != 2 || m->session == 0)
		return false;
	x->session = session_find(m->session);
	return x->session != NULL && session_has_mid(x->session, m->mid);
}

static void
note_received(struct passage *x)
{
	if (x->session == NULL || x->refused != 0)
		return;
	session_add_mid(x->session, x->m->mid);
	session_clear_suspects(x->session, x->m->mid);
	session_touch(x->session, SESSION_NOW);
	sender_need_rows(x->sender, x->number);
}

/* ---- all of it ---------------------------------------------------------- */

static void
pass(struct passage *x)
{
	x->route = route_find(x->m->topic);
	to_streams(x);
	to_sessions(x);
	to_retained(x);
	to_processes(x);
}

static bool
wants_capture(const struct passage *x)
{
	return x->route->partitions_len > 0 || x->route->subs_len > 0 ||
	    (x->m->flags & MSG_RETAIN) != 0;
}

static void
refuse(struct sender *s, uint64_t number, uint8_t qos, uint8_t reason)
{
	if (qos == 0) {
		publish.stats.dropped++;
		return;
	}
	publish.stats.refused++;
	sender_refuse(s, number, reason);
}

void
publish_take(
    struct sender *s, uint64_t number, const struct ipc_publish_item *m)
{
	struct passage x = {
	    .sender = s,
	    .incarnation = s->incarnation,
	    .number = number,
	    .m = m,
	};

	publish.stats.received++;
	s->number = number;
	if (is_repeated(&x)) {
		publish.stats.duplicates++;
		/*
		 * Its first copy may wait for its commit still; where it does
		 * not, this asks for the one that the answer waits for.
		 */
		session_touch(x.session, SESSION_NOW);
		sender_need_rows(s, number);
		return;
	}
	if (sender_is_refusing(s)) {
		x.route = route_find(m->topic);
		if (wants_capture(&x)) {
			to_processes(&x);
			refuse(s, number, m->flags & MSG_QOS, REASON_QUOTA);
			return;
		}
	}
	pass(&x);
	note_received(&x);
	if (x.refused != 0)
		refuse(s, number, m->flags & MSG_QOS, x.refused);
}

void
publish_own(const struct ipc_publish_item *m)
{
	struct passage x = {.m = m};

	pass(&x);
}

void
publish_refused(struct sender *s, const struct capture *c)
{
	struct session *session;

	refuse(s, c->number, c->qos, REASON_QUOTA);
	if (c->mid == 0 || (session = session_find(c->session)) == NULL)
		return;
	/* The client may use the identifier for something else. */
	session_remove_mid(session, c->mid);
	session_touch(session, SESSION_NOW);
}
