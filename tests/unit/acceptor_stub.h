/*
 * acceptor_stub - an acceptor-mqtt under test, with us as its supervisor and
 * router.
 *
 * The program is the real one. What it sends the router is written down in
 * struct stub; what the router answers is the least that is right, and a
 * test may switch parts of it off, or end the link and make another.
 * Clients are plain sockets; stub_turn lets the links work.
 */
#ifndef TESTS_UNIT_ACCEPTOR_STUB_H
#define TESTS_UNIT_ACCEPTOR_STUB_H

#include "base/props.h"
#include "base/ring.h"
#include "ipc/link.h"
#include "tests/unit/mqtt_hex.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct stub_publish {
	uint64_t number;
	char topic[64];
	char payload[64];
	char client_id[32];
	uint8_t flags;
	uint64_t session;
	uint16_t mid;
	uint64_t expires_ms;
	struct buf props;
};

static struct stub {
	struct ev_loop *loop;
	struct link *control, *router;
	pid_t pid;
	uint16_t port;
	int page_fd, listener_fd;
	uint64_t *page;
	uint64_t next_epoch, next_session;
	/* What the router does not do, for a while. */
	bool holds_taken, holds_connected, holds_interest, holds_replay;
	uint8_t refuses;	/* this reason for every message */
	bool is_present;	/* CONNECTED says so... */
	struct slice received;	/* ...and names these identifiers */
	/* What was seen. */
	struct stub_publish publishes[64];
	size_t publish_count;
	uint64_t last_number, last_settle;
	uint64_t interest_seq;
	size_t interest_count;
	char interest[16][64];
	struct ipc_connect last_connect;
	char connect_id[64], connect_will[64];
	uint64_t last_conn, last_session;
	size_t connect_count, disconnect_count, reclaim_count;
	struct ipc_disconnect last_disconnect;
	struct ipc_settle_item settles[64];
	size_t settle_count;
	uint64_t replay_conn, replay_seq;
	char reclaimed[256];
	size_t reclaimed_in_flight;
	uint64_t subscribe_seq, subscribe_conn;
	size_t session_subs;
	bool is_ready;
} stub;

static inline void
stub_text(char *to, size_t cap, struct slice s)
{
	snprintf(to, cap, "%.*s", SLICE_ARG(s));
}

static bool
stub_on_registration(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	return true;
}

static void
stub_send_taken(void)
{
	struct ipc_taken m = {.number = stub.last_number,
	    .settle = stub.last_settle};

	link_put_taken(stub.router, &m);
}

static bool
stub_on_registered(struct link *l, struct frame *f)
{
	union ipc_any m = {.welcome = {.router = 7,
	    .generation = *stub.page}};
	struct ipc_wanted wanted = {.generation = *stub.page, .reset = 1};

	(void)f;
	link_put_fds(l, IPC_WELCOME, &m, &stub.page_fd, 1);
	link_put_wanted(l, &wanted);
	return true;
}

static bool
stub_on_interest(struct link *l, struct frame *f)
{
	struct ipc_interest_item item;

	while (ipc_next_interest_item(&f->u.interest.items, &item) > 0)
		stub_text(stub.interest[stub.interest_count++ % 16], 64,
		    item.filter);
	stub.interest_seq = f->u.interest.seq;
	if (!stub.holds_interest)
		link_put_interest_ok(l, &(struct ipc_interest_ok){
		    stub.interest_seq});
	return true;
}

static bool
stub_on_publish(struct link *l, struct frame *f)
{
	struct ipc_publish *m = &f->u.publish;
	struct ipc_publish_item item;
	struct ipc_batch refused = {0};
	struct ipc_taken taken;
	struct stub_publish *p;

	(void)l;
	stub.last_number = m->number - 1;
	while (ipc_next_publish_item(&m->items, &item) > 0) {
		p = &stub.publishes[stub.publish_count++ % 64];
		p->number = ++stub.last_number;
		stub_text(p->topic, sizeof(p->topic), item.topic);
		stub_text(p->payload, sizeof(p->payload), item.payload);
		stub_text(p->client_id, sizeof(p->client_id),
		    item.client_id);
		p->flags = item.flags;
		p->session = item.session;
		p->mid = item.mid;
		p->expires_ms = item.expires_ms;
		buf_clear(&p->props);
		buf_add_slice(&p->props, item.props);
		if (stub.refuses != 0)
			ipc_add_refused_item(&refused,
			    &(struct ipc_refused_item){p->number,
			    stub.refuses});
	}
	if (stub.holds_taken) {
		buf_fini(&refused.bytes);
		return true;
	}
	taken = (struct ipc_taken){stub.last_number, stub.last_settle,
	    ipc_batch_list(&refused)};
	link_put_taken(stub.router, &taken);
	buf_fini(&refused.bytes);
	return true;
}

static bool
stub_on_connect(struct link *l, struct frame *f)
{
	const struct ipc_connect *c = &f->u.connect;
	struct ipc_connected m = {.conn = c->conn, .epoch = ++stub.next_epoch,
	    .present = stub.is_present, .received = stub.received};

	stub.last_connect = *c;
	stub.last_conn = c->conn;
	stub.connect_count++;
	stub_text(stub.connect_id, sizeof(stub.connect_id), c->client_id);
	stub_text(stub.connect_will, sizeof(stub.connect_will),
	    c->will_topic);
	if (c->expiry_s > 0)
		m.session = ++stub.next_session;
	stub.last_session = m.session;
	if (!stub.holds_connected)
		link_put_connected(l, &m);
	return true;
}

static bool
stub_on_disconnect(struct link *l, struct frame *f)
{
	(void)l;
	stub.last_disconnect = f->u.disconnect;
	stub.disconnect_count++;
	return true;
}

static bool
stub_on_reclaim(struct link *l, struct frame *f)
{
	struct ipc_connect c;

	(void)l;
	cr_assert(ipc_get_connect(f->u.reclaim.connect, &c));
	stub_text(stub.reclaimed, sizeof(stub.reclaimed), c.client_id);
	stub.reclaimed_in_flight = f->u.reclaim.in_flight.len / 8;
	stub.reclaim_count++;
	return true;
}

static bool
stub_on_subscribe(struct link *l, struct frame *f)
{
	struct ipc_session_sub sub;
	struct ipc_batch results = {0};
	struct ipc_subscribed m = {f->u.subscribe.conn, f->u.subscribe.seq,
	    {{0}, 0}};

	while (ipc_next_session_sub(&f->u.subscribe.subs, &sub) > 0) {
		stub.session_subs++;
		ipc_add_sub_result(&results, &(struct ipc_sub_result){
		    sub.options & 3, 0});
	}
	m.results = ipc_batch_list(&results);
	link_put_subscribed(l, &m);
	buf_fini(&results.bytes);
	return true;
}

static bool
stub_on_unsubscribe(struct link *l, struct frame *f)
{
	struct ipc_filter_item item;
	struct ipc_batch results = {0};
	struct ipc_unsubscribed m = {f->u.unsubscribe.conn,
	    f->u.unsubscribe.seq, {{0}, 0}};

	while (ipc_next_filter_item(&f->u.unsubscribe.filters, &item) > 0)
		ipc_add_sub_result(&results, &(struct ipc_sub_result){0,
		    !slice_is(item.filter, "none")});
	m.results = ipc_batch_list(&results);
	link_put_unsubscribed(l, &m);
	buf_fini(&results.bytes);
	return true;
}

static bool
stub_on_settle(struct link *l, struct frame *f)
{
	struct ipc_settle *m = &f->u.settle;
	struct ipc_settle_item item;
	struct ipc_batch releases = {0};
	struct ipc_release_item release;

	stub.last_settle = m->number - 1;
	while (ipc_next_settle_item(&m->items, &item) > 0) {
		stub.last_settle++;
		stub.settles[stub.settle_count++ % 64] = item;
		if (item.kind != 1 && item.kind != 3)
			continue;
		release = (struct ipc_release_item){stub.last_conn, item.seq,
		    item.kind};
		ipc_add_release_item(&releases, &release);
	}
	if (!stub.holds_taken) {
		stub_send_taken();
		link_put_release(l, &(struct ipc_release){
		    ipc_batch_list(&releases)});
	}
	buf_fini(&releases.bytes);
	return true;
}

static bool
stub_on_retained_get(struct link *l, struct frame *f)
{
	struct ipc_retained m = {f->u.retained_get.conn,
	    f->u.retained_get.seq, 1, {{0}, 0}};

	stub.replay_conn = m.conn;
	stub.replay_seq = m.seq;
	if (!stub.holds_replay)
		link_put_retained(l, &m);
	return true;
}

static bool
stub_on_ready(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	stub.is_ready = true;
	return true;
}

static bool
stub_on_pong(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	return true;
}

static void
stub_on_close(struct link *l, const char *reason)
{
	(void)reason;
	if (l == stub.router)
		stub.router = NULL;
	else
		stub.control = NULL;
	link_free(l);
}

static link_handler *const stub_handlers[IPC_TYPE_MAX + 1] = {
    [IPC_READY] = stub_on_ready,
    [IPC_PONG] = stub_on_pong,
    [IPC_REGISTER] = stub_on_registration,
    [IPC_REGISTERED] = stub_on_registered,
    [IPC_INTEREST] = stub_on_interest,
    [IPC_PUBLISH] = stub_on_publish,
    [IPC_CONNECT] = stub_on_connect,
    [IPC_DISCONNECT] = stub_on_disconnect,
    [IPC_RECLAIM] = stub_on_reclaim,
    [IPC_SUBSCRIBE] = stub_on_subscribe,
    [IPC_UNSUBSCRIBE] = stub_on_unsubscribe,
    [IPC_SETTLE] = stub_on_settle,
    [IPC_RETAINED_GET] = stub_on_retained_get,
};

static const struct link_ops stub_ops = {.on = stub_handlers,
    .on_close = stub_on_close};

static inline void
stub_turn(void)
{
	link_flush_all();
	ev_run(stub.loop, EVRUN_NOWAIT);
	link_flush_all();
}

/* Turns until the condition holds; fails after five seconds. */
#define stub_until(condition) \
	do { \
		int turns_ = 0; \
		while (!(condition)) { \
			stub_turn(); \
			usleep(1000); \
			cr_assert_lt(turns_++, 5000, "no " #condition); \
		} \
	} while (0)

/* A new link between the acceptor and a router that knows nothing. */
static inline void
stub_router(void)
{
	union ipc_any m = {.link = {.kind = KIND_ROUTER,
	    .name = SLICE_LIT("router"), .incarnation = 7}};
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	stub.router = link_new(stub.loop, pair[0], KIND_ROUTER,
	    KIND_ACCEPTOR, "mqtt", 7, &stub_ops, NULL);
	link_put_fds(stub.control, IPC_LINK, &m, &pair[1], 1);
	stub_turn();
	close(pair[1]);
}

static inline void
stub_router_end(void)
{
	link_free(stub.router);
	stub.router = NULL;
}

static inline void
stub_exec(int control)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash, "/../libexec/bulkhead/acceptor-mqtt");
	dup2(control, 3);
	fcntl(3, F_SETFD, 0);
	execl(path, "acceptor-mqtt", (char *)NULL);
	_exit(127);
}

static inline void
stub_setup(const char *config)
{
	union ipc_any m = {.setup = {.name = SLICE_LIT("mqtt"),
	    .config = slice_str(config), .watchdog_ms = 5000}};
	union ipc_any l = {.listener = {.id = 1,
	    .protocol = SLICE_LIT("mqtt"), .transport = SLICE_LIT("tcp"),
	    .bind = SLICE_LIT("127.0.0.1:0"), .options = SLICE_LIT("{}")}};
	int fds[2] = {open("/tmp", O_RDONLY | O_DIRECTORY), ring_create()};

	link_put_fds(stub.control, IPC_SETUP, &m, fds, 2);
	link_put_fds(stub.control, IPC_LISTENER, &l, &stub.listener_fd, 1);
	close(fds[0]);
	close(fds[1]);
}

static inline void
stub_start(const char *config)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	memset(&stub, 0, sizeof(stub));
	stub.loop = ev_loop_new(0);
	stub.page_fd = memfd_create("page", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(stub.page_fd, 4096), 0);
	stub.page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
	    stub.page_fd, 0);
	*stub.page = 1;
	stub.listener_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(stub.listener_fd, (struct sockaddr *)&in,
	    sizeof(in)), 0);
	cr_assert_eq(listen(stub.listener_fd, 128), 0);
	getsockname(stub.listener_fd, (struct sockaddr *)&in, &len);
	stub.port = ntohs(in.sin_port);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    pair), 0);
	stub.pid = fork();
	if (stub.pid == 0)
		stub_exec(pair[1]);
	close(pair[1]);
	stub.control = link_new(stub.loop, pair[0], KIND_SUPERVISOR,
	    KIND_ACCEPTOR, "mqtt", 1, &stub_ops, NULL);
	stub_setup(config);
	stub_router();
	stub_until(stub.is_ready);
}

static inline void
stub_stop(void)
{
	int status;

	link_put_shutdown(stub.control, &(struct ipc_shutdown){4000});
	stub_until(waitpid(stub.pid, &status, WNOHANG) == stub.pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x",
	    status);
}

/* ---- clients ------------------------------------------------------------ */

static inline int
stub_dial(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_port = htons(stub.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	cr_assert_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Packets in text, of which each remaining length is 00 and is set. */
static inline void
stub_send(int fd, const char *text)
{
	struct slice s = hex(text);

	cr_assert_lt(s.len, 130);
	((uint8_t *)s.p)[1] = (uint8_t)(s.len - 2);
	cr_assert_eq(write(fd, s.p, s.len), (ssize_t)s.len);
	free((void *)s.p);
}

/* The next bytes are these; remaining length 00 is set too. */
static inline void
stub_expect(int fd, const char *text)
{
	struct slice want = hex(text);
	uint8_t got[512];
	size_t have = 0;
	ssize_t n;
	int turns = 0;

	((uint8_t *)want.p)[1] = (uint8_t)(want.len - 2);
	while (have < want.len) {
		stub_turn();
		n = recv(fd, got + have, want.len - have, MSG_DONTWAIT);
		cr_assert_neq(n, 0, "closed instead of %s", text);
		if (n > 0) {
			have += (size_t)n;
			continue;
		}
		usleep(1000);
		cr_assert_lt(turns++, 5000, "%zu bytes of %s", have, text);
	}
	for (size_t i = 0; i < have; i++)
		cr_assert_eq(got[i], want.p[i], "%s: byte %zu is %02x", text,
		    i, got[i]);
	free((void *)want.p);
}

/* Nothing comes for a while. */
static inline void
stub_expect_silence(int fd)
{
	uint8_t byte;

	for (int i = 0; i < 60; i++) {
		stub_turn();
		usleep(1000);
	}
	cr_assert_eq(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1,
	    "a byte %02x", byte);
}

static inline void
stub_expect_close(int fd)
{
	uint8_t byte;
	ssize_t n = -1;
	int turns = 0;

	while ((n = recv(fd, &byte, 1, MSG_DONTWAIT)) != 0) {
		cr_assert_neq(n, 1, "a byte %02x", byte);
		if (n == -1 && errno == ECONNRESET)
			break;
		stub_turn();
		usleep(1000);
		cr_assert_lt(turns++, 5000, "not closed");
	}
	close(fd);
}

/* A clean session of version 4 or 5. */
static inline int
stub_client(const char *id, int version)
{
	char text[128];
	int fd = stub_dial();

	snprintf(text, sizeof(text), "10 00 0004'MQTT' %02x 02 0000 %s"
	    " %04zx'%s'", version, version == 5 ? "00" : "", strlen(id), id);
	stub_send(fd, text);
	if (version == 5)
		stub_expect(fd, "20 00 00 00 10 11 00000000 21 0400"
		    " 22 0020 27 00100000");
	else
		stub_expect(fd, "20 00 00 00");
	return fd;
}

/* A persistent session of version 4; its number is stub.last_session. */
static inline int
stub_persistent(const char *id)
{
	char text[128];
	int fd = stub_dial();

	snprintf(text, sizeof(text), "10 00 0004'MQTT' 04 00 0000 %04zx'%s'",
	    strlen(id), id);
	stub_send(fd, text);
	stub_expect(fd, stub.is_present ? "20 00 01 00" : "20 00 00 00");
	return fd;
}

#endif
