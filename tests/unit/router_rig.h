/*
 * router_rig - the router program under test: the rig plays supervisor,
 * acceptors and a worker over real links, and kills it.
 */
#ifndef TESTS_ROUTER_RIG_H
#define TESTS_ROUTER_RIG_H

#include "base/clock.h"
#include "base/json.h"
#include "base/log_reader.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/ring.h"
#include "ipc/link.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 10000

struct peer {
	struct rig *rig;
	struct link *link;
	enum ipc_kind kind;
	char name[32];
	uint64_t incarnation;
	bool is_welcome;
	uint64_t next, taken, settle_next, settle_taken;
	struct ipc_refused_item refused[4096];
	size_t refused_len;
	/* what came, as text, one line each */
	struct buf seen;
	struct log_reader *reader;
	uint64_t high;
	bool is_following;
	uint64_t wanted_generation;
};

struct rig {
	struct ev_loop *loop;
	struct link *control;
	pid_t pid;
	char dir[64];
	int dirfd;
	struct peer peers[4];
	size_t peers_len;
	bool is_ready, is_parked, is_gone;
	char park[2048];
	char degraded[2048];
	char stuck[80];
	uint64_t reply_id;
	uint16_t reply_status;
	struct json_object *reply;
};

static inline bool
peer_note(struct peer *p, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_add_str(&p->seen, line);
	buf_add_str(&p->seen, "\n");
	return true;
}

/* Everything seen since the last call, as one string. */
static inline char *
peer_take(struct peer *p)
{
	char *s = slice_dup(buf_slice(&p->seen));

	buf_clear(&p->seen);
	return s;
}

/* ---- as supervisor ------------------------------------------------------ */

static inline bool
on_ready(struct link *l, struct frame *f)
{
	(void)f;
	((struct rig *)link_arg(l))->is_ready = true;
	return true;
}

static inline bool
on_park(struct link *l, struct frame *f)
{
	struct rig *r = link_arg(l);

	r->is_parked = true;
	snprintf(r->park, sizeof(r->park), "%.*s", SLICE_ARG(f->u.park.reason));
	return true;
}

static inline bool
on_degraded(struct link *l, struct frame *f)
{
	struct rig *r = link_arg(l);

	snprintf(r->degraded, sizeof(r->degraded), "%.*s: %.*s",
	    SLICE_ARG(f->u.degraded.key), SLICE_ARG(f->u.degraded.reason));
	return true;
}

static inline bool
on_stuck(struct link *l, struct frame *f)
{
	struct rig *r = link_arg(l);

	snprintf(r->stuck, sizeof(r->stuck), "%.*s",
	    SLICE_ARG(f->u.stuck.name));
	return true;
}

static inline bool
on_ignore(struct link *l, struct frame *f)
{
	(void)l;
	(void)f;
	return true;
}

static inline bool
on_reply(struct link *l, struct frame *f)
{
	struct rig *r = link_arg(l);

	json_object_put(r->reply);
	r->reply = json_parse(f->u.reply.body);
	r->reply_status = f->u.reply.status;
	r->reply_id = f->u.reply.id;
	return true;
}

static inline void
on_control_close(struct link *l, const char *reason)
{
	struct rig *r = link_arg(l);

	(void)reason;
	link_free(l);
	r->control = NULL;
	r->is_gone = true;
}

static link_handler *const control_on[IPC_TYPE_MAX + 1] = {
    [IPC_READY] = on_ready,
    [IPC_PARK] = on_park,
    [IPC_DEGRADED] = on_degraded,
    [IPC_REPLY] = on_reply,
    [IPC_PONG] = on_ignore,
    [IPC_STUCK] = on_stuck,
};
static const struct link_ops control_ops = {control_on, on_control_close};

/* ---- as acceptor or worker ---------------------------------------------- */

static inline bool
on_welcome(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);

	p->is_welcome = true;
	return f->fd_count == 1;
}

static inline bool
on_taken(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);
	struct ipc_list list = f->u.taken.refused;

	p->taken = f->u.taken.number;
	p->settle_taken = f->u.taken.settle;
	while (p->refused_len < 4096 &&
	       ipc_next_refused_item(&list, &p->refused[p->refused_len]) == 1)
		p->refused_len++;
	return true;
}

static inline bool
on_wanted(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);
	struct ipc_list list = f->u.wanted.items;
	struct ipc_wanted_item item;

	p->wanted_generation = f->u.wanted.generation;
	if (f->u.wanted.reset)
		peer_note(p, "wanted reset");
	while (ipc_next_wanted_item(&list, &item) == 1)
		peer_note(p, "wanted %c%.*s", item.add ? '+' : '-',
		    SLICE_ARG(item.filter));
	return true;
}

static inline bool
on_interest_ok(struct link *l, struct frame *f)
{
	return peer_note(link_arg(l), "interest ok %llu",
	    (unsigned long long)f->u.interest_ok.seq);
}

static inline bool
on_deliver(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.deliver.items;
	struct ipc_deliver_item m;

	while (ipc_next_deliver_item(&list, &m) == 1)
		peer_note(link_arg(l), "deliver %.*s %.*s %u",
		    SLICE_ARG(m.topic), SLICE_ARG(m.payload), m.flags);
	return true;
}

static inline bool
on_retained(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.retained.items;
	struct ipc_deliver_item m;

	while (ipc_next_deliver_item(&list, &m) == 1)
		peer_note(link_arg(l), "retained %.*s %.*s %u",
		    SLICE_ARG(m.topic), SLICE_ARG(m.payload), m.flags);
	if (f->u.retained.done)
		peer_note(link_arg(l), "retained done");
	return true;
}

static inline bool
on_connected(struct link *l, struct frame *f)
{
	const struct ipc_connected *m = &f->u.connected;

	return peer_note(link_arg(l),
	    "connected %llu epoch %llu session %llu present %u reason %u "
	    "subs %u",
	    (unsigned long long)m->conn, (unsigned long long)m->epoch,
	    (unsigned long long)m->session, m->present, m->reason,
	    m->subs.count);
}

static inline bool
on_takeover(struct link *l, struct frame *f)
{
	return peer_note(link_arg(l), "takeover %llu reason %02x",
	    (unsigned long long)f->u.takeover.conn, f->u.takeover.reason);
}

static inline bool
on_subscribed(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.subscribed.results;
	struct ipc_sub_result r;

	while (ipc_next_sub_result(&list, &r) == 1)
		peer_note(link_arg(l), "subscribed %u %u", r.reason, r.existed);
	return true;
}

static inline bool
on_unsubscribed(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.unsubscribed.results;
	struct ipc_sub_result r;

	while (ipc_next_sub_result(&list, &r) == 1)
		peer_note(
		    link_arg(l), "unsubscribed %u %u", r.reason, r.existed);
	return true;
}

static inline bool
on_queue(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.queue.items;
	struct ipc_queue_item m;

	while (ipc_next_queue_item(&list, &m) == 1)
		peer_note(link_arg(l), "queue %llu seq %llu %.*s %.*s %u",
		    (unsigned long long)m.conn, (unsigned long long)m.seq,
		    SLICE_ARG(m.topic), SLICE_ARG(m.payload), m.flags);
	return true;
}

static inline bool
on_release(struct link *l, struct frame *f)
{
	struct ipc_list list = f->u.release.items;
	struct ipc_release_item m;

	while (ipc_next_release_item(&list, &m) == 1)
		peer_note(link_arg(l), "release %llu seq %llu kind %u",
		    (unsigned long long)m.conn, (unsigned long long)m.seq,
		    m.kind);
	return true;
}

static inline bool
on_segment(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);

	log_reader_add_segment(
	    p->reader, f->u.segment.base_offset, frame_take_fd(f, 0));
	return true;
}

static inline void
peer_marks(struct peer *p, struct ipc_list list)
{
	struct ipc_partition_item m;

	while (ipc_next_partition_item(&list, &m) == 1) {
		p->high = m.high_watermark;
		log_reader_set_bounds(p->reader, m.log_start, m.high_watermark);
	}
}

static inline bool
on_following(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);

	p->is_following = f->u.following.reason == 0;
	peer_marks(p, f->u.following.partitions);
	return true;
}

static inline bool
on_watermark(struct link *l, struct frame *f)
{
	peer_marks(link_arg(l), f->u.watermark.partitions);
	return true;
}

static inline bool
on_segment_gone(struct link *l, struct frame *f)
{
	struct peer *p = link_arg(l);

	log_reader_remove_segment(p->reader, f->u.segment_gone.base_offset);
	return true;
}

static inline bool
on_stream_gone(struct link *l, struct frame *f)
{
	(void)f;
	return peer_note(link_arg(l), "stream gone");
}

static inline void
on_peer_close(struct link *l, const char *reason)
{
	struct peer *p = link_arg(l);

	peer_note(p, "closed %s", reason);
	link_free(l);
	p->link = NULL;
}

static link_handler *const peer_on[IPC_TYPE_MAX + 1] = {
    [IPC_WELCOME] = on_welcome,
    [IPC_TAKEN] = on_taken,
    [IPC_SPACE] = on_ignore,
    [IPC_WANTED] = on_wanted,
    [IPC_INTEREST_OK] = on_interest_ok,
    [IPC_DELIVER] = on_deliver,
    [IPC_RETAINED] = on_retained,
    [IPC_CONNECTED] = on_connected,
    [IPC_TAKEOVER] = on_takeover,
    [IPC_SUBSCRIBED] = on_subscribed,
    [IPC_UNSUBSCRIBED] = on_unsubscribed,
    [IPC_QUEUE] = on_queue,
    [IPC_RELEASE] = on_release,
    [IPC_SEGMENT] = on_segment,
    [IPC_SEGMENT_GONE] = on_segment_gone,
    [IPC_FOLLOWING] = on_following,
    [IPC_WATERMARK] = on_watermark,
    [IPC_STREAM_GONE] = on_stream_gone,
};
static const struct link_ops peer_ops = {peer_on, on_peer_close};

/* ---- life --------------------------------------------------------------- */

static inline void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
}

/* Turns the loop until cond or the time is over; the answer is cond. */
#define RIG_UNTIL(r, cond)                                                     \
	({                                                                     \
		uint64_t end_ = clock_mono_ms() + WAIT_MS;                     \
		while (!(cond) && clock_mono_ms() < end_)                      \
			rig_turn(r);                                           \
		(cond);                                                        \
	})

static inline void
rig_turn(struct rig *r)
{
	link_flush_all();
	ev_run(r->loop, EVRUN_ONCE);
	link_flush_all();
}

/* Turns for a while: for what should not come. */
static inline void
rig_idle(struct rig *r, unsigned ms)
{
	uint64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		rig_turn(r);
}

static inline void
rig_init(struct rig *r)
{
	static ev_timer tick;

	memset(r, 0, sizeof(*r));
	signal(SIGPIPE, SIG_IGN);
	r->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&tick, on_tick, 0.005, 0.005);
	ev_timer_start(r->loop, &tick);
	snprintf(r->dir, sizeof(r->dir), "/tmp/bulkhead-router-XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	r->dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static inline void
rig_program(char *path, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", path, cap - 64);

	cr_assert_gt(n, 0);
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	strcat(path, "/../libexec/bulkhead/router");
}

/* Starts the router; config is JSON without log. */
static inline void
rig_start(struct rig *r, const char *config)
{
	char path[4200];
	int sv[2], fds[2];
	union ipc_any m = {.setup = {.name = SLICE_LIT("router"),
			       .config = slice_str(config),
			       .files = 4096,
			       .watchdog_ms = 5000}};

	rig_program(path, sizeof(path));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	r->is_ready = r->is_gone = r->is_parked = false;
	r->pid = fork();
	if (r->pid == 0) {
		dup2(sv[1], 3);
		fcntl(3, F_SETFD, 0);
		execl(path, "router", (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	r->control = link_new(r->loop, sv[0], KIND_SUPERVISOR, KIND_ROUTER,
	    "router", 1, &control_ops, r);
	fds[0] = r->dirfd;
	fds[1] = ring_create();
	link_put_fds(r->control, IPC_SETUP, &m, fds, 2);
	close(fds[1]);
}

static inline void
rig_links_done(struct rig *r)
{
	link_put_links_done(r->control,
	    &(struct ipc_links_done){.acceptors = (uint32_t)r->peers_len});
}

static inline void
peer_link(struct peer *p)
{
	struct rig *r = p->rig;
	int sv[2];
	union ipc_any m = {.link = {.kind = (uint8_t)p->kind,
			       .name = slice_str(p->name),
			       .incarnation = p->incarnation}};

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	link_put_fds(r->control, IPC_LINK, &m, &sv[1], 1);
	close(sv[1]);
	p->is_welcome = false;
	p->link = link_new(r->loop, sv[0], p->kind, KIND_ROUTER, "router",
	    p->incarnation, &peer_ops, p);
}

static inline struct peer *
peer_add(struct rig *r, enum ipc_kind kind, const char *name)
{
	struct peer *p = &r->peers[r->peers_len++];

	memset(p, 0, sizeof(*p));
	p->rig = r;
	p->kind = kind;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->incarnation = random_u64();
	p->next = p->settle_next = 1;
	peer_link(p);
	return p;
}

static inline void
peer_register(struct peer *p)
{
	link_put_registration(
	    p->link, &(struct ipc_registration){.incarnation = p->incarnation,
			 .next_number = p->next,
			 .next_settle = p->settle_next});
}

static inline void
peer_registered(struct peer *p)
{
	link_put_registered(p->link, &(struct ipc_registered){0});
}

/* Starts the router with one acceptor that is welcome. */
static inline struct peer *
rig_start_with_acceptor(struct rig *r, const char *config)
{
	struct peer *p;

	for (size_t i = 0; i < r->peers_len; i++)
		buf_fini(&r->peers[i].seen);
	r->peers_len = 0;
	rig_start(r, config);
	p = peer_add(r, KIND_ACCEPTOR, "mqtt");
	rig_links_done(r);
	peer_register(p);
	peer_registered(p);
	cr_assert(RIG_UNTIL(r, p->is_welcome), "no welcome");
	return p;
}

static inline void
rig_reap(struct rig *r)
{
	int status;

	waitpid(r->pid, &status, 0);
	RIG_UNTIL(r, r->is_gone);
	for (size_t i = 0; i < r->peers_len; i++)
		RIG_UNTIL(r, r->peers[i].link == NULL);
}

static inline void
rig_kill(struct rig *r)
{
	kill(r->pid, SIGKILL);
	rig_reap(r);
}

/* The ordered way; its exit status. */
static inline int
rig_stop(struct rig *r)
{
	int status = -1;

	link_put_shutdown(
	    r->control, &(struct ipc_shutdown){.deadline_ms = 5000});
	RIG_UNTIL(r, r->is_gone);
	waitpid(r->pid, &status, 0);
	for (size_t i = 0; i < r->peers_len; i++)
		RIG_UNTIL(r, r->peers[i].link == NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline int
rig_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
rig_fini(struct rig *r)
{
	if (!r->is_gone)
		rig_kill(r);
	for (size_t i = 0; i < r->peers_len; i++) {
		buf_fini(&r->peers[i].seen);
		if (r->peers[i].reader != NULL)
			log_reader_free(r->peers[i].reader);
	}
	for (size_t i = 0; i < r->peers_len; i++)
		link_free(r->peers[i].link);
	json_object_put(r->reply);
	ev_loop_destroy(r->loop);
	close(r->dirfd);
	nftw(r->dir, rig_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* Asks the router; the answer is a loan until the next one. */
static inline struct json_object *
rig_ask(struct rig *r, const char *op, const char *args)
{
	static uint64_t id;

	link_put_request(r->control, &(struct ipc_request){.id = ++id,
					 .target = SLICE_LIT("router"),
					 .op = slice_str(op),
					 .args = slice_str(args)});
	cr_assert(RIG_UNTIL(r, r->reply_id == id), "no answer to %s", op);
	return r->reply;
}

/* ---- what acceptors say ------------------------------------------------- */

static inline void
peer_publish_item(
    struct peer *p, uint64_t number, const struct ipc_publish_item *m)
{
	struct ipc_batch items = {0};

	ipc_add_publish_item(&items, m);
	link_put_publish(p->link, &(struct ipc_publish){.number = number,
				      .items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

static inline uint64_t
peer_publish(
    struct peer *p, const char *topic, const char *payload, uint8_t flags)
{
	uint64_t number = p->next++;

	peer_publish_item(p, number,
	    &(struct ipc_publish_item){.topic = slice_str(topic),
		.payload = slice_str(payload),
		.flags = flags,
		.timestamp_ms = clock_wall_ms(),
		.client_id = SLICE_LIT("publisher"),
		.protocol = SLICE_LIT("mqtt")});
	return number;
}

static inline void
peer_connect(struct peer *p, uint64_t conn, const char *client_id,
    bool clean_start, uint32_t expiry_s)
{
	link_put_connect(p->link, &(struct ipc_connect){.conn = conn,
				      .client_id = slice_str(client_id),
				      .protocol = SLICE_LIT("mqtt"),
				      .address = SLICE_LIT("127.0.0.1:1"),
				      .clean_start = clean_start,
				      .expiry_s = expiry_s,
				      .receive_max = 10,
				      .will_expiry_s = UINT32_MAX});
}

static inline void
peer_subscribe(struct peer *p, uint64_t conn, const char *filter,
    uint8_t options, uint32_t id)
{
	struct ipc_batch subs = {0};

	ipc_add_session_sub(&subs,
	    &(struct ipc_session_sub){
		.filter = slice_str(filter), .options = options, .sub_id = id});
	link_put_subscribe(p->link,
	    &(struct ipc_subscribe){
		.conn = conn, .seq = 1, .subs = ipc_batch_list(&subs)});
	buf_fini(&subs.bytes);
}

static inline uint64_t
peer_settle(struct peer *p, uint64_t session, uint64_t seq, uint8_t kind)
{
	struct ipc_batch items = {0};
	uint64_t number = p->settle_next++;

	ipc_add_settle_item(
	    &items, &(struct ipc_settle_item){
			.session = session, .seq = seq, .kind = kind});
	link_put_settle(p->link, &(struct ipc_settle){.number = number,
				     .items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
	return number;
}

static inline void
peer_interest(struct peer *p, const char *filter, bool add)
{
	struct ipc_batch items = {0};

	ipc_add_interest_item(&items, &(struct ipc_interest_item){.add = add,
					  .filter = slice_str(filter)});
	link_put_interest(p->link,
	    &(struct ipc_interest){.seq = 7, .items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

/* Whether the line has come; takes nothing. */
static inline bool
peer_saw(struct peer *p, const char *text)
{
	buf_cstr(&p->seen);
	return strstr((const char *)buf_data(&p->seen), text) != NULL;
}

/* A worker on the stream, all segments known. */
static inline struct peer *
rig_follow(struct rig *r, const char *stream)
{
	struct peer *p = peer_add(r, KIND_WORKER, "connector.test");

	peer_register(p);
	peer_registered(p);
	p->reader = log_reader_new(stream, 1, 0);
	link_put_follow(p->link,
	    &(struct ipc_follow){.id = 1, .stream = slice_str(stream)});
	cr_assert(RIG_UNTIL(r, p->is_following), "not following");
	return p;
}

/* How many records the worker reads now; *last the last one's payload. */
static inline size_t
peer_read(struct peer *p, void (*cb)(const struct record *, void *), void *arg)
{
	struct record rec;
	struct log_range range;
	size_t n = 0;

	for (;;) {
		switch (log_reader_next(p->reader, &rec, &range)) {
		case LOG_READER_RECORD:
			n++;
			if (cb != NULL)
				cb(&rec, arg);
			continue;
		case LOG_READER_END:
			return n;
		case LOG_READER_DAMAGED:
		case LOG_READER_TRIMMED:
			continue;
		case LOG_READER_NEED_SEGMENT:
		case LOG_READER_FAILED:
			cr_assert_fail("reader: segment %llu, errno %d",
			    (unsigned long long)range.first, range.error);
		}
	}
}

#endif
