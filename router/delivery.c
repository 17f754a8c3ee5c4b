#include "router/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/props.h"
#include "base/record.h"
#include "router/commit.h"
#include "router/compact.h"
#include "router/conn.h"
#include "router/message.h"
#include "router/recipients.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/stream.h"

#include <stdlib.h>

static struct {
	struct delivery_limits limits;
	struct delivery_stats stats;
	struct session_list ready, waiting;
	struct buf recipients, props, ids;	/* scratch */
	struct record_space space;
} delivery;

void
delivery_init(void)
{
	TAILQ_INIT(&delivery.ready);
	TAILQ_INIT(&delivery.waiting);
}

void
delivery_set_limits(const struct delivery_limits *limits)
{
	delivery.limits = *limits;
}

const struct delivery_stats *
delivery_stats(void)
{
	return &delivery.stats;
}

/* ---- into the queues ---------------------------------------------------- */

/* False: this session's subscriptions leave the message out. */
static bool
target_flags(const struct route_sub *e, const struct ipc_publish_item *m,
    bool *is_own, uint8_t *flags)
{
	uint8_t options;

	*is_own = slice_eq(session_client(e->session), m->client_id);
	options = *is_own ? e->own_options : e->options;
	if ((options & SUB_NONE) != 0)
		return false;
	*flags = options & SUB_QOS;
	if ((m->flags & MSG_QOS) < *flags)
		*flags = m->flags & MSG_QOS;
	if ((options & SUB_AS_PUBLISHED) != 0)
		*flags |= m->flags & MSG_RETAIN;
	return true;
}

/* The identifiers that apply, in the scratch; how many. */
static uint32_t
target_ids(const struct route *r, const struct route_sub *e, bool is_own,
    const uint32_t **ids)
{
	buf_clear(&delivery.ids);
	for (uint32_t i = 0; i < e->ids_len; i++) {
		uint32_t id = r->ids[e->ids_at + i];

		if (is_own && (id & SUB_ID_NO_LOCAL) != 0)
			continue;
		id &= ~SUB_ID_NO_LOCAL;
		buf_add(&delivery.ids, &id, sizeof(id));
	}
	*ids = (const void *)buf_data(&delivery.ids);
	return (uint32_t)(buf_len(&delivery.ids) / sizeof(uint32_t));
}

/* For a queue_item: big-endian, in the same place. */
static struct slice
wire_ids(const uint32_t *ids, uint32_t n)
{
	uint8_t *p = delivery.ids.p + delivery.ids.off;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t id = ids[i];

		p[4 * i] = (uint8_t)(id >> 24);
		p[4 * i + 1] = (uint8_t)(id >> 16);
		p[4 * i + 2] = (uint8_t)(id >> 8);
		p[4 * i + 3] = (uint8_t)id;
	}
	return slice_of(buf_data(&delivery.ids), 4 * (size_t)n);
}

static uint32_t
message_size(const struct ipc_publish_item *m)
{
	return (uint32_t)(m->topic.len + m->payload.len + m->props.len);
}

static bool
has_room(const struct session *s, const struct ipc_publish_item *m)
{
	const struct queue *q = &s->queue;

	return q->count < delivery.limits.messages &&
	    q->bytes + message_size(m) <= delivery.limits.bytes;
}

static struct ipc_queue_item
queue_item(const struct session *s, const struct ipc_publish_item *m,
    uint64_t seq, uint8_t flags)
{
	return (struct ipc_queue_item){
	    .conn = s->conn->number,
	    .seq = seq,
	    .flags = flags,
	    .topic = m->topic,
	    .payload = m->payload,
	    .expires_ms = m->expires_ms,
	    .props = m->props,
	};
}

/* QoS 0 to a session that is there: at once, or never. */
static void
send_plain(const struct route *r, const struct route_sub *e, bool is_own,
    const struct ipc_publish_item *m, uint8_t flags)
{
	struct session *s = e->session;
	struct ipc_queue_item item;
	const uint32_t *ids;
	uint32_t n;

	if (s->conn == NULL || !s->conn->is_connected)
		return;
	if (sender_credit(conn_home(s->conn)) <= 0) {
		delivery.stats.dropped++;
		return;
	}
	n = target_ids(r, e, is_own, &ids);
	item = queue_item(s, m, 0, flags);
	item.sub_ids = wire_ids(ids, n);
	sender_add_queue(conn_home(s->conn), &item);
	delivery.stats.sent++;
}

/* Writes the header for the sessions whose queues take it; how many. */
static uint32_t
gather_recipients(const struct route *r, const struct ipc_publish_item *m)
{
	uint32_t n = 0, ids_len;
	const uint32_t *ids;
	uint8_t flags;
	bool is_own;

	buf_clear(&delivery.recipients);
	for (uint32_t i = 0; i < r->subs_len; i++) {
		const struct route_sub *e = &r->subs[i];

		if (!target_flags(e, m, &is_own, &flags) ||
		    (flags & MSG_QOS) == 0 || !has_room(e->session, m))
			continue;
		ids_len = target_ids(r, e, is_own, &ids);
		recipients_add(&delivery.recipients, e->session->id,
		    e->session->queue.next, flags, ids, ids_len);
		n++;
	}
	return n;
}

static void
wait_for_commit(struct session *s)
{
	if (s->is_waiting)
		return;
	s->is_waiting = true;
	TAILQ_INSERT_TAIL(&delivery.waiting, s, waiting);
}

/*
 * The connection waits for nothing: the message leaves with the commit, from
 * memory.
 */
static bool
send_fresh(const struct route *r, const struct route_sub *e, bool is_own,
    const struct ipc_publish_item *m, uint8_t flags)
{
	struct session *s = e->session;
	struct ipc_queue_item item;
	const uint32_t *ids;
	uint32_t n;

	if (s->conn == NULL || !s->conn->is_connected ||
	    !queue_is_idle(&s->queue, s->conn->receive_max) ||
	    sender_credit(conn_home(s->conn)) <= 0)
		return false;
	n = target_ids(r, e, is_own, &ids);
	item = queue_item(s, m, s->queue.next, flags);
	item.sub_ids = wire_ids(ids, n);
	return sender_add_fresh(conn_home(s->conn), &item);
}

/* The same sessions as gather_recipients chose, now that it is appended. */
static void
enqueue(const struct route *r, const struct ipc_publish_item *m,
    uint64_t offset)
{
	uint8_t flags;
	uint64_t seq;
	bool is_own, is_fresh;

	for (uint32_t i = 0; i < r->subs_len; i++) {
		const struct route_sub *e = &r->subs[i];
		struct session *s = e->session;

		if (!target_flags(e, m, &is_own, &flags) ||
		    (flags & MSG_QOS) == 0)
			continue;
		if (!has_room(s, m)) {
			s->dropped++;
			delivery.stats.dropped++;
			continue;
		}
		is_fresh = send_fresh(r, e, is_own, m, flags);
		seq = queue_add(
		    &s->queue, offset, message_size(m), flags & MSG_QOS);
		if (is_fresh) {
			queue_sent(&s->queue, seq);
			delivery.stats.sent++;
		} else
			wait_for_commit(s);
		session_touch(s, SESSION_LAZY);
		delivery.stats.queued++;
	}
}

static enum delivery
append(const struct ipc_publish_item *m, uint64_t sender, uint64_t number,
    uint64_t *offset)
{
	struct record rec;

	if (!message_record(m, &delivery.space, &rec))
		return DELIVERY_TOO_LARGE;
	rec.queues = buf_slice(&delivery.recipients);
	switch (log_append(stream_queue(), sender, number, &rec, offset)) {
	case LOG_APPEND_OK:
		return DELIVERY_QUEUED;
	case LOG_APPEND_DUPLICATE:
		return DELIVERY_DUPLICATE;
	case LOG_APPEND_NO_SPACE:
		return DELIVERY_NO_SPACE;
	case LOG_APPEND_TOO_LARGE:
		break;
	}
	return DELIVERY_TOO_LARGE;
}

enum delivery
delivery_add(const struct route *r, const struct ipc_publish_item *m,
    uint64_t sender, uint64_t number, uint64_t *offset)
{
	enum delivery answer = DELIVERY_NONE;
	uint8_t flags;
	bool is_own;

	*offset = 0;
	if ((m->flags & MSG_QOS) == 0) {
		for (uint32_t i = 0; i < r->subs_len; i++)
			if (target_flags(&r->subs[i], m, &is_own, &flags))
				send_plain(r, &r->subs[i], is_own, m, flags);
		return DELIVERY_NONE;
	}
	if (r->subs_len == 0)
		return DELIVERY_NONE;
	if (gather_recipients(r, m) > 0) {
		answer = append(m, sender, number, offset);
		if (answer != DELIVERY_QUEUED)
			return answer;
	}
	/* Also where no queue had room: what is dropped is counted. */
	enqueue(r, m, *offset);
	return answer;
}

void
delivery_add_retained(
    const struct sub *sub, const struct ipc_publish_item *m)
{
	struct session *s = sub->session;
	uint8_t qos = sub->options & SUB_QOS;
	uint64_t offset;

	if ((m->flags & MSG_QOS) < qos)
		qos = m->flags & MSG_QOS;
	if (qos == 0) {
		struct route r = {0};
		struct route_sub e = {.session = s};

		/* Identifiers of one subscription stand in its own route. */
		r.ids = (uint32_t[]){sub->id};
		e.ids_len = sub->id != 0;
		send_plain(&r, &e, false, m, MSG_RETAIN);
		return;
	}
	if (!has_room(s, m)) {
		s->dropped++;
		delivery.stats.dropped++;
		return;
	}
	buf_clear(&delivery.recipients);
	recipients_add(&delivery.recipients, s->id, s->queue.next,
	    (uint8_t)(qos | MSG_RETAIN), &sub->id, sub->id != 0);
	if (append(m, 0, 0, &offset) != DELIVERY_QUEUED) {
		delivery.stats.dropped++;
		return;
	}
	queue_add(&s->queue, offset, message_size(m), qos);
	wait_for_commit(s);
	session_touch(s, SESSION_LAZY);
	delivery.stats.queued++;
}

/* ---- out to the connection ---------------------------------------------- */

void
delivery_ready(struct session *s)
{
	if (s->is_ready)
		return;
	s->is_ready = true;
	TAILQ_INSERT_TAIL(&delivery.ready, s, ready);
}

void
delivery_ready_all(struct sender *home)
{
	struct conn *c;

	for (size_t i = 0; (c = map_next(&home->conns, &i)) != NULL;)
		if (c->session != NULL)
			delivery_ready(c->session);
}

/*
 * One entry from the log. False: not now. An entry whose record is expired,
 * damaged or gone is done with.
 */
static bool
send_entry(struct session *s, uint64_t seq, uint64_t now_ms)
{
	struct queue_entry *e = queue_find(&s->queue, seq);
	struct ipc_publish_item m;
	struct ipc_queue_item item;
	struct recipient to;
	struct record rec;
	bool is_dup = e->is_dup != 0;

	if (log_read(stream_queue(), e->offset, &rec) != LOG_READ_OK ||
	    !recipients_find(rec.queues, s->id, seq, &to)) {
		delivery.stats.lost++;
		log_limited(LOG_ERROR,
		    "session of %.*s: message %llu is not readable in %s",
		    SLICE_ARG(session_client(s)),
		    (unsigned long long)e->offset, STREAM_QUEUE);
		queue_drop(&s->queue, seq);
		return true;
	}
	if (rec.expires_ms != 0 && rec.expires_ms <= now_ms && !is_dup) {
		delivery.stats.expired++;
		queue_drop(&s->queue, seq);
		return true;
	}
	message_of_record(&rec, &delivery.props, &m);
	item = queue_item(
	    s, &m, seq, (uint8_t)(to.flags | (is_dup ? MSG_DUP : 0)));
	buf_clear(&delivery.ids);
	if (recipient_ids(&to, &delivery.ids))
		item.sub_ids = buf_slice(&delivery.ids);
	sender_add_queue(conn_home(s->conn), &item);
	queue_sent(&s->queue, seq);
	delivery.stats.sent++;
	return true;
}

static void
pump(struct session *s, uint64_t committed, uint64_t now_ms)
{
	uint64_t seq;

	/* Not before a reclaimed one's last answers are in. */
	if (s->conn == NULL || !s->conn->is_connected ||
	    !conn_home(s->conn)->is_complete)
		return;
	while ((seq = queue_peek(
		    &s->queue, committed, s->conn->receive_max)) != 0) {
		if (sender_credit(conn_home(s->conn)) <= 0) {
			conn_home(s->conn)->has_starved = true;
			break;
		}
		send_entry(s, seq, now_ms);
		session_touch(s, SESSION_LAZY);
	}
}

/* Credit may come back without having run out: gathered items count too. */
static void
wake_starved(void)
{
	struct sender *home;

	LIST_FOREACH (home, senders_all(), entry)
		if (home->has_starved && sender_credit(home) > 0) {
			home->has_starved = false;
			delivery_ready_all(home);
		}
}

void
delivery_flush(void)
{
	uint64_t committed = log_high_watermark(stream_queue());
	uint64_t now_ms = clock_wall_ms();
	struct session *s;

	wake_starved();
	while ((s = TAILQ_FIRST(&delivery.ready)) != NULL) {
		TAILQ_REMOVE(&delivery.ready, s, ready);
		s->is_ready = false;
		pump(s, committed, now_ms);
	}
}

void
delivery_committed(void)
{
	struct session_list waiting = TAILQ_HEAD_INITIALIZER(waiting);
	struct session *s;

	TAILQ_CONCAT(&waiting, &delivery.waiting, waiting);
	while ((s = TAILQ_FIRST(&waiting)) != NULL) {
		TAILQ_REMOVE(&waiting, s, waiting);
		s->is_waiting = false;
		delivery_ready(s);
		/* What was added since waits for the next one. */
		if (s->queue.next > s->queue.floor &&
		    s->queue.newest >= log_high_watermark(stream_queue()))
			wait_for_commit(s);
	}
}

void
delivery_attach(struct session *s)
{
	struct conn *c = s->conn;
	uint64_t seq = 0;

	/* PUBREL again, also where only it may have been lost. */
	while ((seq = queue_next_received(&s->queue, seq)) != 0) {
		ipc_add_release_item(&conn_home(c)->released,
		    &(struct ipc_release_item){
			.conn = c->number, .seq = seq, .kind = 1});
		seq++;
	}
	delivery_ready(s);
}

void
delivery_detach(struct session *s)
{
	queue_detach(&s->queue);
}

void
delivery_forget(struct session *s)
{
	if (s->is_ready)
		TAILQ_REMOVE(&delivery.ready, s, ready);
	if (s->is_waiting)
		TAILQ_REMOVE(&delivery.waiting, s, waiting);
	s->is_ready = s->is_waiting = false;
}

void
delivery_refused(uint64_t first, uint64_t end)
{
	struct session *s;

	senders_drop_fresh();
	compact_refused(first, end);
	for (size_t i = 0; (s = sessions_next(&i)) != NULL;) {
		struct queue *q = &s->queue;

		if (q->count == 0 || q->newest < first)
			continue;
		for (uint64_t seq = q->next; seq > q->floor; seq--) {
			struct queue_entry *e = queue_find(q, seq - 1);

			if (e == NULL || e->offset < first)
				continue;
			if (e->offset < end)
				queue_drop(q, seq - 1);
		}
		session_touch(s, SESSION_LAZY);
	}
}
