#include "router/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "router/commit.h"
#include "router/delivery.h"
#include "router/due.h"
#include "router/ids.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/will.h"

#include <stdlib.h>

#define PROTOCOLS_MAX 16
#define REASON_NOT_NOW 0x97	/* quota exceeded */

static struct {
	struct map by_client;
	struct due expiring;	/* sessions, by id */
	struct conn_limits limits;
	char *protocols[PROTOCOLS_MAX];
	uint64_t opened;
} conns;

void
conns_set_limits(const struct conn_limits *limits)
{
	conns.limits = *limits;
}

size_t
conns_count(void)
{
	return conns.by_client.count;
}

uint64_t
conns_opened(void)
{
	return conns.opened;
}

struct conn *
conns_next(size_t *i)
{
	return map_next(&conns.by_client, i);
}

static bool
is_number(const void *value, const void *key)
{
	return ((const struct conn *)value)->number == *(const uint64_t *)key;
}

static bool
is_client(const void *value, const void *key)
{
	return slice_eq(conn_client(value), *(const struct slice *)key);
}

struct conn *
conn_find(const struct sender *home, uint64_t number)
{
	return map_find(
	    &home->conns, map_hash_u64(number), is_number, &number);
}

struct conn *
conn_by_client(struct slice client_id)
{
	return map_find(
	    &conns.by_client, map_hash(client_id), is_client, &client_id);
}

/* ---- coming ------------------------------------------------------------- */

/* The few protocols' names, each once. */
static uint8_t
protocol_index(struct slice name)
{
	uint8_t i;

	for (i = 0; i < PROTOCOLS_MAX - 1 && conns.protocols[i] != NULL; i++)
		if (slice_is(name, conns.protocols[i]))
			return i;
	if (conns.protocols[i] == NULL)
		conns.protocols[i] = slice_dup(name);
	return i;
}

struct sender *
conn_home(const struct conn *c)
{
	return sender_by_slot(c->home);
}

const char *
conn_protocol(const struct conn *c)
{
	return conns.protocols[c->protocol];
}

static void
texts_put(struct conn *c, const struct ipc_connect *m)
{
	char *at = c->texts;

	memcpy(at, m->client_id.p, m->client_id.len);
	at += m->client_id.len;
	if (m->username.len > 0)
		memcpy(at, m->username.p, m->username.len);
	at += m->username.len;
	if (m->address.len > 0)
		memcpy(at, m->address.p, m->address.len);
}

static struct conn *
conn_new(struct sender *home, const struct ipc_connect *m, uint64_t epoch)
{
	struct conn *c = mem_alloc(sizeof(*c) + m->client_id.len +
	    m->username.len + m->address.len);

	*c = (struct conn){
	    .number = m->conn,
	    .epoch = epoch,
	    .home = (uint8_t)home->slot,
	    .will = will_new(m),
	    .connected_s = (uint32_t)(clock_wall_ms() / 1000),
	    .expiry_s = m->expiry_s,
	    .keepalive_s = m->keepalive_s,
	    .receive_max = m->receive_max,
	    .client_len = (uint16_t)m->client_id.len,
	    .username_len = (uint16_t)m->username.len,
	    .address_len = (uint8_t)m->address.len,
	    .protocol = protocol_index(m->protocol),
	    .has_username = !slice_is_null(m->username),
	};
	texts_put(c, m);
	conns.opened++;
	map_add(&home->conns, map_hash_u64(c->number), c);
	map_add(&conns.by_client, map_hash(conn_client(c)), c);
	return c;
}

/* Out of the registries; its will and session are settled. */
static void
conn_free(struct conn *c)
{
	map_remove(&conn_home(c)->conns, map_hash_u64(c->number), c);
	map_remove(&conns.by_client, map_hash(conn_client(c)), c);
	will_free(c->will);
	free(c);
}

static void
put_connected(struct conn *c, bool present, uint8_t reason)
{
	struct ipc_batch subs = {0};
	struct buf received = {0};
	struct session *s = c->session;

	for (uint32_t i = 0; s != NULL && i < s->mids_len; i++)
		buf_add_be16(&received, s->mids[i]);
	for (uint32_t i = 0; s != NULL && i < s->subs_len; i++)
		ipc_add_session_sub(&subs,
		    &(struct ipc_session_sub){
			.filter = slice_of(s->subs[i]->text, s->subs[i]->len),
			.options = s->subs[i]->options,
			.sub_id = s->subs[i]->id});
	link_put_connected(conn_home(c)->link,
	    &(struct ipc_connected){.conn = c->number,
		.epoch = c->epoch,
		.session = s == NULL ? 0 : s->id,
		.present = present,
		.reason = reason,
		.received = buf_slice(&received),
		.subs = ipc_batch_list(&subs)});
	buf_fini(&subs.bytes);
	buf_fini(&received);
	c->is_connected = true;
	if (s != NULL)
		delivery_attach(s);
}

/* The session's row is committed. */
static void
after_connect(struct after *a)
{
	struct sender *home = sender_find(a->sender);
	struct conn *c = home == NULL ? NULL : conn_find(home, a->conn);

	if (c != NULL && c->epoch == a->epoch && !c->is_connected)
		put_connected(c, a->flag, 0);
}

static void
connected_after_commit(struct conn *c, bool present)
{
	struct after *a = mem_zalloc(1, sizeof(*a));

	a->run = after_connect;
	a->sender = conn_home(c)->serial;
	a->conn = c->number;
	a->epoch = c->epoch;
	a->flag = present;
	commit_after(a);
}

/* ---- going -------------------------------------------------------------- */

static uint32_t
expiry_bounded(uint32_t expiry_s)
{
	return expiry_s > conns.limits.expiry_max_s ?
	    conns.limits.expiry_max_s : expiry_s;
}

static void
session_watch(struct session *s)
{
	uint64_t at = session_expires_ms(s);

	if (at != UINT64_MAX)
		due_add(&conns.expiring, at, s->id);
}

static void
session_drop(struct session *s)
{
	delivery_forget(s);
	session_delete(s, commit_rows());
}

/* The connection of a session ends; the session stays, or not. */
static void
session_detach(struct session *s)
{
	delivery_detach(s);
	s->conn->session = NULL;
	s->conn = NULL;
	s->offline_ms = clock_wall_ms();
	if (s->expiry_s == 0) {
		session_drop(s);
		return;
	}
	session_touch(s, SESSION_NOW);
	session_watch(s);
}

/*
 * Ends it on this side. The will waits no longer than the session lives; a
 * clean one's session is over.
 */
static void
conn_end(struct conn *c, bool has_will, bool session_ends)
{
	struct session *s = c->session;
	struct will *will = c->will;
	uint32_t max_s = s == NULL || session_ends ? 0 : s->expiry_s;

	c->will = NULL;
	if (has_will)
		will_end(will, max_s);
	else
		will_free(will);
	if (s != NULL)
		session_detach(s);
	conn_free(c);
}

void
conn_kick(struct conn *c, uint8_t reason)
{
	link_put_takeover(conn_home(c)->link,
	    &(struct ipc_takeover){
		.conn = c->number, .epoch = c->epoch, .reason = reason});
	conn_end(c, true, false);
}

/* A newer connection of the same client (MQTT 5, 3.1.4, 4.8). */
static void
conn_take_over(struct conn *old, bool session_ends)
{
	struct will *will = old->will;

	link_put_takeover(conn_home(old)->link,
	    &(struct ipc_takeover){.conn = old->number,
		.epoch = old->epoch,
		.reason = REASON_TAKEN_OVER});
	/* A delayed will is cancelled by the new connection at once. */
	conn_end(old, will != NULL, session_ends);
}

void
conn_close(struct sender *home, const struct ipc_disconnect *m)
{
	struct conn *c = conn_find(home, m->conn);
	struct session *s;

	if (c == NULL || (m->epoch != 0 && m->epoch != c->epoch))
		return;
	s = c->session;
	/* One that was 0 at CONNECT stays 0 (MQTT 5, 3.14.2.2.2). */
	if (m->has_expiry && s != NULL && s->expiry_s != 0)
		s->expiry_s = expiry_bounded(m->expiry_s);
	conn_end(c, m->will != 0, false);
}

void
conns_lost(struct sender *home)
{
	struct conn *c;

	for (;;) {
		size_t i = 0;

		if ((c = map_next(&home->conns, &i)) == NULL)
			break;
		conn_end(c, true, false);
	}
}

/* ---- the session of a connection ---------------------------------------- */

static struct session *
session_attach(struct conn *c, struct session *s)
{
	if (s == NULL) {
		s = session_new(ids_take(), conn_client(c));
		s->created_ms = c->connected_s * UINT64_C(1000);
	}
	s->expiry_s = expiry_bounded(c->expiry_s);
	s->receive_max = c->receive_max;
	s->epoch = c->epoch;
	s->offline_ms = 0;
	s->conn = c;
	c->session = s;
	free(s->username);
	s->username = c->has_username ? slice_dup(conn_username(c)) : NULL;
	free(s->protocol);
	s->protocol = mem_strdup(conn_protocol(c));
	session_touch(s, SESSION_NOW);
	return s;
}

void
conn_open(struct sender *home, const struct ipc_connect *m)
{
	struct session *s = session_by_client(m->client_id);
	struct conn *old = conn_by_client(m->client_id), *c;
	bool is_present, was_deleted = false;

	if (conn_find(home, m->conn) != NULL)
		return;
	if (old != NULL) {
		conn_take_over(old, m->clean_start != 0);
		s = session_by_client(m->client_id);
	}
	if (s != NULL && m->clean_start) {
		session_drop(s);
		s = NULL;
		was_deleted = true;
	}
	if (m->clean_start)
		will_send(m->client_id);
	else
		will_cancel(m->client_id);
	is_present = s != NULL;
	c = conn_new(home, m, ids_take());
	if (s == NULL && m->expiry_s != 0 &&
	    sessions_count() >= conns.limits.sessions) {
		put_connected(c, false, REASON_NOT_NOW);
		conn_end(c, false, true);
		return;
	}
	if (s != NULL || m->expiry_s != 0)
		session_attach(c, s);
	if (c->session != NULL || was_deleted)
		connected_after_commit(c, is_present);
	else
		put_connected(c, false, 0);
}

/* ---- after a new router ------------------------------------------------- */

static void
reclaim_in_flight(struct session *s, struct slice in_flight)
{
	for (size_t i = 0; i + 8 <= in_flight.len; i += 8) {
		uint64_t seq = 0;

		for (size_t j = 0; j < 8; j++)
			seq = seq << 8 | in_flight.p[i + j];
		queue_reclaim(&s->queue, seq);
	}
}

bool
conn_reclaim(struct sender *home, const struct ipc_reclaim *m)
{
	struct ipc_connect connect;
	struct session *s;
	struct conn *old, *c;
	uint64_t epoch = m->epoch;

	if (!ipc_get_connect(m->connect, &connect))
		return false;
	/* No CONNECTED had reached it: as if it connected now. */
	if (epoch == 0) {
		conn_open(home, &connect);
		return true;
	}
	old = conn_by_client(connect.client_id);
	if (old != NULL && old->epoch > epoch) {
		link_put_takeover(home->link,
		    &(struct ipc_takeover){.conn = connect.conn,
			.epoch = epoch,
			.reason = REASON_TAKEN_OVER});
		return true;
	}
	if (old != NULL)
		conn_take_over(old, false);
	will_cancel(connect.client_id);
	c = conn_new(home, &connect, epoch);
	c->is_connected = true;
	s = m->session == 0 ? NULL : session_find(m->session);
	if (m->session != 0 && s == NULL) {
		/* Deleted, or its commit never was. */
		conn_kick(c, REASON_ADMINISTRATIVE);
		return true;
	}
	if (s == NULL)
		return true;
	session_attach(c, s);
	reclaim_in_flight(s, m->in_flight);
	queue_absolve(&s->queue);
	delivery_attach(s);
	return true;
}

void
sessions_settle(uint64_t now_ms)
{
	struct session *s, **gone = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; (s = sessions_next(&i)) != NULL;) {
		if (s->conn != NULL)
			continue;
		if (s->offline_ms == 0) {
			s->offline_ms = now_ms;
			session_touch(s, SESSION_NOW);
		}
		session_watch(s);
		if (s->expiry_s != 0)
			continue;
		if (n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			gone = mem_realloc(
			    gone, cap * sizeof(struct session *));
		}
		gone[n++] = s;
	}
	while (n > 0)
		session_drop(gone[--n]);
	free(gone);
}

void
sessions_expire(uint64_t now_ms)
{
	struct session *s;
	uint64_t id;

	while (due_take(&conns.expiring, now_ms, &id)) {
		s = session_find(id);
		if (s == NULL || session_expires_ms(s) > now_ms)
			continue;
		will_send(session_client(s));
		session_drop(s);
	}
}

void
session_end(struct session *s, uint8_t reason)
{
	struct conn *c = s->conn;

	/* The will of a session that ends waits no longer. */
	s->expiry_s = 0;
	if (c != NULL) {
		conn_kick(c, reason);
		return;
	}
	will_send(session_client(s));
	session_drop(s);
}
