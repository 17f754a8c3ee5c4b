/*
 * redis_route - which server records go to: the first of several that
 * answers, the master that the sentinels name, or the owner of a slot.
 */
#include "connector-worker/held.h"
#include "connector-worker/sinks/redis_sink.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the end of lanes -------------------------------------------------- */

void
redis_forget_slots(struct redis *r)
{
	r->has_slots = false;
}

/* True: records could not go without it. */
static bool
lane_unlink(struct lane *l)
{
	struct redis *r = l->redis;
	bool was_needed = l->is_sentinel || l == r->main || l->slots > 0 ||
	    (r->mode == MODE_CLUSTER && !r->has_slots);

	if (r->main == l)
		r->main = NULL;
	for (size_t i = 0; l->slots > 0 && i < REDIS_SLOTS; i++)
		if (r->slots[i] == l) {
			r->slots[i] = NULL;
			l->slots--;
			r->has_slots = false;
		}
	return was_needed;
}

void
redis_lane_down(struct lane *l, enum sink_outcome outcome, const char *why)
{
	struct redis *r = l->redis;
	bool was_needed = lane_unlink(l);
	char text[sizeof(r->why)];
	struct owed o;

	snprintf(text, sizeof(text), "%s:%u: %.300s", l->server.host,
	    l->server.port, why);
	while (l->count > 0) {
		o = lane_settle(l);
		if (o.record != NULL)
			held_answer(o.record, outcome, text);
	}
	lane_free(l);
	if (!was_needed)
		return;
	r->server_next = (r->server_next + 1) % r->server_count;
	memcpy(r->why, text, sizeof(text));
	redis_probe_done(r, false, text);
	redis_fail_waiting(r, text);
}

/* ---- connecting -------------------------------------------------------- */

struct lane *
redis_lane_to(struct redis *r, const struct redis_server *s)
{
	for (struct lane *l = r->lanes; l != NULL; l = l->next)
		if (!l->is_sentinel && l->server.port == s->port &&
		    strcmp(l->server.host, s->host) == 0)
			return l;
	return lane_open(r, s, false);
}

static void
cluster_connect(struct redis *r)
{
	struct lane *l;

	if (r->has_slots)
		return;
	/* One that is still greeting asks by itself. */
	for (l = r->lanes; l != NULL; l = l->next)
		if (!l->is_ready)
			return;
	if (r->lanes == NULL) {
		lane_open(r, &r->servers[r->server_next], false);
		return;
	}
	/* Each time another, for one may be cut off from the others. */
	l = r->lanes;
	for (size_t n = r->server_next; n > 0 && l->next != NULL; n--)
		l = l->next;
	l->is_ready = false;
	LANE_SAY(l, OWED_SLOTS, "CLUSTER", "SLOTS");
	lane_flush(l);
}

void
redis_connect(struct redis *r)
{
	const struct redis_server *s = &r->servers[r->server_next];

	if (r->mode == MODE_CLUSTER)
		cluster_connect(r);
	else if (r->lanes == NULL && r->mode == MODE_SENTINEL)
		lane_open(r, s, true);
	else if (r->lanes == NULL)
		r->main = lane_open(r, s, false);
}

bool
redis_is_ready(const struct redis *r)
{
	if (r->mode != MODE_CLUSTER)
		return r->main != NULL && r->main->is_ready;
	if (!r->has_slots)
		return false;
	for (const struct lane *l = r->lanes; l != NULL; l = l->next)
		if (l->slots > 0 && !l->is_ready)
			return false;
	return true;
}

void
redis_lane_up(struct lane *l)
{
	struct redis *r = l->redis;
	char number[24];

	if (l->is_sentinel) {
		LANE_SAY(l, OWED_MASTER, "SENTINEL", "get-master-addr-by-name",
		    r->master_name);
		lane_flush(l);
		return;
	}
	if (r->password != NULL && r->username != NULL)
		LANE_SAY(l, OWED_HELLO, "AUTH", r->username, r->password);
	else if (r->password != NULL)
		LANE_SAY(l, OWED_HELLO, "AUTH", r->password);
	if (r->database != 0) {
		snprintf(number, sizeof(number), "%lld",
		    (long long)r->database);
		LANE_SAY(l, OWED_HELLO, "SELECT", number);
	}
	if (r->mode == MODE_CLUSTER && !r->has_slots)
		LANE_SAY(l, OWED_SLOTS, "CLUSTER", "SLOTS");
	else if (r->mode == MODE_SENTINEL)
		LANE_SAY(l, OWED_ROLE, "ROLE");
	else
		LANE_SAY(l, OWED_HELLO, "PING");
	lane_flush(l);
}

/* ---- replies ----------------------------------------------------------- */

static const redisReply *
element(const redisReply *r, size_t i)
{
	return r != NULL && r->type == REDIS_REPLY_ARRAY && i < r->elements
	    ? r->element[i]
	    : NULL;
}

/* A cluster node that does not know its own name leaves it out. */
static bool
reply_server(const redisReply *host, const redisReply *port,
    const char *same_host, struct redis_server *s)
{
	long long v = 0;

	if (host == NULL || port == NULL)
		return false;
	if (host->type == REDIS_REPLY_STRING && host->len > 0) {
		if ((size_t)host->len >= sizeof(s->host))
			return false;
		snprintf(s->host, sizeof(s->host), "%s", host->str);
	} else {
		snprintf(s->host, sizeof(s->host), "%s", same_host);
	}
	if (port->type == REDIS_REPLY_INTEGER)
		v = port->integer;
	else if (port->type == REDIS_REPLY_STRING)
		v = strtoll(port->str, NULL, 10);
	s->port = (uint16_t)v;
	return v > 0 && v <= 65535 && s->host[0] != '\0';
}

/* One row of CLUSTER SLOTS: from, to, the master, replicas. */
static bool
range_take(struct redis *r, const redisReply *row, const char *same_host)
{
	const redisReply *from = element(row, 0), *to = element(row, 1);
	const redisReply *node = element(row, 2);
	struct redis_server s;
	struct lane *owner;

	if (from == NULL || to == NULL || node == NULL ||
	    from->type != REDIS_REPLY_INTEGER ||
	    to->type != REDIS_REPLY_INTEGER || from->integer < 0 ||
	    to->integer >= REDIS_SLOTS ||
	    !reply_server(element(node, 0), element(node, 1), same_host, &s))
		return false;
	owner = redis_lane_to(r, &s);
	for (long long k = from->integer; k <= to->integer; k++) {
		if (r->slots[k] != NULL)
			r->slots[k]->slots--;
		r->slots[k] = owner;
		owner->slots++;
	}
	return true;
}

static const char *
on_slots(struct lane *l, const redisReply *reply)
{
	struct redis *r = l->redis;
	char host[sizeof(l->server.host)];

	if (reply->type != REDIS_REPLY_ARRAY)
		return "it is not a cluster node";
	if (reply->elements == 0)
		return "the cluster has no slots yet";
	for (struct lane *k = r->lanes; k != NULL; k = k->next)
		k->slots = 0;
	memset(r->slots, 0, sizeof(r->slots));
	memcpy(host, l->server.host, sizeof(host));
	for (size_t i = 0; i < reply->elements; i++)
		if (!range_take(r, reply->element[i], host))
			return "its answer to CLUSTER SLOTS makes no sense";
	r->has_slots = true;
	l->is_ready = true;
	return NULL;
}

static const char *
on_master(struct lane *l, const redisReply *reply)
{
	struct redis_server s;

	if (!reply_server(element(reply, 0), element(reply, 1),
		l->server.host, &s))
		return "the sentinel knows no such master";
	l->redis->main = lane_open(l->redis, &s, false);
	return NULL;
}

/* The sentinels' word may be old: ask the server itself. */
static const char *
on_role(struct lane *l, const redisReply *reply)
{
	const redisReply *role = element(reply, 0);

	if (role == NULL || role->type != REDIS_REPLY_STRING ||
	    strcmp(role->str, "master") != 0)
		return "it is not the master (any more)";
	l->is_ready = true;
	return NULL;
}

static const char *
on_probe(struct redis *r, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		return reply->str;
	if (r->probes_owed > 0 && --r->probes_owed == 0)
		redis_probe_done(r, true, NULL);
	return NULL;
}

const char *
redis_lane_reply(struct lane *l, struct owed o, const redisReply *reply)
{
	bool is_error = reply->type == REDIS_REPLY_ERROR;

	switch (o.kind) {
	case OWED_RECORD:
		return redis_record_reply(l, o, reply);
	case OWED_OLD_ID:
		redis_old_id_reply(o, reply);
		return NULL;
	case OWED_ASKING:
		return NULL;
	case OWED_HELLO:
		if (is_error)
			return reply->str;
		/* The greeting's last: AUTH and SELECT come before. */
		l->is_ready = l->count == 0;
		return NULL;
	case OWED_MASTER:
		return is_error ? reply->str : on_master(l, reply);
	case OWED_ROLE:
		return is_error ? reply->str : on_role(l, reply);
	case OWED_SLOTS:
		return is_error ? reply->str : on_slots(l, reply);
	case OWED_PROBE:
		return on_probe(l->redis, reply);
	case OWED_VERSION:
	case OWED_COMMAND:
		redis_test_reply(l->redis, o.kind, reply);
		return NULL;
	}
	return NULL;
}

void
redis_lane_replied(struct lane *l)
{
	struct redis *r = l->redis;

	/* A sentinel has said what it was asked. */
	if (l->is_sentinel && l->count == 0)
		lane_free(l);
	redis_pump(r);
	redis_flush(r);
}

/* ---- turns ------------------------------------------------------------- */

void
redis_flush(struct redis *r)
{
	struct lane *l = r->lanes;

	while (l != NULL)
		if (l->is_dirty) {
			/* A failed write ends lanes: begin again. */
			lane_flush(l);
			l = r->lanes;
		} else {
			l = l->next;
		}
}

void
redis_tick(struct redis *r)
{
	ev_tstamp now = ev_now(sink_loop(r->sink));
	struct lane *l = r->lanes;

	while (l != NULL)
		if (l->count > 0 && now - l->oldest > r->timeout_ms / 1000.0) {
			redis_lane_down(l, SINK_UNSURE, "no reply in time");
			l = r->lanes;
		} else {
			l = l->next;
		}
}
