/* links: ipc base */
#include "base/mem.h"
#include "ipc/link.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct side {
	struct link *l;
	size_t items, frames, segments;
	char reason[100];
	char text[16];
	bool wants_stop, credited;
} a, b;
static struct ev_loop *loop;
static int ends[2];

static bool
on_publish(struct link *l, struct frame *f)
{
	struct side *s = link_arg(l);
	struct ipc_publish_item item;
	int rc;

	s->frames++;
	while ((rc = ipc_next_publish_item(&f->u.publish.items, &item)) == 1)
		s->items++;
	return rc == 0;
}

static bool
on_segment(struct link *l, struct frame *f)
{
	struct side *s = link_arg(l);
	int fd = frame_take_fd(f, 0);

	s->segments++;
	cr_assert_neq(fd, -1);
	memset(s->text, 0, sizeof(s->text));
	cr_assert_gt(pread(fd, s->text, sizeof(s->text) - 1, 0), 0);
	close(fd);
	return true;
}

static bool
on_pong(struct link *l, struct frame *f)
{
	(void)f;
	((struct side *)link_arg(l))->frames++;
	return true;
}

static void
on_close(struct link *l, const char *reason)
{
	struct side *s = link_arg(l);

	snprintf(s->reason, sizeof(s->reason), "%s", reason);
	link_free(l);
	s->l = NULL;
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_PUBLISH] = on_publish,
    [IPC_SEGMENT] = on_segment,
    [IPC_PONG] = on_pong,
};
static const struct link_ops ops = {handlers, on_close};

static void
turn(int times)
{
	while (times-- > 0) {
		link_flush_all();
		ev_run(loop, EVRUN_NOWAIT);
	}
}

static void
set_up(void)
{
	loop = ev_loop_new(EVBACKEND_EPOLL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	a.l = link_new(loop, ends[0], KIND_ACCEPTOR, KIND_ROUTER, "router", 11,
	    &ops, &a);
}

static void
set_up_both(void)
{
	set_up();
	b.l = link_new(loop, ends[1], KIND_ROUTER, KIND_ACCEPTOR, "mqtt", 22,
	    &ops, &b);
	turn(4);
	cr_assert_eq(link_peer_incarnation(a.l), 22);
	cr_assert_eq(link_peer_incarnation(b.l), 11);
}

static void
publish(struct link *l, size_t items, size_t size)
{
	struct ipc_batch batch = {0};
	char *payload = mem_zalloc(1, size);
	struct ipc_publish_item item = {.topic = slice_str("t"),
	    .payload = slice_of(payload, size), .client_id = SLICE_EMPTY,
	    .protocol = SLICE_EMPTY};

	while (items-- > 0)
		ipc_add_publish_item(&batch, &item);
	link_put_publish(l, &(struct ipc_publish){.number = 1,
	    .items = ipc_batch_list(&batch)});
	buf_fini(&batch.bytes);
	free(payload);
}

Test(link, frames_arrive_whole_and_in_order, .init = set_up_both)
{
	publish(a.l, 1000, 200);
	publish(a.l, 1, 5000000);	/* larger than any buffer on the way */
	publish(a.l, 3, 10);
	turn(200);
	cr_assert_eq(b.items, 1004);
	cr_assert_eq(b.frames, 3);
	cr_assert_not_null(b.l);
}

Test(link, descriptors_travel_with_their_frame, .init = set_up_both)
{
	char name[] = "/tmp/bulkhead-linkXXXXXX";
	int fd = mkstemp(name), got = 0;

	cr_assert_eq(write(fd, "hello", 5), 5);
	unlink(name);
	for (int i = 0; i < 40; i++)
		link_put_fds(b.l, IPC_SEGMENT,
		    &(union ipc_any){.segment = {.base_offset = 1}}, &fd, 1);
	close(fd);
	/* the router's end sends; an acceptor may receive segments */
	turn(60);
	got = (int)a.segments;
	cr_assert_eq(got, 40, "%d %s", got, a.reason);
	cr_assert_str_eq(a.text, "hello");
}

static void
on_credit(struct link *l)
{
	((struct side *)link_arg(l))->credited = true;
}

Test(link, data_waits_for_credit, .init = set_up_both)
{
	link_set_manual(b.l);
	link_on_credit(a.l, on_credit);
	for (int i = 0; i < 12; i++)
		publish(a.l, 1, 1 << 20);
	turn(300);
	cr_assert_eq(b.frames, 8);	/* the window, 8 MiB */
	cr_assert_leq(link_credit(a.l), 0);

	link_grant(b.l, 5u << 20);
	turn(100);
	cr_assert_eq(b.frames, 12);
	cr_assert(a.credited);
}

Test(link, a_wrong_kind_is_refused, .init = set_up)
{
	b.l = link_new(loop, ends[1], KIND_WORKER, KIND_ACCEPTOR, "x", 1, &ops,
	    &b);
	turn(4);
	cr_assert_null(a.l);
	cr_assert_str_eq(a.reason, "the peer is not of the expected kind");
}

static void
raw_hello(uint64_t hash)
{
	struct buf out = {0};

	ipc_put_hello(&out, &(struct ipc_hello){.table_hash = hash,
	    .name = slice_str("r"), .kind = KIND_ROUTER});
	cr_assert_eq(write(ends[1], buf_data(&out), buf_len(&out)),
	    (ssize_t)buf_len(&out));
	buf_fini(&out);
}

static void
expect_end(const char *reason)
{
	turn(4);
	cr_assert_null(a.l);
	cr_assert_str_eq(a.reason, reason);
}

Test(link, another_build_is_refused, .init = set_up)
{
	raw_hello(ipc_table_hash() + 1);
	expect_end("the peer is of another build");
}

Test(link, hello_comes_first, .init = set_up)
{
	cr_assert_eq(write(ends[1], "\0\0\0\2\x2c\0\0\0\x91\1", 10), 10);
	expect_end("hello out of place");
}

Test(link, a_message_needs_permission, .init = set_up)
{
	struct buf out = {0};

	raw_hello(ipc_table_hash());
	ipc_put_setup(&out, &(struct ipc_setup){.name = slice_str("x"),
	    .config = slice_str("{}"), .watchdog_ms = 100});
	cr_assert_gt(write(ends[1], buf_data(&out), buf_len(&out)), 0);
	buf_fini(&out);
	expect_end("message not permitted from this peer");
}

Test(link, a_frame_has_a_bound, .init = set_up)
{
	raw_hello(ipc_table_hash());
	cr_assert_eq(write(ends[1], "\1\0\0\1\x20\0\0\0", 8), 8);
	expect_end("frame too large");
}

Test(link, unknown_and_malformed_frames_end_it, .init = set_up)
{
	raw_hello(ipc_table_hash());
	cr_assert_eq(write(ends[1], "\0\0\0\1\xfe\0\0\0\x90", 9), 9);
	expect_end("unknown message");
}

Test(link, promised_descriptors_must_come, .init = set_up)
{
	struct buf out = {0};

	raw_hello(ipc_table_hash());
	ipc_put_segment(&out, &(struct ipc_segment){.id = 1});
	out.p[5] = 1;
	cr_assert_gt(write(ends[1], buf_data(&out), buf_len(&out)), 0);
	buf_fini(&out);
	expect_end("descriptors are missing");
}

Test(link, what_the_dead_wrote_is_still_read, .init = set_up_both)
{
	publish(a.l, 10, 100);
	link_flush_all();
	link_free(a.l);
	turn(4);
	cr_assert_eq(b.items, 10);
	cr_assert_null(b.l);
	cr_assert_str_eq(b.reason, "closed");
}
