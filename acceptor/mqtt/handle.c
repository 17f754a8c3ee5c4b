/* What the router tells us: one function per message. */
#include "acceptor/mqtt/client.h"
#include "acceptor/mqtt/inbound.h"
#include "acceptor/mqtt/login.h"
#include "acceptor/mqtt/outbound.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/subscribe.h"
#include "ipc/link.h"

static bool
on_welcome(struct link *l, struct frame *f)
{
	(void)l;
	if (f->fd_count != 1 || !wanted_map(&mqtt.wanted, f->fds[0]))
		return false;
	router_welcomed(f->u.welcome.generation);
	return true;
}

static bool
on_interest_ok(struct link *l, struct frame *f)
{
	(void)l;
	router_interest_ok(f->u.interest_ok.seq);
	return true;
}

static bool
on_wanted(struct link *l, struct frame *f)
{
	struct ipc_wanted *m = &f->u.wanted;
	struct ipc_wanted_item item;
	int more;

	(void)l;
	if (m->reset)
		wanted_clear(&mqtt.wanted);
	while ((more = ipc_next_wanted_item(&m->items, &item)) > 0) {
		if (item.add)
			wanted_add(&mqtt.wanted, item.filter);
		else
			wanted_remove(&mqtt.wanted, item.filter);
	}
	wanted_apply(&mqtt.wanted, m->generation);
	return more == 0;
}

static bool
on_taken(struct link *l, struct frame *f)
{
	(void)l;
	router_taken(&f->u.taken);
	return true;
}

static bool
on_space(struct link *l, struct frame *f)
{
	(void)l;
	router_space(f->u.space.full != 0);
	return true;
}

static bool
on_deliver(struct link *l, struct frame *f)
{
	struct ipc_list items = f->u.deliver.items;
	struct ipc_deliver_item item;
	const struct route *route;
	struct message m;
	int more;

	(void)l;
	while ((more = ipc_next_deliver_item(&items, &item)) > 0) {
		if (!seen_add(&mqtt.seen, item.sender, item.number))
			continue;
		route = route_find(&mqtt.routes, item.topic);
		if (route != NULL &&
		    (route->count > 0 || route->group_count > 0) &&
		    outbound_message(&m, &item))
			outbound_fan(route, &m);
	}
	return more == 0;
}

static bool
on_connected(struct link *l, struct frame *f)
{
	struct client *c = client_find(f->u.connected.conn);

	(void)l;
	if (c != NULL)
		login_connected(c, &f->u.connected);
	return true;
}

static bool
on_takeover(struct link *l, struct frame *f)
{
	struct client *c = client_find(f->u.takeover.conn);

	(void)l;
	if (c == NULL)
		return true;
	mqtt.stats.clients_taken_over_total++;
	client_fail(c, (enum mqtt_reason)f->u.takeover.reason);
	return true;
}

static bool
on_subscribed(struct link *l, struct frame *f)
{
	struct client *c = client_find(f->u.subscribed.conn);

	(void)l;
	if (c != NULL)
		requests_subscribed(c, f->u.subscribed.seq,
		    f->u.subscribed.results);
	return true;
}

static bool
on_unsubscribed(struct link *l, struct frame *f)
{
	struct client *c = client_find(f->u.unsubscribed.conn);

	(void)l;
	if (c != NULL)
		requests_subscribed(c, f->u.unsubscribed.seq,
		    f->u.unsubscribed.results);
	return true;
}

static bool
on_queue(struct link *l, struct frame *f)
{
	struct ipc_list items = f->u.queue.items;
	struct ipc_queue_item item;
	struct client *c;
	int more;

	(void)l;
	while ((more = ipc_next_queue_item(&items, &item)) > 0) {
		c = client_find(item.conn);
		if (c != NULL)
			outbound_queue(c, &item);
	}
	return more == 0;
}

static bool
on_release(struct link *l, struct frame *f)
{
	struct ipc_list items = f->u.release.items;
	struct ipc_release_item item;
	struct client *c;
	int more;

	(void)l;
	while ((more = ipc_next_release_item(&items, &item)) > 0) {
		c = client_find(item.conn);
		if (c == NULL)
			continue;
		if (item.kind == SETTLE_RELEASE)
			inbound_released(c, (uint16_t)item.seq);
		else
			outbound_release(c, item.seq);
	}
	return more == 0;
}

static bool
on_retained(struct link *l, struct frame *f)
{
	struct ipc_retained *m = &f->u.retained;
	struct client *c = client_find(m->conn);

	(void)l;
	if (c != NULL)
		requests_retained(c, m->seq, m->items, m->done != 0);
	return true;
}

static void
on_close(struct link *l, const char *reason)
{
	(void)l;
	(void)reason;
	router_closed();
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_WELCOME] = on_welcome,
    [IPC_INTEREST_OK] = on_interest_ok,
    [IPC_WANTED] = on_wanted,
    [IPC_TAKEN] = on_taken,
    [IPC_SPACE] = on_space,
    [IPC_DELIVER] = on_deliver,
    [IPC_CONNECTED] = on_connected,
    [IPC_TAKEOVER] = on_takeover,
    [IPC_SUBSCRIBED] = on_subscribed,
    [IPC_UNSUBSCRIBED] = on_unsubscribed,
    [IPC_QUEUE] = on_queue,
    [IPC_RELEASE] = on_release,
    [IPC_RETAINED] = on_retained,
};

const struct link_ops router_ops = {.on = handlers, .on_close = on_close};
