/* links: router_room db */
#include "router_rig.h"

#include "base/db/db.h"

#include <sys/mount.h>

#define CONFIG                                                             \
	"{\"streams\":{\"plant\":{\"topics\":[\"plant/#\"]}},"             \
	"\"version\":\"t\"}"
#define QOS1 1

static uint64_t
records_of(struct rig *r, const char *stream)
{
	char args[256];
	struct json_object *o;

	snprintf(args, sizeof(args), "{\"name\":\"%s\"}", stream);
	o = rig_ask(r, "stream.show", args);
	return r->reply_status == 200 ? json_get_u64(o, "records", 0) :
	    UINT64_MAX;
}

static void
publish_all(struct peer *a, const char *topic, int n)
{
	uint64_t last = 0;

	for (int i = 0; i < n; i++)
		last = peer_publish(a, topic, "x", QOS1);
	cr_assert(RIG_UNTIL(a->rig, a->taken == last));
}

Test(router_streams, are_made_shown_emptied_and_removed, .timeout = 30)
{
	struct rig r;
	struct peer *a, *w;
	struct json_object *o;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	rig_ask(&r, "stream.create",
	    "{\"name\":\"own\",\"topics\":[\"own/+\"],\"partitions\":4}");
	cr_assert_eq(r.reply_status, 201);
	rig_ask(&r, "stream.create", "{\"name\":\"own\",\"topics\":[\"x\"]}");
	cr_assert_eq(r.reply_status, 409);
	rig_ask(&r, "stream.create", "{\"name\":\"a b\",\"topics\":[\"x\"]}");
	cr_assert_eq(r.reply_status, 400);
	rig_ask(&r, "stream.create", "{\"name\":\"z\",\"topics\":[\"x#\"]}");
	cr_assert_eq(r.reply_status, 400);
	rig_ask(&r, "stream.create", "{\"name\":\"$z\",\"topics\":[\"x\"]}");
	cr_assert_eq(r.reply_status, 400);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "wanted +own/+")));
	for (int i = 0; i < 20; i++) {
		char topic[16];

		snprintf(topic, sizeof(topic), "own/%d", i);
		publish_all(a, topic, 1);
	}
	rig_kill(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	cr_assert_eq(records_of(&r, "own"), 20);
	o = json_member(rig_ask(&r, "stream.show", "{\"name\":\"own\"}"),
	    "partitions");
	cr_assert_eq(json_object_array_length(o), 4);
	rig_ask(&r, "stream.purge", "{\"name\":\"own\"}");
	cr_assert_eq(r.reply_status, 200);
	cr_assert_eq(records_of(&r, "own"), 0);
	w = rig_follow(&r, "own");
	rig_ask(&r, "stream.delete", "{\"name\":\"own\"}");
	cr_assert_eq(r.reply_status, 200);
	cr_assert(RIG_UNTIL(&r, peer_saw(w, "stream gone")));
	rig_ask(&r, "stream.show", "{\"name\":\"own\"}");
	cr_assert_eq(r.reply_status, 404);
	rig_ask(&r, "stream.delete", "{\"name\":\"$queue\"}");
	cr_assert_eq(r.reply_status, 409);
	/* Made again, it is another one. */
	rig_ask(&r, "stream.create",
	    "{\"name\":\"own\",\"topics\":[\"own/+\"]}");
	cr_assert_eq(r.reply_status, 201);
	publish_all(a, "own/1", 3);
	cr_assert_eq(records_of(&r, "own"), 3);
	cr_assert_eq(rig_stop(&r), 0);
	rig_fini(&r);
}

Test(router_streams, starts_of_connectors_are_resolved, .timeout = 30)
{
	struct rig r;
	struct peer *a;
	struct json_object *o;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	publish_all(a, "plant/1", 5);
	o = rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"topics\":[\"plant/+\"],"
	    "\"start\":\"latest\"}");
	cr_assert_eq(r.reply_status, 200);
	cr_assert_str_eq(json_get_str(o, "stream", ""), "plant");
	cr_assert_eq(
	    json_get_u64(json_member(o, "partitions"), "0", 99), 5);
	o = rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"stream\":\"plant\","
	    "\"start\":\"2020-01-01T00:00:00Z\"}");
	cr_assert_eq(
	    json_get_u64(json_member(o, "partitions"), "0", 99), 0);
	rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"stream\":\"plant\",\"start\":\"x\"}");
	cr_assert_eq(r.reply_status, 400);
	rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"stream\":\"nope\"}");
	cr_assert_eq(r.reply_status, 404);
	/* None covers: one of its own. */
	o = rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"topics\":[\"else/#\"]}");
	cr_assert_eq(r.reply_status, 200);
	cr_assert_str_eq(json_get_str(o, "stream", ""), "$connector.c");
	publish_all(a, "else/1", 2);
	cr_assert_eq(records_of(&r, "$connector.c"), 2);
	/* Asked again after a restart: the same one. */
	rig_kill(&r);
	rig_start_with_acceptor(&r, CONFIG);
	o = rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"topics\":[\"else/#\"],"
	    "\"start\":\"earliest\"}");
	cr_assert_eq(
	    json_get_u64(json_member(o, "partitions"), "0", 99), 0);
	/* Several cover: refused, and named. */
	rig_ask(&r, "stream.create",
	    "{\"name\":\"all\",\"topics\":[\"#\"]}");
	o = rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"d\",\"topics\":[\"plant/+\"]}");
	cr_assert_eq(r.reply_status, 409);
	cr_assert_not_null(strstr(json_get_str(o, "message", ""), "plant"));
	cr_assert_not_null(strstr(json_get_str(o, "message", ""), "all"));
	rig_fini(&r);
}

Test(router_streams, a_reload_adds_and_changes, .timeout = 30)
{
	struct rig r;
	struct peer *a;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	publish_all(a, "plant/1", 1);
	link_put_reconfigure(r.control,
	    &(struct ipc_reconfigure){.config = SLICE_LIT(
		"{\"streams\":{\"plant\":{\"topics\":[\"p/#\"]},"
		"\"new\":{\"topics\":[\"new/#\"]}}}")});
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "wanted +new/#")));
	cr_assert(peer_saw(a, "wanted -plant/#"));
	publish_all(a, "p/1", 1);
	publish_all(a, "new/1", 1);
	publish_all(a, "plant/1", 1);
	cr_assert_eq(records_of(&r, "plant"), 2);
	cr_assert_eq(records_of(&r, "new"), 1);
	link_put_reconfigure(r.control,
	    &(struct ipc_reconfigure){.config = SLICE_LIT(
		"{\"streams\":{\"new\":{\"topics\":[\"new/#\"],"
		"\"partitions\":2}}}")});
	cr_assert(RIG_UNTIL(&r, strstr(r.degraded, "cannot be changed")));
	/* What left the configuration stays. */
	cr_assert_eq(records_of(&r, "plant"), 2);
	rig_fini(&r);
}

static uint64_t
bytes_of(struct rig *r, const char *stream)
{
	char args[256];

	snprintf(args, sizeof(args), "{\"name\":\"%s\"}", stream);
	return json_get_u64(
	    rig_ask(r, "stream.show", args), "size_bytes", 0);
}

static void
publish_bytes(struct peer *a, const char *topic, int n)
{
	static char payload[10001];
	uint64_t last = 0;

	memset(payload, 'x', sizeof(payload) - 1);
	for (int i = 0; i < n; i++) {
		last = peer_publish(a, topic, payload, QOS1);
		if (i % 50 == 0)
			cr_assert(RIG_UNTIL(a->rig, a->taken == last));
	}
	cr_assert(RIG_UNTIL(a->rig, a->taken == last));
}

Test(router_streams, retention_by_size_takes_the_oldest, .timeout = 30)
{
	struct rig r;
	struct peer *a, *w;
	size_t n;

	rig_init(&r);
	a = rig_start_with_acceptor(&r,
	    "{\"store\":{\"segment_size\":1048576},\"streams\":{\"plant\":{"
	    "\"topics\":[\"plant/#\"],\"retention\":{\"size\":3000000}}}}");
	w = rig_follow(&r, "plant");
	publish_bytes(a, "plant/1", 1000);
	cr_assert(RIG_UNTIL(&r, bytes_of(&r, "plant") < 4500000));
	cr_assert(RIG_UNTIL(&r, w->high == 1000));
	rig_idle(&r, 300);
	n = peer_read(w, NULL, NULL);
	cr_assert_lt(n, 350, "%zu", n);
	cr_assert_gt(n, 150, "%zu", n);
	rig_kill(&r);
	rig_start_with_acceptor(&r, CONFIG);
	cr_assert_eq(records_of(&r, "plant"), n);
	rig_fini(&r);
}

Test(router_streams, retention_waits_for_the_connector, .timeout = 30)
{
	struct rig r;
	struct peer *a, *w;

	rig_init(&r);
	a = rig_start_with_acceptor(
	    &r, "{\"store\":{\"segment_size\":1048576}}");
	rig_ask(&r, "stream.resolve",
	    "{\"connector\":\"c\",\"topics\":[\"c/#\"]}");
	cr_assert_eq(r.reply_status, 200);
	publish_bytes(a, "c/1", 500);
	w = peer_add(&r, KIND_WORKER, "connector.c");
	peer_register(w);
	peer_registered(w);
	w->reader = log_reader_new("$connector.c", 1, 0);
	link_put_follow(w->link,
	    &(struct ipc_follow){.id = 1,
		.stream = SLICE_LIT("$connector.c"),
		.consumes = 1});
	cr_assert(RIG_UNTIL(&r, w->is_following));
	cr_assert_eq(peer_read(w, NULL, NULL), 500);
	cr_assert_gt(bytes_of(&r, "$connector.c"), 4000000);
	link_put_consumed(w->link,
	    &(struct ipc_consumed){.id = 1, .partition = 0, .offset = 450});
	cr_assert(RIG_UNTIL(&r, bytes_of(&r, "$connector.c") < 2500000));
	cr_assert_eq(records_of(&r, "$connector.c"), 50);
	rig_fini(&r);
}

/* ---- bad circumstances -------------------------------------------------- */

Test(router_streams, two_routers_never_share_the_data, .timeout = 30)
{
	struct rig r, second;
	struct peer *a;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	publish_all(a, "plant/1", 1);
	second = r;
	second.peers_len = 0;
	rig_start(&second, CONFIG);
	rig_idle(&second, 300);
	cr_assert_not(second.is_ready);
	rig_kill(&r);
	cr_assert(RIG_UNTIL(&second, second.is_ready));
	cr_assert_eq(records_of(&second, "plant"), 1);
	rig_kill(&second);
	r.reply = second.reply;
	rig_fini(&r);
}

static void
file_damage(struct rig *r)
{
	int fd = openat(r->dirfd, "router.db", O_RDWR);
	char junk[3000];

	memset(junk, 0x5a, sizeof(junk));
	cr_assert_eq(pwrite(fd, junk, sizeof(junk), 4096),
	    (ssize_t)sizeof(junk));
	close(fd);
}

Test(router_streams, a_damaged_database_is_left_as_it_is, .timeout = 30)
{
	struct rig r;
	struct peer *a;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	publish_all(a, "plant/1", 1);
	cr_assert_eq(rig_stop(&r), 0);
	file_damage(&r);
	rig_start(&r, CONFIG);
	cr_assert(RIG_UNTIL(&r, r.is_parked));
	cr_assert_not_null(strstr(r.park, "router.db"), "%s", r.park);
	cr_assert_not_null(strstr(r.park, "left as it is"), "%s", r.park);
	rig_reap(&r);
	rig_start(&r, CONFIG);
	cr_assert(RIG_UNTIL(&r, r.is_parked));
	rig_reap(&r);
	rig_fini(&r);
}

Test(router_streams, a_locked_database_is_named, .timeout = 30)
{
	struct rig r;
	char path[100], why[512];
	enum db_fault fault;
	struct db *db;

	rig_init(&r);
	rig_start_with_acceptor(&r, CONFIG);
	cr_assert_eq(rig_stop(&r), 0);
	snprintf(path, sizeof(path), "%s/router.db", r.dir);
	db = db_open(path, 0, DB_APP_ROUTER, &fault, why, sizeof(why));
	cr_assert_not_null(db, "%s", why);
	cr_assert_eq(db_begin(db), 0);
	rig_start(&r, CONFIG);
	cr_assert(RIG_UNTIL(&r, r.is_parked));
	cr_assert_not_null(strstr(r.park, "locked"), "%s", r.park);
	rig_reap(&r);
	db_rollback(db);
	db_close(db);
	rig_start_with_acceptor(&r, CONFIG);
	rig_fini(&r);
}

Test(router_streams, a_full_disk_refuses_and_resumes, .timeout = 60)
{
	struct rig r;
	struct peer *a;
	static char payload[60001];
	uint64_t last = 0, refused;

	rig_init(&r);
	if (mount("tmpfs", r.dir, "tmpfs", 0, "size=80m") == -1) {
		rmdir(r.dir);
		cr_skip("no right to mount a small file system");
	}
	close(r.dirfd);
	r.dirfd = open(r.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* It lives as long as its descriptor, and no longer. */
	umount2(r.dir, MNT_DETACH);
	a = rig_start_with_acceptor(&r, CONFIG);
	memset(payload, 'x', sizeof(payload) - 1);
	for (int i = 0; i < 2000 && a->refused_len == 0; i++) {
		last = peer_publish(a, "plant/1", payload, QOS1);
		cr_assert(RIG_UNTIL(&r, a->taken == last));
	}
	cr_assert_eq(a->refused_len, 1);
	cr_assert_eq(a->refused[0].number, last);
	cr_assert_eq(a->refused[0].reason, 0x97);
	cr_assert(RIG_UNTIL(&r, strstr(r.degraded, "disk full")));
	refused = a->refused_len;
	/* Sessions and what is not captured go on. */
	peer_connect(a, 1, "c", true, 3600);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "connected 1")));
	cr_assert_eq(records_of(&r, "plant"), last - refused);
	rig_ask(&r, "stream.purge", "{\"name\":\"plant\"}");
	cr_assert(RIG_UNTIL(&r, strstr(r.degraded, "disk: ") != NULL &&
	    strstr(r.degraded, "full") == NULL));
	publish_all(a, "plant/1", 3);
	cr_assert_eq(a->refused_len, refused);
	rig_kill(&r);
	rig_start_with_acceptor(&r, CONFIG);
	cr_assert_eq(records_of(&r, "plant"), 3);
	rig_fini(&r);
}

Test(router_streams, an_acceptor_that_does_not_register_is_named,
    .timeout = 30)
{
	struct rig r;
	struct peer *a, *b;

	rig_init(&r);
	rig_start(&r, CONFIG);
	a = peer_add(&r, KIND_ACCEPTOR, "mqtt");
	b = peer_add(&r, KIND_ACCEPTOR, "mqtt.1");
	rig_links_done(&r);
	peer_register(a);
	peer_registered(a);
	rig_idle(&r, 500);
	cr_assert_not(a->is_welcome);
	cr_assert(RIG_UNTIL(&r, r.stuck[0] != '\0'));
	cr_assert_str_eq(r.stuck, "mqtt.1");
	link_free(b->link);
	b->link = NULL;
	cr_assert(RIG_UNTIL(&r, a->is_welcome));
	rig_fini(&r);
}
