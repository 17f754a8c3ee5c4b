/* links: ipc base */
/*
 * The real admin-server between a supervisor and a router that are played
 * here: a child process runs both, the test asks by HTTP.
 */
#include "base/json.h"
#include "base/log.h"
#include "base/record.h"
#include "base/ring.h"
#include "ipc/link.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the world around it ----------------------------------------------------- */

static struct {
	char folder[64];
	int unix_fd, tcp_fd;
	uint16_t port;
	pid_t world;
	struct link *control, *router;
	unsigned routers;
} world;

static void world_link_router(void);

static void
answer(uint64_t id, uint16_t status, const char *body)
{
	link_put_reply(world.control, &(struct ipc_reply){.id = id,
	    .status = status, .body = slice_str(body)});
}

/* Says back what was asked; some operations have an answer of their own. */
static bool
on_request(struct link *l, struct frame *f)
{
	const struct ipc_request *m = &f->u.request;
	struct buf b;

	(void)l;
	if (slice_is(m->op, "status")) {
		answer(m->id, 200, "{\"state\":\"healthy\",\"processes\":["
		    "{\"name\":\"router\",\"kind\":\"router\",\"state\":"
		    "\"running\"},{\"name\":\"mqtt\",\"kind\":\"acceptor\","
		    "\"state\":\"backoff\",\"reason\":\"it fell\"}]}");
	} else if (slice_is(m->op, "metrics")) {
		answer(m->id, 200, "{\"metrics\":[{\"name\":\"bulkhead_x\","
		    "\"type\":\"gauge\",\"help\":\"X\",\"value\":1}]}");
	} else if (slice_is(m->op, "connector.create")) {
		answer(m->id, 422, "{\"code\":\"invalid\",\"message\":\"2 "
		    "faults\",\"details\":[{\"path\":\"config.port\","
		    "\"message\":\"70000 is above 65535\"}]}");
	} else if (slice_is(m->op, "connector.list")) {
		answer(m->id, 200, "[{\"name\":\"a\"},{\"name\":\"b\"}]");
	} else if (slice_is(m->op, "audit")) {
		answer(m->id, 200, "{\"matched\":3,\"unaccounted\":1}");
	} else if (slice_is(m->op, "crash.show")) {
		answer(m->id, 200, "{}");
		link_free(world.router);
		world_link_router();
	} else if (slice_is(m->op, "stop")) {
		answer(m->id, 202, "{}");
		link_put_shutdown(world.control,
		    &(struct ipc_shutdown){.deadline_ms = 5000});
	} else {
		buf_init(&b);
		buf_addf(&b, "{\"op\":\"%.*s\",\"target\":\"%.*s\","
		    "\"args\":%.*s}", SLICE_ARG(m->op), SLICE_ARG(m->target),
		    SLICE_ARG(m->args));
		answer(m->id, 200, buf_cstr(&b));
		buf_fini(&b);
	}
	return true;
}

static bool
on_anything(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	return true;
}

static void
on_close(struct link *l, const char *reason)
{
	(void)l;
	(void)reason;
	_exit(0);
}

static bool
on_registered(struct link *l, struct frame *f)
{
	int page = memfd_create("page", MFD_CLOEXEC);
	union ipc_any m = {.welcome = {.router = 1, .generation = 1}};

	(void)f;
	link_put_fds(l, IPC_WELCOME, &m, &page, 1);
	close(page);
	return true;
}

/* Takes it all, but for "full"; the first router never takes "hold". */
static bool
on_publish(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.publish.items;
	struct ipc_batch refused = {0};
	struct ipc_publish_item item;
	uint64_t number = f->u.publish.number;

	for (; ipc_next_publish_item(&list, &item) == 1; number++) {
		if (slice_is(item.topic, "hold") && world.routers == 1)
			return true;
		if (slice_is(item.topic, "full"))
			ipc_add_refused_item(&refused,
			    &(struct ipc_refused_item){number, 0x97});
	}
	link_put_taken(l, &(struct ipc_taken){.number = number - 1,
	    .refused = ipc_batch_list(&refused)});
	buf_fini(&refused.bytes);
	return true;
}

static bool
on_interest(struct link *l, struct frame *f)
{
	struct ipc_batch items = {0};

	link_put_interest_ok(l,
	    &(struct ipc_interest_ok){.seq = f->u.interest.seq});
	ipc_add_deliver_item(&items, &(struct ipc_deliver_item){
	    .topic = SLICE_LIT("s/live"), .payload = SLICE_LIT("hello"),
	    .flags = 1, .client_id = SLICE_EMPTY});
	link_put_deliver(l,
	    &(struct ipc_deliver){.items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
	return true;
}

/* Records first .. end - 1 as a segment; the payload is the offset. */
static void
put_segment(struct link *l, uint32_t id, uint32_t partition, uint64_t first,
    uint64_t end)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	union ipc_any m = {.segment = {id, partition, first}};
	struct record_batch_writer w;
	struct slice s;
	struct buf b;
	char text[32];

	for (uint64_t o = first; o < end;) {
		buf_init(&b);
		record_batch_begin(&w, &b, o, RECORD_PRODUCER_OURS);
		for (int i = 0; i < 10 && o < end; i++) {
			snprintf(text, sizeof(text), "%llu",
			    (unsigned long long)o++);
			record_put(&w, &(struct record){
			    .topic = SLICE_LIT("t"), .timestamp_ms = 1000,
			    .payload = slice_str(text)});
		}
		s = record_batch_end(&w);
		cr_assert_eq(write(fd, s.p, s.len), (ssize_t)s.len);
		buf_fini(&b);
	}
	link_put_fds(l, IPC_SEGMENT, &m, &fd, 1);
	close(fd);
}

static void
put_watermark(struct link *l, uint32_t id, uint64_t high)
{
	struct ipc_batch items = {0};

	ipc_add_partition_item(&items,
	    &(struct ipc_partition_item){0, 0, high});
	link_put_watermark(l,
	    &(struct ipc_watermark){id, ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

/*
 * Streams: "big" has 5000 records in two segments and 10 in partition 1;
 * "grows" shows 10 of its 20 records at first.
 */
static bool
on_follow(struct link *l, struct frame *f)
{
	uint32_t id = f->u.follow.id;
	bool is_big = slice_is(f->u.follow.stream, "big");
	bool grows = slice_is(f->u.follow.stream, "grows");
	struct ipc_batch items = {0};

	if (is_big) {
		put_segment(l, id, 0, 0, 2000);
		put_segment(l, id, 0, 2000, 5000);
		put_segment(l, id, 1, 0, 10);
	} else if (grows) {
		put_segment(l, id, 0, 0, 20);
	}
	ipc_add_partition_item(&items, &(struct ipc_partition_item){0, 0,
	    is_big ? 5000 : 10});
	if (is_big)
		ipc_add_partition_item(&items,
		    &(struct ipc_partition_item){1, 0, 10});
	link_put_following(l, &(struct ipc_following){.id = id,
	    .reason = is_big || grows ? 0 : 1, .incarnation = 77,
	    .partitions = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
	if (grows)
		put_watermark(l, id, 20);
	return true;
}

static link_handler *const control_on[IPC_TYPE_MAX + 1] = {
	[IPC_REQUEST] = on_request,
	[IPC_READY] = on_anything,
	[IPC_PONG] = on_anything,
	[IPC_DEGRADED] = on_anything,
};
static link_handler *const router_on[IPC_TYPE_MAX + 1] = {
	[IPC_REGISTER] = on_anything,
	[IPC_REGISTERED] = on_registered,
	[IPC_PUBLISH] = on_publish,
	[IPC_INTEREST] = on_interest,
	[IPC_FOLLOW] = on_follow,
	[IPC_UNFOLLOW] = on_anything,
};
static const struct link_ops control_ops = {control_on, on_close};
static const struct link_ops router_ops = {router_on, on_close};

static void
put_listener(uint32_t id, const char *transport, int fd)
{
	union ipc_any m = {.listener = {.id = id,
	    .protocol = SLICE_LIT("admin"), .transport = slice_str(transport),
	    .bind = SLICE_LIT("here"), .options = SLICE_LIT("{}")}};

	link_put_fds(world.control, IPC_LISTENER, &m, &fd, 1);
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	link_flush_all();
}

static void
world_link_router(void)
{
	union ipc_any m = {.link = {.kind = KIND_ROUTER,
	    .name = SLICE_LIT("router"), .incarnation = 7}};
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
	    0);
	world.routers++;
	world.router = link_new(ev_default_loop(0), pair[0], KIND_ROUTER,
	    KIND_ADMIN, "admin", 7, &router_ops, NULL);
	link_put_fds(world.control, IPC_LINK, &m, &pair[1], 1);
	close(pair[1]);
}

static void
world_introduce(void)
{
	int fds[2];
	union ipc_any m = {.setup = {.name = SLICE_LIT("admin"),
	    .config = SLICE_LIT("{\"log\":{\"level\":\"error\"}}"),
	    .files = 512, .watchdog_ms = 5000}};

	fds[0] = open(world.folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds[1] = ring_create();
	link_put_fds(world.control, IPC_SETUP, &m, fds, 2);
	world_link_router();
	link_put_links_done(world.control, &(struct ipc_links_done){0});
	put_listener(1, "unix", world.unix_fd);
	put_listener(2, "http", world.tcp_fd);
}

static void
world_run(const char *program)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_prepare prepare;
	int pair[2];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
	    0);
	if (fork() == 0) {
		if (dup2(pair[1], 3) != 3)
			_exit(1);
		execl(program, program, (char *)NULL);
		_exit(1);
	}
	close(pair[1]);
	world.control = link_new(loop, pair[0], KIND_SUPERVISOR, KIND_ADMIN,
	    "admin", 1, &control_ops, NULL);
	world_introduce();
	ev_prepare_init(&prepare, on_prepare);
	ev_prepare_start(loop, &prepare);
	ev_run(loop, 0);
	_exit(0);
}

static void
listen_here(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/admin.sock",
	    world.folder);
	world.unix_fd = socket(AF_UNIX,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	world.tcp_fd = socket(AF_INET,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(world.unix_fd, (void *)&un, sizeof(un)), 0);
	cr_assert_eq(bind(world.tcp_fd, (void *)&in, sizeof(in)), 0);
	cr_assert_eq(listen(world.unix_fd, 64), 0);
	cr_assert_eq(listen(world.tcp_fd, 64), 0);
	getsockname(world.tcp_fd, (void *)&in, &len);
	world.port = ntohs(in.sin_port);
}

static void
begin(void)
{
	char program[4096];
	ssize_t n;

	snprintf(world.folder, sizeof(world.folder), "/tmp/bulkhead-as-XXXXXX");
	cr_assert_not_null(mkdtemp(world.folder));
	n = readlink("/proc/self/exe", program, sizeof(program) - 64);
	program[n] = '\0';
	snprintf(strrchr(program, '/'), 64,
	    "/../libexec/bulkhead/admin-server");
	listen_here();
	world.world = fork();
	if (world.world == 0)
		world_run(program);
	close(world.unix_fd);
	close(world.tcp_fd);
}

static void
end(void)
{
	char command[128];

	kill(world.world, SIGKILL);
	waitpid(world.world, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", world.folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(server, .init = begin, .fini = end, .timeout = 60);

/* ---- a client ------------------------------------------------------------------ */

static struct buf got;

static int
dial(bool is_unix)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons(world.port)};
	int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/admin.sock",
	    world.folder);
	cr_assert_eq(is_unix ? connect(fd, (void *)&un, sizeof(un)) :
	    connect(fd, (void *)&in, sizeof(in)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	size_t len = strlen(text);

	cr_assert_eq(write(fd, text, len), (ssize_t)len);
}

/* Reads until text has come, or the end when it is NULL. */
static bool
hear(int fd, const char *text)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n;

	while (text == NULL || strstr(buf_cstr(&got), text) == NULL) {
		if (poll(&p, 1, 10000) != 1)
			return false;
		n = read(fd, buf_reserve(&got, 4096), 4096);
		if (n <= 0)
			return text == NULL;
		buf_commit(&got, (size_t)n);
	}
	return true;
}

/* One request on a connection of its own; the status. */
static int
ask(bool is_unix, const char *method, const char *path, const char *body)
{
	char head[512];
	int fd = dial(is_unix), status;

	buf_clear(&got);
	snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\nContent-Length: %zu\r\n\r\n", method, path,
	    strlen(body));
	say(fd, head);
	say(fd, body);
	cr_assert(hear(fd, NULL));
	close(fd);
	cr_assert_eq(sscanf(buf_cstr(&got), "HTTP/1.1 %d", &status), 1, "%s",
	    buf_cstr(&got));
	return status;
}

static bool
has(const char *text)
{
	return strstr(buf_cstr(&got), text) != NULL;
}

/* ---- tests ---------------------------------------------------------------------- */

Test(server, requests_are_relayed)
{
	cr_assert_eq(ask(true, "GET", "/api/v1/streams/a%2Fb", ""), 200);
	cr_assert(has("\"op\":\"stream.show\",\"target\":\"router\","
	    "\"args\":{\"name\":\"a/b\"}"), "%s", buf_cstr(&got));
	cr_assert_eq(ask(false, "POST", "/api/v1/connectors/x/dlq-replay",
	    "{\"ids\":[\"1\"]}"), 200);
	cr_assert(has("\"target\":\"connector.x\""));
	cr_assert_eq(ask(false, "POST", "/api/v1/connectors",
	    "{\"name\":\"x\"}"), 422);
	cr_assert(has("{\"error\":{\"code\":\"invalid\",\"message\":\"2 faults"
	    "\",\"details\":[{\"path\":\"config.port\","), "%s",
	    buf_cstr(&got));
	cr_assert_eq(ask(false, "GET", "/api/v1/audit", ""), 200);
	cr_assert(has("\"matched\":6") && has("\"unaccounted\":2"));
	cr_assert_eq(ask(false, "GET", "/api/v1/openapi.json", ""), 200);
	cr_assert_eq(ask(false, "GET", "/nosuch", ""), 404);
	cr_assert_eq(ask(false, "DELETE", "/api/v1/status", ""), 405);
	cr_assert(has("Allow: GET"));
	cr_assert_eq(ask(false, "GET", "/api/v1/streams/nosuch/records", ""),
	    404);
}

Test(server, health_and_metrics)
{
	cr_assert_eq(ask(false, "GET", "/health/live", ""), 200);
	cr_assert_eq(ask(false, "GET", "/health/ready", ""), 503);
	cr_assert(has("it fell"), "%s", buf_cstr(&got));
	cr_assert_eq(ask(false, "GET", "/metrics", ""), 200);
	cr_assert(has("bulkhead_x{process=\"router\"} 1"), "%s",
	    buf_cstr(&got));
	cr_assert(has("bulkhead_admin_requests_total{process=\"admin\"}"));
}

Test(server, published_is_answered_when_taken)
{
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"a\",\"payload\":\"x\",\"qos\":1}"), 200);
	cr_assert(has("\"published\":1"), "%s", buf_cstr(&got));
	cr_assert_eq(ask(true, "POST", "/api/v1/publish", "{\"messages\":["
	    "{\"topic\":\"a\"},{\"topic\":\"full\"}]}"), 200);
	cr_assert(has("\"published\":1") && has("\"index\":1,\"reason\":151"),
	    "%s", buf_cstr(&got));
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"full\"}"), 507);
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"a/#\"}"), 400);
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"a\",\"qos\":3}"), 400);
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"a\",\"payload_base64\":\"!\"}"), 400);
}

Test(server, a_new_router_gets_what_the_old_one_did_not_take)
{
	static const char body[] = "{\"topic\":\"hold\",\"qos\":1}";
	char head[256];
	int fd = dial(true);

	snprintf(head, sizeof(head), "POST /api/v1/publish HTTP/1.1\r\n"
	    "Host: localhost\r\nConnection: close\r\n"
	    "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	say(fd, head);
	cr_assert_eq(ask(true, "GET", "/api/v1/crashes/it", ""), 200);
	buf_clear(&got);
	cr_assert(hear(fd, NULL));
	cr_assert(has("\"published\":1"), "%s", buf_cstr(&got));
	close(fd);
}

Test(server, subscribers_hear_others_and_our_own)
{
	int fd = dial(true);

	buf_clear(&got);
	say(fd, "GET /api/v1/subscribe?filter=s/%23&limit=2 HTTP/1.1\r\n"
	    "Host: localhost\r\n\r\n");
	cr_assert(hear(fd, "\"payload\":\"hello\""), "%s", buf_cstr(&got));
	cr_assert_eq(ask(true, "POST", "/api/v1/publish",
	    "{\"topic\":\"s/own\",\"payload\":{\"x\":1}}"), 200);
	buf_clear(&got);
	cr_assert(hear(fd, "0\r\n\r\n"), "%s", buf_cstr(&got));
	cr_assert(has("\"topic\":\"s/own\",\"payload\":{\"x\":1}"));
	close(fd);
	cr_assert_eq(ask(true, "GET", "/api/v1/subscribe?filter=a%23", ""),
	    400);
	cr_assert_eq(ask(true, "GET", "/api/v1/subscribe", ""), 400);
}

static size_t
count(const char *text)
{
	size_t n = 0;

	for (const char *s = buf_cstr(&got); (s = strstr(s, text)) != NULL; s++)
		n++;
	return n;
}

Test(server, records_are_read_from_the_segments)
{
	cr_assert_eq(ask(true, "GET", "/api/v1/streams/big/records", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 5010);
	cr_assert(has("{\"id\":\"big."));
	cr_assert(has("\"payload\":4999,"));
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/big/records?partition=1&from=4", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 6);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/big/records?limit=7", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 7);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/big/records?from=latest", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 0);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/big/records?from=2030-01-01T00:00:00Z", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 0);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/big/records?from=nosuch", ""), 400);
}

Test(server, only_followers_go_beyond_the_first_watermark)
{
	cr_assert_eq(ask(true, "GET", "/api/v1/streams/grows/records", ""),
	    200);
	cr_assert_eq(count("\"topic\":\"t\""), 10);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/grows/records?follow=true&limit=20", ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 20);
	cr_assert_eq(ask(true, "GET",
	    "/api/v1/streams/grows/records?follow=true&limit=5&from=latest",
	    ""), 200);
	cr_assert_eq(count("\"topic\":\"t\""), 5);
}

Test(server, requests_of_one_connection_wait_for_each_other)
{
	int fd = dial(false);
	size_t answers = 0;

	buf_clear(&got);
	for (int i = 0; i < 50; i++)
		say(fd, "GET /api/v1/status HTTP/1.1\r\nHost: [::1]\r\n\r\n");
	say(fd, "GET /health/live HTTP/1.0\r\n\r\n");
	cr_assert(hear(fd, NULL));
	for (const char *s = buf_cstr(&got);
	    (s = strstr(s, "HTTP/1.1 200")) != NULL; s++)
		answers++;
	cr_assert_eq(answers, 51);
	close(fd);
}

Test(server, bad_requests_are_answered_and_closed)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
		{"\x16\x03\x01\r\n\r\n", 501},
		{"\x16\x03\x01\n", 400},
		{"GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		 403},
		{"POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\n"
		 "Origin: http://evil.example\r\n\r\n", 403},
		{"POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
		 "Content-Length: 99999999\r\n\r\n", 413},
		{"GET /api/v1/streams?nosuch=1 HTTP/1.1\r\nHost: localhost\r\n"
		 "Connection: close\r\n\r\n", 400},
	};
	int fd, status;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = dial(false);
		buf_clear(&got);
		say(fd, cases[i].text);
		cr_assert(hear(fd, NULL), "%zu", i);
		cr_assert_eq(sscanf(buf_cstr(&got), "HTTP/1.1 %d", &status), 1);
		cr_assert_eq(status, cases[i].status, "%zu: %s", i,
		    buf_cstr(&got));
		close(fd);
	}
}

Test(server, clients_that_leave_hurt_nobody)
{
	int fds[40];

	for (int i = 0; i < 40; i++) {
		fds[i] = dial(i % 2 == 0);
		say(fds[i], i % 3 == 0 ? "GET /api" : i % 3 == 1 ?
		    "GET /api/v1/subscribe?filter=x HTTP/1.1\r\n"
		    "Host: localhost\r\n\r\n" :
		    "GET /api/v1/audit HTTP/1.1\r\nHost: localhost\r\n\r\n");
	}
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	cr_assert_eq(ask(true, "GET", "/api/v1/version", ""), 200);
}

Test(server, the_answer_to_a_stop_comes_before_the_end)
{
	cr_assert_eq(ask(true, "POST", "/api/v1/stop", ""), 202);
}
