#include "router/handle.h"

#include "base/log.h"
#include "ipc/proc.h"
#include "router/barrier.h"
#include "router/boot.h"
#include "router/conn.h"
#include "router/delivery.h"
#include "router/publish.h"
#include "router/reader.h"
#include "router/retained.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/settle.h"
#include "router/wanted.h"

#include <errno.h>
#include <string.h>

static bool
on_register(struct link *l, struct frame *f)
{
	const struct ipc_registration *m = &f->u.registration;
	struct sender *s = link_arg(l);

	if (s->is_registered)
		return false;
	s->is_registered = true;
	s->incarnation = m->incarnation;
	s->retained = s->retained_put = boot_retained_number(m->incarnation);
	return true;
}

static bool
on_registered(struct link *l, struct frame *f)
{
	struct sender *s = link_arg(l);

	(void)f;
	if (!s->is_registered || s->is_complete)
		return false;
	s->is_complete = true;
	delivery_ready_all(s);
	barrier_step();
	return true;
}

static bool
on_interest(struct link *l, struct frame *f)
{
	if (!wanted_interest(link_arg(l), f->u.interest.items))
		return false;
	wanted_raise();
	link_put_interest_ok(
	    l, &(struct ipc_interest_ok){.seq = f->u.interest.seq});
	return true;
}

static bool
on_publish(struct link *l, struct frame *f)
{
	struct sender *s = link_arg(l);
	struct ipc_list items = f->u.publish.items;
	uint64_t number = f->u.publish.number;
	struct ipc_publish_item item;
	int rc;

	if (!s->is_welcome || number <= s->number)
		return false;
	s->held += f->size + IPC_HEADER_LEN;
	while ((rc = ipc_next_publish_item(&items, &item)) == 1)
		publish_take(s, number++, &item);
	return rc == 0;
}

static bool
on_connect(struct link *l, struct frame *f)
{
	struct sender *s = link_arg(l);

	if (!s->is_registered)
		return false;
	conn_open(s, &f->u.connect);
	return true;
}

static bool
on_reclaim(struct link *l, struct frame *f)
{
	struct sender *s = link_arg(l);

	return s->is_registered && conn_reclaim(s, &f->u.reclaim);
}

static bool
on_disconnect(struct link *l, struct frame *f)
{
	conn_close(link_arg(l), &f->u.disconnect);
	return true;
}

static bool
on_subscribe(struct link *l, struct frame *f)
{
	conn_subscribe(link_arg(l), &f->u.subscribe);
	return true;
}

static bool
on_unsubscribe(struct link *l, struct frame *f)
{
	conn_unsubscribe(link_arg(l), &f->u.unsubscribe);
	return true;
}

static bool
on_settle(struct link *l, struct frame *f)
{
	return settle_take(link_arg(l), &f->u.settle);
}

static bool
on_retained_get(struct link *l, struct frame *f)
{
	const struct ipc_retained_get *m = &f->u.retained_get;

	retained_replay(link_arg(l), m->conn, m->seq, m->filter);
	return true;
}

static bool
on_follow(struct link *l, struct frame *f)
{
	reader_follow(link_arg(l), &f->u.follow);
	return true;
}

static bool
on_unfollow(struct link *l, struct frame *f)
{
	reader_unfollow(link_arg(l), f->u.unfollow.id);
	return true;
}

static bool
on_consumed(struct link *l, struct frame *f)
{
	reader_consumed(link_arg(l), &f->u.consumed);
	return true;
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_REGISTER] = on_register,
    [IPC_REGISTERED] = on_registered,
    [IPC_INTEREST] = on_interest,
    [IPC_PUBLISH] = on_publish,
    [IPC_CONNECT] = on_connect,
    [IPC_RECLAIM] = on_reclaim,
    [IPC_DISCONNECT] = on_disconnect,
    [IPC_SUBSCRIBE] = on_subscribe,
    [IPC_UNSUBSCRIBE] = on_unsubscribe,
    [IPC_SETTLE] = on_settle,
    [IPC_RETAINED_GET] = on_retained_get,
    [IPC_FOLLOW] = on_follow,
    [IPC_UNFOLLOW] = on_unfollow,
    [IPC_CONSUMED] = on_consumed,
};

/* A process that died with our frames unread ends its link so. */
static bool
is_death(const char *reason)
{
	return strcmp(reason, "closed") == 0 ||
	    strcmp(reason, strerror(ECONNRESET)) == 0 ||
	    strcmp(reason, strerror(EPIPE)) == 0;
}

/* The process died, or broke a rule: then it has to go too. */
static void
on_close(struct link *l, const char *reason)
{
	struct sender *s = link_arg(l);

	if (!is_death(reason))
		link_put_stuck(proc_control(),
		    &(struct ipc_stuck){.name = slice_str(s->name)});
	conns_lost(s);
	readers_forget(s);
	wanted_forget(s);
	sender_free(s);
	barrier_step();
}

static const struct link_ops ops = {
    .on = handlers,
    .on_close = on_close,
};

void
handle_link(enum ipc_kind kind, const char *name, int fd)
{
	struct sender *old, *next;

	/* One of the same name is its dead predecessor's. */
	for (old = LIST_FIRST(senders_all()); old != NULL; old = next) {
		next = LIST_NEXT(old, entry);
		if (strcmp(old->name, name) == 0)
			on_close(old->link, "closed");
	}
	sender_open(kind, name, fd, &ops);
}
