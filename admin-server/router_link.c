#include "admin-server/router_link.h"

#include "admin-server/stream_read.h"
#include "admin-server/subscribe.h"
#include "ipc/proc.h"

static struct {
	struct link *link;
	bool is_welcome;
	struct outbox outbox;
} router;

void
router_link_init(void)
{
	outbox_init(&router.outbox);
}

bool
router_link_is_up(void)
{
	return router.link != NULL && router.is_welcome;
}

struct link *
router_link_get(void)
{
	return router.link;
}

struct outbox *
router_link_outbox(void)
{
	return &router.outbox;
}

/* ---- what the router says -------------------------------------------------- */

static bool
on_welcome(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	router.is_welcome = true;
	outbox_rewind(&router.outbox);
	stream_read_on_router();
	return true;
}

static bool
on_taken(struct link *l, struct frame *f)
{
	(void)l;
	return outbox_taken(&router.outbox, &f->u.taken);
}

/* Who publishes here waits for its answer: nothing is sent again. */
static bool
on_space(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	return true;
}

static bool
on_interest_ok(struct link *l, struct frame *f)
{
	(void)l;
	subscribe_on_ok(f->u.interest_ok.seq);
	return true;
}

static bool
on_deliver(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.deliver.items;
	struct ipc_deliver_item item;
	int got;

	(void)l;
	while ((got = ipc_next_deliver_item(&list, &item)) == 1)
		subscribe_on_message(&item);
	return got == 0;
}

static bool
on_retained(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.retained.items;
	struct ipc_deliver_item item;
	int got;

	(void)l;
	while ((got = ipc_next_deliver_item(&list, &item)) == 1)
		subscribe_on_retained(f->u.retained.conn, &item);
	return got == 0;
}

static bool
on_following(struct link *l, struct frame *f)
{
	(void)l;
	return stream_read_on_following(&f->u.following);
}

static bool
on_segment(struct link *l, struct frame *f)
{
	(void)l;
	if (f->fd_count != 1)
		return false;
	stream_read_on_segment(&f->u.segment, frame_take_fd(f, 0));
	return true;
}

static bool
on_segment_gone(struct link *l, struct frame *f)
{
	(void)l;
	stream_read_on_segment_gone(&f->u.segment_gone);
	return true;
}

static bool
on_watermark(struct link *l, struct frame *f)
{
	(void)l;
	return stream_read_on_watermark(&f->u.watermark);
}

static bool
on_stream_gone(struct link *l, struct frame *f)
{
	(void)l;
	stream_read_on_gone(f->u.stream_gone.id);
	return true;
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
	[IPC_WELCOME] = on_welcome,
	[IPC_TAKEN] = on_taken,
	[IPC_SPACE] = on_space,
	[IPC_INTEREST_OK] = on_interest_ok,
	[IPC_DELIVER] = on_deliver,
	[IPC_RETAINED] = on_retained,
	[IPC_FOLLOWING] = on_following,
	[IPC_SEGMENT] = on_segment,
	[IPC_SEGMENT_GONE] = on_segment_gone,
	[IPC_WATERMARK] = on_watermark,
	[IPC_STREAM_GONE] = on_stream_gone,
};

static void
router_link_close(void)
{
	if (router.link == NULL)
		return;
	link_free(router.link);
	router.link = NULL;
	router.is_welcome = false;
	stream_read_on_router_gone();
}

static void
on_close(struct link *l, const char *reason)
{
	(void)l;
	(void)reason;	/* the link has logged it */
	router_link_close();
}

static const struct link_ops ops = {handlers, on_close};

void
router_link_open(const char *name, int fd)
{
	struct link *l;

	router_link_close();
	l = link_new(proc_loop(), fd, KIND_ADMIN, KIND_ROUTER, name,
	    proc_incarnation(), &ops, NULL);
	router.link = l;
	link_put_registration(l, &(struct ipc_registration){
	    .incarnation = proc_incarnation(),
	    .next_number = outbox_floor(&router.outbox), .next_settle = 1});
	subscribe_on_router();
	link_put_registered(l, &(struct ipc_registered){0});
}

void
router_link_prepare(void)
{
	struct ipc_publish m;

	while (router_link_is_up() && link_credit(router.link) > 0 &&
	    outbox_next(&router.outbox, &m))
		link_put_publish(router.link, &m);
}
