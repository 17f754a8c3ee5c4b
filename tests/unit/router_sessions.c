/* links: router_room */
#include "router_rig.h"

#define CONFIG                                                             \
	"{\"streams\":{\"plant\":{\"topics\":[\"plant/#\"]}},"             \
	"\"limits\":{\"session_queue_messages\":50},\"version\":\"t\"}"
#define QOS1 1
#define QOS2 2
#define RETAIN MSG_RETAIN

#define SAW(p, text) \
	cr_assert(RIG_UNTIL((p)->rig, peer_saw(p, text)), \
	    "no '%s' in:\n%s", text, buf_cstr(&(p)->seen))
#define NOT_SEEN(p, text)                                           \
	do {                                                        \
		rig_idle((p)->rig, 100);                            \
		cr_assert(!peer_saw(p, text), "'%s' in:\n%s", text, \
		    buf_cstr(&(p)->seen));                          \
	} while (0)

static void
forget(struct peer *p)
{
	buf_clear(&p->seen);
}

/* "session N" of the last CONNECTED. */
static uint64_t
session_of(struct peer *p)
{
	const char *at;

	buf_cstr(&p->seen);
	at = strstr((const char *)buf_data(&p->seen), "session ");
	cr_assert_not_null(at);
	return strtoull(at + 8, NULL, 10);
}

static uint64_t
epoch_of(struct peer *p)
{
	const char *at;

	buf_cstr(&p->seen);
	at = strstr((const char *)buf_data(&p->seen), "epoch ");
	cr_assert_not_null(at);
	return strtoull(at + 6, NULL, 10);
}

static void
restart(struct rig *r, struct peer *a)
{
	rig_kill(r);
	rig_start(r, CONFIG);
	peer_link(a);
	rig_links_done(r);
	peer_register(a);
}

static void
reclaim(struct peer *a, uint64_t epoch, uint64_t session, uint64_t conn,
    const char *client_id, const uint64_t *in_flight, size_t n)
{
	struct buf frame = {0}, seqs = {0};

	for (size_t i = 0; i < n; i++)
		buf_add_be64(&seqs, in_flight[i]);
	ipc_put_connect(&frame,
	    &(struct ipc_connect){.conn = conn,
		.client_id = slice_str(client_id),
		.protocol = SLICE_LIT("mqtt"),
		.expiry_s = 3600,
		.receive_max = 10,
		.will_expiry_s = UINT32_MAX});
	buf_consume(&frame, IPC_HEADER_LEN);
	link_put_reclaim(a->link,
	    &(struct ipc_reclaim){.epoch = epoch,
		.session = session,
		.in_flight = buf_slice(&seqs),
		.connect = buf_slice(&frame)});
	buf_fini(&frame);
	buf_fini(&seqs);
}

static void
disconnect(struct peer *p, uint64_t conn, bool will)
{
	link_put_disconnect(p->link,
	    &(struct ipc_disconnect){.conn = conn, .will = will});
}

Test(router_sessions, an_offline_session_finds_its_messages_after_a_crash,
    .timeout = 30)
{
	struct rig r;
	struct peer *a;
	uint64_t session;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	cr_assert(peer_saw(a, "present 0"));
	session = session_of(a);
	cr_assert_gt(session, 0);
	peer_subscribe(a, 1, "t/#", QOS2, 5);
	SAW(a, "subscribed 2 0");
	disconnect(a, 1, false);
	for (int i = 0; i < 12; i++)
		peer_publish(a, "t/1", "x", QOS2);
	peer_publish(a, "t/1", "y", QOS1);
	cr_assert(RIG_UNTIL(&r, a->taken == 13));
	restart(&r, a);
	peer_registered(a);
	cr_assert(RIG_UNTIL(&r, a->is_welcome));
	forget(a);
	peer_connect(a, 2, "c", false, 3600);
	SAW(a, "present 1");
	cr_assert_eq(session_of(a), session);
	cr_assert(peer_saw(a, "subs 1"));
	SAW(a, "queue 2 seq 10 t/1 x 2\n");
	NOT_SEEN(a, "seq 11");
	forget(a);
	/* QoS 2: the PUBREL waits for the commit, then the window moves. */
	peer_settle(a, session, 1, 1);
	SAW(a, "release 2 seq 1 kind 1");
	cr_assert(RIG_UNTIL(&r, a->settle_taken == 1));
	NOT_SEEN(a, "seq 11");
	peer_settle(a, session, 1, 2);
	SAW(a, "queue 2 seq 11 t/1 x 2\n");
	rig_fini(&r);
}

Test(router_sessions, a_reclaimed_session_goes_on_where_it_was,
    .timeout = 30)
{
	struct rig r;
	struct peer *a;
	uint64_t session, epoch;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	session = session_of(a);
	epoch = epoch_of(a);
	peer_subscribe(a, 1, "t/#", QOS2, 0);
	SAW(a, "subscribed 2 0");
	for (int i = 0; i < 4; i++)
		peer_publish(a, "t/1", "x", QOS2);
	SAW(a, "seq 4");
	/* 1 is answered and taken, 2 answered but not taken, 3, 4 not. */
	peer_settle(a, session, 1, 1);
	SAW(a, "release 1 seq 1 kind 1");
	cr_assert(RIG_UNTIL(&r, a->settle_taken == 1));
	restart(&r, a);
	forget(a);
	reclaim(a, epoch, session, 1, "c", (uint64_t[]){3, 4}, 2);
	rig_idle(&r, 50);
	a->settle_next = 2;
	peer_settle(a, session, 2, 1);
	peer_registered(a);
	cr_assert(RIG_UNTIL(&r, a->is_welcome));
	SAW(a, "release 1 seq 1 kind 1");
	SAW(a, "release 1 seq 2 kind 1");
	NOT_SEEN(a, "queue");
	/* Not reclaimed: it comes again. */
	peer_publish(a, "t/1", "new", QOS2);
	SAW(a, "queue 1 seq 5 t/1 new 2\n");
	rig_fini(&r);
}

Test(router_sessions, a_lost_connection_repeats_with_dup)
{
	struct rig r;
	struct peer *a;
	uint64_t session;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	session = session_of(a);
	peer_subscribe(a, 1, "t/#", QOS1, 0);
	peer_publish(a, "t/1", "x", QOS1);
	peer_publish(a, "t/1", "y", QOS1);
	SAW(a, "seq 2");
	peer_settle(a, session, 1, 0);
	cr_assert(RIG_UNTIL(&r, a->settle_taken == 1));
	disconnect(a, 1, false);
	forget(a);
	peer_connect(a, 2, "c", false, 3600);
	SAW(a, "queue 2 seq 2 t/1 y 9\n");
	cr_assert(!peer_saw(a, "seq 1"));
	rig_fini(&r);
}

Test(router_sessions, inbound_qos_2_is_stored_once, .timeout = 30)
{
	struct rig r;
	struct peer *a, *w;
	uint64_t session, epoch, n;
	struct ipc_publish_item m = {.topic = SLICE_LIT("plant/1"),
	    .payload = SLICE_LIT("x"),
	    .flags = QOS2,
	    .client_id = SLICE_LIT("c"),
	    .mid = 9};

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	session = m.session = session_of(a);
	epoch = epoch_of(a);
	peer_publish_item(a, a->next++, &m);
	m.flags |= MSG_DUP;
	peer_publish_item(a, a->next++, &m);
	cr_assert(RIG_UNTIL(&r, a->taken == 2));
	/* Its acceptor and the router die, the client repeats it. */
	restart(&r, a);
	reclaim(a, epoch, session, 1, "c", NULL, 0);
	peer_registered(a);
	cr_assert(RIG_UNTIL(&r, a->is_welcome));
	n = a->next++;
	peer_publish_item(a, n, &m);
	cr_assert(RIG_UNTIL(&r, a->taken == n));
	forget(a);
	peer_settle(a, session, 9, 3);
	SAW(a, "release 1 seq 9 kind 3");
	/* Released, and on disk so: the next one under it is a new one. */
	restart(&r, a);
	a->settle_next = 2;
	reclaim(a, epoch, session, 1, "c", NULL, 0);
	peer_registered(a);
	cr_assert(RIG_UNTIL(&r, a->is_welcome));
	n = a->next++;
	peer_publish_item(a, n, &m);
	cr_assert(RIG_UNTIL(&r, a->taken == n));
	w = rig_follow(&r, "plant");
	cr_assert_eq(peer_read(w, NULL, NULL), 2);
	rig_fini(&r);
}

Test(router_sessions, the_newest_connection_wins)
{
	struct rig r;
	struct peer *a, *b;
	uint64_t session;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	b = peer_add(&r, KIND_ACCEPTOR, "mqtt.1");
	peer_register(b);
	peer_registered(b);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	session = session_of(a);
	peer_subscribe(a, 1, "t/#", QOS1, 0);
	SAW(a, "subscribed 1 0");
	peer_publish(a, "t/1", "x", QOS1);
	SAW(a, "queue 1 seq 1");
	peer_connect(b, 77, "c", false, 3600);
	SAW(a, "takeover 1 reason 8e");
	SAW(b, "connected 77");
	SAW(b, "queue 77 seq 1 t/1 x 9\n");
	cr_assert_eq(session_of(b), session);
	/* The old one is not heard any more. */
	disconnect(a, 1, true);
	peer_settle(b, session, 1, 0);
	peer_publish(b, "t/1", "y", QOS1);
	SAW(b, "queue 77 seq 2 t/1 y 1\n");
	/* And a session that its client does away with is gone. */
	forget(b);
	peer_connect(b, 78, "c", true, 0);
	SAW(b, "connected 78");
	cr_assert_eq(session_of(b), 0);
	cr_assert_eq(json_object_array_length(json_member(
			 rig_ask(&r, "session.list", "{}"), "items")), 0);
	cr_assert_eq(json_object_array_length(json_member(
			 rig_ask(&r, "client.list", "{}"), "items")), 1);
	rig_fini(&r);
}

Test(router_sessions, sessions_expire_and_queues_have_limits, .timeout = 30)
{
	struct rig r;
	struct peer *a;
	struct json_object *s;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "short", true, 1);
	peer_connect(a, 2, "long", true, 100);
	SAW(a, "connected 2");
	peer_subscribe(a, 2, "t/#", QOS1, 0);
	SAW(a, "subscribed");
	disconnect(a, 1, false);
	disconnect(a, 2, false);
	for (int i = 0; i < 60; i++)
		peer_publish(a, "t/1", "x", QOS1);
	cr_assert(RIG_UNTIL(&r, a->taken == 60));
	rig_idle(&r, 1500);
	s = json_member(rig_ask(&r, "session.list", "{}"), "items");
	cr_assert_eq(json_object_array_length(s), 1);
	s = json_object_array_get_idx(s, 0);
	cr_assert_str_eq(json_get_str(s, "client_id", ""), "long");
	cr_assert_eq(json_get_u64(s, "queued", 0), 50);
	cr_assert_eq(json_get_u64(s, "dropped", 0), 10);
	rig_ask(&r, "session.delete", "{\"client_id\":\"long\"}");
	cr_assert_eq(r.reply_status, 200);
	rig_ask(&r, "session.delete", "{\"client_id\":\"long\"}");
	cr_assert_eq(r.reply_status, 404);
	rig_fini(&r);
}

static void
connect_with_will(struct peer *p, uint64_t conn, const char *client_id,
    uint32_t expiry_s, uint32_t delay_s)
{
	link_put_connect(p->link,
	    &(struct ipc_connect){.conn = conn,
		.client_id = slice_str(client_id),
		.protocol = SLICE_LIT("mqtt"),
		.expiry_s = expiry_s,
		.receive_max = 10,
		.will_delay_s = delay_s,
		.has_will = 1,
		.will_flags = QOS1,
		.will_topic = SLICE_LIT("will/x"),
		.will_payload = slice_str(client_id),
		.will_expiry_s = UINT32_MAX});
}

Test(router_sessions, wills_of_the_dead_are_published, .timeout = 30)
{
	struct rig r;
	struct peer *a, *b;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	b = peer_add(&r, KIND_ACCEPTOR, "mqtt.1");
	peer_register(b);
	peer_registered(b);
	peer_interest(a, "will/#", true);
	SAW(a, "interest ok 7");
	connect_with_will(b, 1, "now", 0, 0);
	connect_with_will(b, 2, "later", 100, 1);
	connect_with_will(b, 3, "back", 100, 1);
	connect_with_will(b, 4, "polite", 0, 0);
	SAW(b, "connected 4");
	disconnect(b, 4, false);
	rig_idle(&r, 50);
	link_free(b->link);
	b->link = NULL;
	SAW(a, "deliver will/x now 17");
	connect_with_will(a, 9, "back", 100, 1);
	SAW(a, "deliver will/x later 17");
	rig_idle(&r, 500);
	cr_assert(!peer_saw(a, "x back"));
	cr_assert(!peer_saw(a, "x polite"));
	/* A will of a process's own client reaches that process too. */
	disconnect(a, 9, true);
	SAW(a, "deliver will/x back 17");
	rig_fini(&r);
}

Test(router_sessions, a_delayed_will_survives_the_router, .timeout = 30)
{
	struct rig r;
	struct peer *a;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	connect_with_will(a, 1, "c", 100, 1);
	SAW(a, "connected 1");
	disconnect(a, 1, true);
	rig_idle(&r, 200);
	restart(&r, a);
	peer_interest(a, "will/#", true);
	peer_registered(a);
	SAW(a, "deliver will/x c 17");
	rig_fini(&r);
}

Test(router_sessions, retained_messages_are_replayed_and_survive,
    .timeout = 30)
{
	struct rig r;
	struct peer *a;
	uint64_t session;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_publish(a, "r/1", "one", QOS1 | RETAIN);
	peer_publish(a, "r/2", "two", QOS1 | RETAIN);
	peer_publish(a, "r/1", "uno", QOS1 | RETAIN);
	peer_publish(a, "r/3", "three", 0 | RETAIN);
	peer_publish(a, "r/2", "", QOS1 | RETAIN);
	cr_assert(RIG_UNTIL(&r, a->taken == 5));
	for (int i = 0; i < 2; i++) {
		link_put_retained_get(a->link,
		    &(struct ipc_retained_get){
			.conn = 1, .seq = 2, .filter = SLICE_LIT("r/+")});
		SAW(a, "retained done");
		cr_assert(peer_saw(a, "retained r/1 uno 5\n"));
		cr_assert(peer_saw(a, "retained r/3 three 4\n"));
		cr_assert(!peer_saw(a, "r/2"));
		if (i == 1)
			break;
		restart(&r, a);
		peer_registered(a);
		cr_assert(RIG_UNTIL(&r, a->is_welcome));
		forget(a);
	}
	/* A session's QoS 1 subscription gets them through its queue. */
	forget(a);
	peer_connect(a, 1, "c", true, 3600);
	SAW(a, "connected 1");
	session = session_of(a);
	peer_subscribe(a, 1, "r/#", QOS1, 0);
	SAW(a, "queue 1 seq 1 r/1 uno 5\n");
	SAW(a, "queue 1 seq 0 r/3 three 4\n");
	peer_settle(a, session, 1, 0);
	forget(a);
	/* Retain handling 1: not again for one that exists; 2: never. */
	peer_subscribe(a, 1, "r/#", QOS1 | 1 << 4, 0);
	SAW(a, "subscribed 1 1");
	peer_subscribe(a, 1, "r/1", QOS1 | 2 << 4, 0);
	SAW(a, "subscribed 1 0");
	NOT_SEEN(a, "queue");
	rig_ask(&r, "retained.delete", "{\"topic\":\"r/1\"}");
	cr_assert_eq(r.reply_status, 200);
	cr_assert_eq(json_object_array_length(json_member(
			 rig_ask(&r, "retained.list", "{}"), "items")), 1);
	rig_fini(&r);
}

Test(router_sessions, no_local_and_retain_as_published)
{
	struct rig r;
	struct peer *a;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "publisher", true, 3600);
	SAW(a, "connected 1");
	peer_subscribe(a, 1, "t/#", QOS1 | 4, 0);
	SAW(a, "subscribed 1 0");
	peer_publish(a, "t/1", "mine", QOS1);
	cr_assert(RIG_UNTIL(&r, a->taken == 1));
	peer_subscribe(a, 1, "t/+", QOS1 | 8, 0);
	SAW(a, "subscribed 1 0");
	rig_idle(&r, 50);
	peer_publish(a, "t/1", "both", QOS1 | RETAIN);
	SAW(a, "queue 1 seq 1 t/1 both 5\n");
	cr_assert(!peer_saw(a, "mine"));
	rig_fini(&r);
}

Test(router_sessions, forwards_to_others_and_never_back)
{
	struct rig r;
	struct peer *a, *b;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	b = peer_add(&r, KIND_ACCEPTOR, "mqtt.1");
	peer_register(b);
	peer_interest(b, "f/#", true);
	peer_registered(b);
	SAW(a, "wanted +f/#");
	cr_assert(!peer_saw(b, "f/#"));
	peer_interest(a, "f/#", true);
	SAW(b, "wanted +f/#");
	peer_publish(a, "f/1", "x", QOS1);
	SAW(b, "deliver f/1 x 1");
	cr_assert(RIG_UNTIL(&r, a->taken == 1));
	NOT_SEEN(a, "deliver");
	peer_interest(b, "f/#", false);
	SAW(a, "wanted -f/#");
	rig_fini(&r);
}

/*
 * One session is away with a few messages while another one reads a lot:
 * the dead segments of $queue are given back, and what is left of them is
 * found in order after a crash.
 */
#define SMALL_SEGMENTS                                                     \
	"{\"store\":{\"segment_size\":1048576},"                           \
	"\"limits\":{\"session_queue_messages\":100000}}"

static uint64_t
queue_bytes(struct rig *r)
{
	return json_get_u64(
	    rig_ask(r, "stream.show", "{\"name\":\"$queue\"}"),
	    "size_bytes", 0);
}

Test(router_sessions, space_of_the_queues_is_given_back, .timeout = 60)
{
	static char payload[10001];
	struct rig r;
	struct peer *a;
	uint64_t session, last = 0, settled = 0;
	char line[100];

	rig_init(&r);
	a = rig_start_with_acceptor(&r, SMALL_SEGMENTS);
	memset(payload, 'x', sizeof(payload) - 1);
	peer_connect(a, 1, "away", true, 3600);
	SAW(a, "connected 1");
	peer_subscribe(a, 1, "few", QOS1, 0);
	disconnect(a, 1, false);
	forget(a);
	peer_connect(a, 2, "busy", true, 3600);
	SAW(a, "connected 2");
	session = session_of(a);
	peer_subscribe(a, 2, "many", QOS1, 0);
	SAW(a, "subscribed");
	for (int i = 0; i < 1000; i++) {
		if (i % 100 == 0) {
			snprintf(line, sizeof(line), "%d", i / 100);
			peer_publish(a, "few", line, QOS1);
		}
		last = peer_publish(a, "many", payload, QOS1);
		snprintf(line, sizeof(line), "seq %d many", i + 1);
		SAW(a, line);
		forget(a);
		settled = peer_settle(a, session, (uint64_t)i + 1, 0);
	}
	cr_assert(RIG_UNTIL(&r, a->taken == last));
	cr_assert(RIG_UNTIL(&r, a->settle_taken == settled));
	cr_assert_gt(queue_bytes(&r), 3u << 20);
	cr_assert(RIG_UNTIL(&r, queue_bytes(&r) < 3u << 20));
	for (int i = 0; i < 2; i++) {
		rig_kill(&r);
		rig_start(&r, SMALL_SEGMENTS);
		peer_link(a);
		rig_links_done(&r);
		peer_register(a);
		peer_registered(a);
		cr_assert(RIG_UNTIL(&r, a->is_welcome));
	}
	forget(a);
	peer_connect(a, 3, "away", false, 3600);
	for (int i = 0; i < 10; i++) {
		snprintf(line, sizeof(line), "queue 3 seq %d few %d 1\n",
		    i + 1, i);
		SAW(a, line);
	}
	rig_fini(&r);
}
