#include "acceptor/mqtt/subscribe.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/outbound.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/shared.h"
#include "base/mem.h"
#include "base/topic.h"
#include "proto/mqtt/topic.h"

#include <stdlib.h>

/* Held from now on; whether a replay is asked for is not known yet. */
#define REPLAY_UNDECIDED UINT64_MAX

/* A SUBSCRIBE or UNSUBSCRIBE that is not answered. */
struct request {
	struct request *of_next;	/* of the client */
	struct request *next, *prev;	/* of all that wait */
	struct client *client;
	uint64_t interest;	/* waits for this INTEREST, 0 none */
	uint64_t seq;		/* waits for this answer of the router, 0 none */
	struct ipc_batch items;	/* what the router was asked */
	uint32_t identifier;	/* subscription identifier */
	uint16_t id;		/* packet identifier */
	bool is_subscribe;
	struct buf filters;	/* as in the packet */
	struct buf reasons;	/* one for each */
};

static struct {
	struct request *first;
	uint64_t next_seq;
	uint64_t next_replay;
	struct buf alias;	/* what "$queue/" stands for */
} requests;

/* ---- life of a request -------------------------------------------------- */

static struct request *
request_new(struct client *c, const struct mqtt_subscribe *s,
    bool is_subscribe)
{
	struct request *r = mem_zalloc(1, sizeof(*r));

	r->client = c;
	r->id = s->id;
	r->is_subscribe = is_subscribe;
	if (is_subscribe && mqtt_has(&s->properties,
	    MQTT_PROP_SUBSCRIPTION_IDENTIFIER))
		r->identifier = s->properties.subscription_identifier;
	r->of_next = c->requests;
	c->requests = r;
	r->next = requests.first;
	if (r->next != NULL)
		r->next->prev = r;
	requests.first = r;
	return r;
}

static void
request_free(struct request *r)
{
	struct request **p;

	for (p = &r->client->requests; *p != r; p = &(*p)->of_next)
		;
	*p = r->of_next;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		requests.first = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	buf_fini(&r->items.bytes);
	buf_fini(&r->filters);
	buf_fini(&r->reasons);
	free(r);
}

void
requests_drop(struct client *c)
{
	while (c->requests != NULL)
		request_free(c->requests);
}

/* Answers it when nothing is waited for any more. */
static void
request_check(struct request *r)
{
	struct client *c = r->client;
	struct mqtt_suback answer = {.id = r->id,
	    .reasons = buf_slice(&r->reasons)};

	if (r->interest != 0 || r->seq != 0)
		return;
	mqtt_suback_add(client_out(c), c->version,
	    r->is_subscribe ? MQTT_SUBACK : MQTT_UNSUBACK, &answer);
	client_added(c);
	request_free(r);
}

/* ---- replays of retained messages --------------------------------------- */

static void
replay_ask(struct subscription *sub)
{
	sub->replay = ++requests.next_replay;
	router_retained_get(sub->client->conn, sub->replay,
	    filter_text(sub->filter));
}

/* MQTT 5, 3.8.3.1: retain handling 0 always, 1 a new one only, 2 never */
static void
replay_decide(struct subscription *sub, uint8_t handling, bool existed)
{
	if (handling == 0 || (handling == 1 && !existed))
		replay_ask(sub);
	else if (sub->replay == REPLAY_UNDECIDED)
		outbound_replayed(sub);
}

void
requests_retained(struct client *c, uint64_t seq, struct ipc_list items,
    bool is_done)
{
	struct subscription *sub = c->subs;
	struct ipc_deliver_item item;
	struct message m;

	while (sub != NULL && sub->replay != seq)
		sub = sub->of_next;
	while (sub != NULL && client_is_on(c) &&
	    ipc_next_deliver_item(&items, &item) > 0) {
		if (outbound_message(&m, &item))
			outbound_retained(sub, &m);
	}
	if (sub != NULL && is_done && client_is_on(c))
		outbound_replayed(sub);
}

/* ---- subscriptions that we serve ---------------------------------------- */

static uint8_t
options_of(const struct mqtt_filter *f)
{
	return (uint8_t)(f->qos | (f->no_local ? SUB_NO_LOCAL : 0) |
	    (f->retain_as_published ? SUB_RETAIN_AS_PUBLISHED : 0) |
	    f->retain_handling << 4);
}

/* Installs it; the request, if any, waits for the router's interest. */
static struct subscription *
local_add(struct client *c, struct slice filter, uint8_t options,
    uint32_t identifier, struct request *r, bool *existed)
{
	struct subscription *sub = subs_add(&mqtt.subs, c, &c->subs, filter,
	    existed);

	sub->options = options;
	sub->id = identifier;
	subs_changed(&mqtt.subs);
	if (r != NULL && !router_has_interest(sub->filter->interest) &&
	    sub->filter->interest > r->interest)
		r->interest = sub->filter->interest;
	return sub;
}

static void
local_remove(struct client *c, struct slice filter)
{
	struct subscription *sub = subs_find(&mqtt.subs, c, c->subs, filter);

	if (sub != NULL)
		subs_remove(&mqtt.subs, &c->subs, sub);
}

/* What it may no longer have is taken out of its session. */
static void
session_unsubscribe(struct client *c, struct ipc_batch *gone)
{
	if (gone->count > 0)
		router_unsubscribe(c->conn, ++requests.next_seq, gone);
	buf_fini(&gone->bytes);
}

void
subscriptions_restore(struct client *c, struct ipc_list subs)
{
	struct ipc_batch gone = {0};
	struct ipc_session_sub item;
	bool existed;

	while (ipc_next_session_sub(&subs, &item) > 0) {
		c->sub_count++;
		if (!admit_may_subscribe(c, item.filter)) {
			ipc_add_filter_item(&gone,
			    &(struct ipc_filter_item){item.filter});
			continue;
		}
		if ((item.options & SUB_QOS) == 0)
			local_add(c, item.filter, item.options, item.sub_id,
			    NULL, &existed);
	}
	session_unsubscribe(c, &gone);
}

/* By the name that the session has it under. */
static void
gone_add(struct ipc_batch *gone, const struct subscription *sub)
{
	const struct group *g = sub->group;
	struct buf name = {0};

	if (g != NULL) {
		buf_add_str(&name, "$share/");
		buf_add(&name, g->name, g->name_len);
		buf_add_u8(&name, '/');
	}
	buf_add_slice(&name, filter_text(sub->filter));
	ipc_add_filter_item(gone,
	    &(struct ipc_filter_item){buf_slice(&name)});
	buf_fini(&name);
}

void
subscriptions_check(struct client *c)
{
	struct subscription *sub = c->subs, *next;
	struct ipc_batch gone = {0};

	for (; sub != NULL; sub = next) {
		next = sub->of_next;
		if (admit_may_subscribe(c, filter_text(sub->filter)))
			continue;
		if (c->session != 0)
			gone_add(&gone, sub);
		subs_remove(&mqtt.subs, &c->subs, sub);
	}
	session_unsubscribe(c, &gone);
}

/* ---- SUBSCRIBE ---------------------------------------------------------- */

static bool
is_shared(struct slice filter)
{
	struct slice group;

	return mqtt_filter_share(&filter, &group);
}

/*
 * "$queue/FILTER" is the group $queue of FILTER. The loan ends with the next
 * call.
 */
static void
alias_take(struct slice *filter)
{
	if (filter->len <= 7 || memcmp(filter->p, "$queue/", 7) != 0)
		return;
	buf_clear(&requests.alias);
	buf_add_str(&requests.alias, "$share/");
	buf_add_slice(&requests.alias, *filter);
	*filter = buf_slice(&requests.alias);
}

/* What is refused before anybody is asked; QoS 0 to 2 otherwise. */
static uint8_t
filter_refusal(const struct client *c, const struct mqtt_filter *f)
{
	if (topic_levels(f->filter) > TOPIC_LEVELS_MAX)
		return MQTT_TOPIC_FILTER_INVALID;
	if (!mqtt.has_shared && is_shared(f->filter))
		return MQTT_SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
	if (!admit_may_subscribe(c, f->filter)) {
		mqtt.stats.subscribes_denied_total++;
		return MQTT_NOT_AUTHORIZED;
	}
	if (c->sub_count >= mqtt.limits.max_subscriptions &&
	    subs_find(&mqtt.subs, c, c->subs, f->filter) == NULL)
		return MQTT_QUOTA_EXCEEDED;
	/* Of a persistent session a member is served while it is connected. */
	return c->session != 0 && is_shared(f->filter) ? 0 : f->qos;
}

static void
subscribe_clean(struct client *c, struct request *r,
    const struct mqtt_filter *f)
{
	struct subscription *sub;
	bool existed;

	sub = local_add(c, f->filter, options_of(f), r->identifier, r,
	    &existed);
	c->sub_count += !existed;
	/* MQTT 5, 4.8.2: a shared one gets no retained messages */
	if (sub->group == NULL)
		replay_decide(sub, f->retain_handling, existed);
}

/* At QoS 0 it is ours to serve, and the router's to remember. */
static void
subscribe_persistent(struct client *c, struct request *r,
    const struct mqtt_filter *f)
{
	struct ipc_session_sub item = {f->filter, options_of(f),
	    r->identifier};
	struct subscription *sub;
	bool existed;

	ipc_add_session_sub(&r->items, &item);
	/* Taken back when it turns out not to be new. */
	c->sub_count++;
	if (f->qos > 0)
		return;
	sub = local_add(c, f->filter, options_of(f), r->identifier, r,
	    &existed);
	if (sub->replay == 0 && sub->group == NULL)
		sub->replay = REPLAY_UNDECIDED;
}

void
subscribe(struct client *c, const struct mqtt_subscribe *s)
{
	struct request *r = request_new(c, s, true);
	struct slice rest = s->filters;
	struct mqtt_filter f;
	uint8_t reason;

	while (mqtt_filter_next(&rest, &f)) {
		alias_take(&f.filter);
		reason = filter_refusal(c, &f);
		if (reason < 0x80)
			f.qos = reason;
		buf_add_u8(&r->reasons, reason);
		if (reason >= 0x80)
			continue;
		if (c->session != 0)
			subscribe_persistent(c, r, &f);
		else
			subscribe_clean(c, r, &f);
	}
	if (r->items.count > 0) {
		buf_add_slice(&r->filters, s->filters);
		r->seq = ++requests.next_seq;
		router_subscribe(c->conn, r->seq, &r->items);
	}
	request_check(r);
	if (client_is_on(c))
		shared_resume(c);
}

/* One filter of a persistent session's SUBSCRIBE has its answer. */
static void
subscribed_one(struct client *c, const struct mqtt_filter *f,
    const struct ipc_sub_result *result, uint8_t *reason)
{
	struct subscription *sub;

	*reason = result->reason;
	c->sub_count -= result->existed != 0 || result->reason >= 0x80;
	if (f->qos > 0 || result->reason >= 0x80) {
		local_remove(c, f->filter);
		return;
	}
	sub = subs_find(&mqtt.subs, c, c->subs, f->filter);
	if (sub != NULL && sub->group == NULL)
		replay_decide(sub, f->retain_handling, result->existed != 0);
}

static void
on_subscribed(struct request *r, struct ipc_list results)
{
	struct slice rest = buf_slice(&r->filters);
	struct ipc_sub_result result;
	struct mqtt_filter f;
	uint8_t *reason = r->reasons.p + r->reasons.off;

	for (; mqtt_filter_next(&rest, &f); reason++) {
		if (*reason >= 0x80)
			continue;
		if (ipc_next_sub_result(&results, &result) <= 0)
			break;
		alias_take(&f.filter);
		if (is_shared(f.filter))
			f.qos = 0;
		subscribed_one(r->client, &f, &result, reason);
	}
}

/* ---- UNSUBSCRIBE -------------------------------------------------------- */

void
unsubscribe(struct client *c, const struct mqtt_subscribe *s)
{
	struct request *r = request_new(c, s, false);
	struct slice rest = s->filters, filter;
	bool existed;

	while (mqtt_unfilter_next(&rest, &filter)) {
		alias_take(&filter);
		existed = subs_find(&mqtt.subs, c, c->subs, filter) != NULL;
		local_remove(c, filter);
		if (c->session == 0)
			c->sub_count -= existed;
		buf_add_u8(&r->reasons, existed ? MQTT_SUCCESS :
		    MQTT_NO_SUBSCRIPTION_EXISTED);
		if (c->session != 0)
			ipc_add_filter_item(&r->items,
			    &(struct ipc_filter_item){filter});
	}
	if (r->items.count > 0) {
		r->seq = ++requests.next_seq;
		router_unsubscribe(c->conn, r->seq, &r->items);
	}
	request_check(r);
}

static void
on_unsubscribed(struct request *r, struct ipc_list results)
{
	struct ipc_sub_result result;
	uint8_t *reason = r->reasons.p + r->reasons.off;
	size_t i, n = buf_len(&r->reasons);

	for (i = 0; i < n && ipc_next_sub_result(&results, &result) > 0; i++) {
		reason[i] = result.existed != 0 ? MQTT_SUCCESS :
		    MQTT_NO_SUBSCRIPTION_EXISTED;
		r->client->sub_count -= result.existed != 0;
	}
}

/* ---- the router's answers ----------------------------------------------- */

void
requests_subscribed(struct client *c, uint64_t seq, struct ipc_list results)
{
	struct request *r = c->requests;

	while (r != NULL && r->seq != seq)
		r = r->of_next;
	if (r == NULL || !client_is_on(c))
		return;
	r->seq = 0;
	if (r->is_subscribe)
		on_subscribed(r, results);
	else
		on_unsubscribed(r, results);
	/* A replay that was over at once may have closed the client. */
	if (client_is_on(c))
		request_check(r);
}

/*
 * An answer may close its client, which frees that client's requests, and
 * the next one may be among them: begin again after each.
 */
void
requests_interest(uint64_t confirmed)
{
	struct request *r = requests.first;

	while (r != NULL) {
		if (r->interest == 0 || r->interest > confirmed) {
			r = r->next;
			continue;
		}
		r->interest = 0;
		if (r->seq != 0) {
			r = r->next;
			continue;
		}
		request_check(r);
		r = requests.first;
	}
}

static void
replays_again(struct client *c, void *arg)
{
	struct subscription *sub;

	(void)arg;
	for (sub = c->subs; sub != NULL; sub = sub->of_next) {
		if (sub->replay != 0 && sub->replay != REPLAY_UNDECIDED)
			router_retained_get(c->conn, sub->replay,
			    filter_text(sub->filter));
	}
}

void
requests_again(void)
{
	struct request *r;

	for (r = requests.first; r != NULL; r = r->next) {
		if (r->seq != 0 && r->is_subscribe)
			router_subscribe(r->client->conn, r->seq, &r->items);
		else if (r->seq != 0)
			router_unsubscribe(r->client->conn, r->seq,
			    &r->items);
	}
	clients_each(replays_again, NULL);
}
