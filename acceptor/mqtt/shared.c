#include "acceptor/mqtt/shared.h"

#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/roster.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A message that waits, or that a member has not acknowledged. */
struct shared_message {
	struct shared_message *next;
	struct group *group;
	uint64_t seq;		/* at the member that has it */
	uint64_t expires_ms, hash;
	uint32_t topic_len, payload_len, properties_len;
	uint32_t expiry_at;
	uint8_t qos, sent_qos;
	bool retain, dup;
	uint8_t bytes[];	/* topic, payload, properties */
};

static struct {
	struct group **held;	/* of the message that is on its way */
	size_t count, cap;
} shared;

enum shared_strategy
shared_strategy_parse(const char *name)
{
	static const char *const names[] = {"round_robin", "random", "sticky",
	    "hash_client", "hash_topic"};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum shared_strategy)i;
	return SHARED_ROUND_ROBIN;
}

/* ---- messages ----------------------------------------------------------- */

static size_t
message_size(const struct shared_message *s)
{
	return sizeof(*s) + s->topic_len + s->payload_len + s->properties_len;
}

static struct shared_message *
message_keep(struct group *g, const struct message *m, uint64_t hash)
{
	struct shared_message *s = mem_alloc(sizeof(*s) + m->topic.len +
	    m->payload.len + m->properties.len);
	uint8_t *p = s->bytes;

	*s = (struct shared_message){.group = g, .hash = hash,
	    .expires_ms = m->expires_ms, .expiry_at = m->expiry_at,
	    .topic_len = (uint32_t)m->topic.len,
	    .payload_len = (uint32_t)m->payload.len,
	    .properties_len = (uint32_t)m->properties.len,
	    .qos = m->qos, .retain = m->retain};
	memcpy(p, m->topic.p, m->topic.len);
	p += m->topic.len;
	if (m->payload.len > 0)
		memcpy(p, m->payload.p, m->payload.len);
	p += m->payload.len;
	if (m->properties.len > 0)
		memcpy(p, m->properties.p, m->properties.len);
	g->references++;
	return s;
}

static void
message_free(struct shared_message *s)
{
	group_release(s->group);
	free(s);
}

/* False when it has expired. */
static bool
message_show(const struct shared_message *s, struct message *m)
{
	uint64_t now = clients_now_ms();

	*m = (struct message){
	    .topic = slice_of(s->bytes, s->topic_len),
	    .payload = slice_of(s->bytes + s->topic_len, s->payload_len),
	    .properties = slice_of(s->bytes + s->topic_len + s->payload_len,
	    s->properties_len),
	    .expiry_at = s->expiry_at, .expires_ms = s->expires_ms,
	    .qos = s->qos, .retain = s->retain};
	if (s->expires_ms == 0)
		return true;
	if (s->expires_ms <= now) {
		mqtt.stats.messages_expired_total++;
		return false;
	}
	m->expiry = (uint32_t)((s->expires_ms - now + 999) / 1000);
	return true;
}

/* ---- whose turn it is --------------------------------------------------- */

static struct subscription *
member_at(const struct group *g, uint64_t i)
{
	struct subscription *sub = g->first;

	for (i %= g->count; i > 0; i--)
		sub = sub->next;
	return sub;
}

static struct subscription *
member_first(const struct group *g, uint64_t hash)
{
	switch (mqtt.shared_strategy) {
	case SHARED_ROUND_ROBIN:
	case SHARED_STICKY:
		return g->cursor != NULL ? g->cursor : g->first;
	case SHARED_RANDOM:
		return member_at(g, random_u64());
	case SHARED_HASH_CLIENT:
	case SHARED_HASH_TOPIC:
		return member_at(g, hash);
	}
	return g->first;
}

/* The next that can take it now, at the QoS that it would have. */
static struct subscription *
member_choose(struct group *g, uint8_t qos, uint64_t hash)
{
	struct subscription *sub = g->count == 0 ? NULL :
	    member_first(g, hash);
	uint32_t i;

	for (i = 0; i < g->count; i++) {
		if (outbound_may_take(sub, qos)) {
			g->cursor = mqtt.shared_strategy == SHARED_STICKY ?
			    sub : sub->next;
			return sub;
		}
		sub = sub->next != NULL ? sub->next : g->first;
	}
	return NULL;
}

/* By what the strategy looks at. */
static uint64_t
message_hash(const struct message *m)
{
	struct slice s = m->topic;

	if (mqtt.shared_strategy == SHARED_HASH_CLIENT)
		s = m->publisher != NULL ? client_id(m->publisher) :
		    m->publisher_id;
	return s.len == 0 ? 0 : XXH3_64bits(s.p, s.len);
}

/* ---- what waits --------------------------------------------------------- */

static void
pending_add(struct group *g, struct shared_message *s, bool at_front)
{
	s->next = at_front ? g->pending : NULL;
	if (at_front)
		g->pending = s;
	else if (g->pending_last != NULL)
		g->pending_last->next = s;
	else
		g->pending = s;
	if (s->next == NULL)
		g->pending_last = s;
	g->pending_count++;
	g->pending_bytes += message_size(s);
}

static struct shared_message *
pending_take(struct group *g)
{
	struct shared_message *s = g->pending;

	g->pending = s->next;
	if (g->pending == NULL)
		g->pending_last = NULL;
	g->pending_count--;
	g->pending_bytes -= message_size(s);
	return s;
}

void
shared_drop(struct group *g)
{
	while (g->pending != NULL) {
		mqtt.stats.shared_dropped_total++;
		message_free(pending_take(g));
	}
}

static void
wait_for_member(struct group *g, const struct message *m, uint64_t hash)
{
	struct subscription *sub = g->first;

	/* At QoS 0 it is as with any subscriber that does not read. */
	while (sub != NULL && (sub->options & SUB_QOS) == 0)
		sub = sub->next;
	if (m->qos == 0 || sub == NULL ||
	    g->pending_count >= mqtt.limits.max_queued ||
	    g->pending_bytes >= mqtt.limits.max_queued_bytes) {
		mqtt.stats.shared_dropped_total++;
		return;
	}
	pending_add(g, message_keep(g, m, hash), false);
}

/* ---- sending ------------------------------------------------------------ */

/* The kept copy follows the message until it is acknowledged. */
static void
unanswered_add(struct client *c, struct shared_message *s, uint64_t seq)
{
	struct flow *f = client_flow(c);

	s->seq = seq;
	s->next = NULL;
	if (f->shared_last != NULL)
		f->shared_last->next = s;
	else
		f->shared = s;
	f->shared_last = s;
}

/* s: the kept copy, taken over, or NULL. */
static void
send_to(struct subscription *sub, const struct message *m,
    struct shared_message *s, uint64_t hash)
{
	struct group *g = sub->group;
	struct client *c = sub->client;
	uint8_t qos = sub->options & SUB_QOS;
	uint64_t seq;
	bool is_tracked;

	/* It may close the client, and that frees the subscription. */
	g->references++;
	is_tracked = outbound_shared(sub, m, s != NULL && s->dup, &seq);
	if (is_tracked && client_is_on(c)) {
		if (s == NULL)
			s = message_keep(g, m, hash);
		s->sent_qos = qos < m->qos ? qos : m->qos;
		unanswered_add(c, s, seq);
	} else if (s != NULL) {
		message_free(s);
	}
	group_release(g);
}

/* The loan of the group outlives whatever is closed meanwhile. */
static void
pump(struct group *g)
{
	struct subscription *sub;
	struct shared_message *s;
	struct message m;

	g->references++;
	while (g->pending != NULL && g->count > 0) {
		s = g->pending;
		if (!message_show(s, &m)) {
			message_free(pending_take(g));
			continue;
		}
		sub = member_choose(g, m.qos, s->hash);
		if (sub == NULL)
			break;
		send_to(sub, &m, pending_take(g), s->hash);
	}
	group_release(g);
}

static void
group_send(struct group *g, const struct message *m, uint64_t hash)
{
	struct subscription *sub;

	/* In their order: what waited goes first. */
	if (g->pending != NULL)
		pump(g);
	sub = g->pending != NULL && m->qos > 0 ? NULL :
	    member_choose(g, m->qos, hash);
	if (sub != NULL)
		send_to(sub, m, NULL, hash);
	else if (g->count > 0)
		wait_for_member(g, m, hash);
}

void
shared_hold(const struct route *route)
{
	uint32_t i, n = route->group_count;

	if (n > shared.cap) {
		shared.cap = n * 2;
		shared.held = mem_realloc(shared.held,
		    shared.cap * sizeof(struct group *));
	}
	shared.count = n;
	for (i = 0; i < n; i++) {
		shared.held[i] = route->groups[i];
		shared.held[i]->references++;
	}
}

void
shared_fan(const struct message *m)
{
	uint64_t hash = message_hash(m);
	size_t i;

	for (i = 0; i < shared.count; i++) {
		group_send(shared.held[i], m, hash);
		group_release(shared.held[i]);
	}
	shared.count = 0;
}

/* ---- what members answer ------------------------------------------------ */

void
shared_resume(struct client *c)
{
	struct subscription *sub = c->subs, *next;

	for (; sub != NULL && client_is_on(c); sub = next) {
		next = sub->of_next;
		if (sub->group == NULL || sub->group->pending == NULL)
			continue;
		pump(sub->group);
		/* Begin again where the list may have changed. */
		if (!client_is_on(c))
			return;
	}
}

void
shared_answered(struct client *c, uint64_t seq)
{
	struct flow *f = c->flow;
	struct shared_message *s, *before = NULL;

	for (s = f->shared; s != NULL && s->seq != seq; s = s->next)
		before = s;
	if (s == NULL)
		return;
	if (before != NULL)
		before->next = s->next;
	else
		f->shared = s->next;
	if (f->shared_last == s)
		f->shared_last = before;
	message_free(s);
	shared_resume(c);
}

void
shared_left(struct client *c)
{
	struct flow *f = c->flow;
	struct shared_message *s, *list = NULL;
	struct group *g;

	if (f == NULL || f->shared == NULL)
		return;
	/* Backwards, so that the oldest is at the front in the end. */
	while ((s = f->shared) != NULL) {
		f->shared = s->next;
		s->next = list;
		list = s;
	}
	f->shared_last = NULL;
	while ((s = list) != NULL) {
		list = s->next;
		g = s->group;
		if (s->sent_qos == 2 || g->count == 0) {
			message_free(s);
			continue;
		}
		s->dup = true;
		mqtt.stats.shared_redelivered_total++;
		pending_add(g, s, true);
		/* Only once it is whole again: the next is of this group. */
		if (list == NULL || list->group != g)
			pump(g);
	}
}
