/* links: router_room */
#include "router_rig.h"

#define CONFIG                                                                 \
	"{\"streams\":{\"plant\":{\"topics\":[\"plant/#\"]}},"                 \
	"\"limits\":{\"session_queue_messages\":1000},\"version\":\"t\"}"
#define QOS1 1
#define QOS2 2

Test(router_process, takes_what_it_captured_and_readers_see_it)
{
	struct rig r;
	struct peer *a, *w;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "wanted +plant/#")));
	for (int i = 0; i < 1000; i++)
		peer_publish(a, "plant/1/t", "21.5", QOS1);
	cr_assert(RIG_UNTIL(&r, a->taken == 1000));
	cr_assert_eq(a->refused_len, 0);
	w = rig_follow(&r, "plant");
	cr_assert_eq(peer_read(w, NULL, NULL), 1000);
	peer_publish(a, "plant/1/t", "22", QOS1);
	cr_assert(RIG_UNTIL(&r, a->taken == 1001));
	cr_assert(RIG_UNTIL(&r, w->high == 1001));
	cr_assert_eq(peer_read(w, NULL, NULL), 1);
	cr_assert_eq(rig_stop(&r), 0);
	rig_fini(&r);
}

static void
note_payload(const struct record *rec, void *arg)
{
	unsigned *seen = arg;
	char text[32];

	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(rec->payload));
	seen[atoi(text)]++;
}

/* Kills at random moments; what was not taken is handed over again. */
Test(router_process, killed_under_load_loses_and_repeats_nothing, .timeout = 60)
{
	enum { TOTAL = 20000, KILLS = 6 };
	static unsigned seen[TOTAL + 1];
	struct rig r;
	struct peer *a, *w;
	uint64_t sent = 0;
	char payload[32];

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	srand(3);
	for (int k = 0; k <= KILLS; k++) {
		uint64_t upto =
		    (uint64_t)TOTAL * (uint64_t)(k + 1) / (KILLS + 1);

		if (k > 0) {
			rig_start(&r, CONFIG);
			peer_link(a);
			rig_links_done(&r);
			peer_register(a);
			peer_registered(a);
			cr_assert(RIG_UNTIL(&r, a->is_welcome));
			sent = a->taken;
		}
		while (sent < upto) {
			sent++;
			snprintf(payload, sizeof(payload), "%llu",
			    (unsigned long long)sent);
			peer_publish_item(a, sent,
			    &(struct ipc_publish_item){
				.topic = SLICE_LIT("plant/x"),
				.payload = slice_str(payload),
				.flags = QOS1,
				.timestamp_ms = clock_wall_ms()});
			if (sent % 100 == 0)
				rig_turn(&r);
		}
		for (int i = rand() % 20; i > 0; i--)
			rig_turn(&r);
		if (k < KILLS)
			rig_kill(&r);
	}
	cr_assert(RIG_UNTIL(&r, a->taken == TOTAL));
	w = rig_follow(&r, "plant");
	cr_assert_eq(peer_read(w, note_payload, seen), TOTAL);
	for (int i = 1; i <= TOTAL; i++)
		cr_assert_eq(seen[i], 1, "message %d: %u times", i, seen[i]);
	rig_fini(&r);
}

Test(router_process, sessions_get_queued_messages_in_order)
{
	struct rig r;
	struct peer *a;
	char *seen;

	rig_init(&r);
	a = rig_start_with_acceptor(&r, CONFIG);
	peer_connect(a, 1, "c", true, 3600);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "connected 1")));
	peer_subscribe(a, 1, "t/#", QOS1, 5);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "subscribed 1 0")));
	free(peer_take(a));
	peer_publish(a, "t/1", "a", QOS1);
	peer_publish(a, "t/1", "b", QOS2);
	peer_publish(a, "t/1", "c", 0);
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "seq 2")));
	cr_assert(RIG_UNTIL(&r, peer_saw(a, "seq 0")));
	cr_assert(RIG_UNTIL(&r, a->taken == 3));
	seen = peer_take(a);
	cr_assert_not_null(strstr(seen, "queue 1 seq 1 t/1 a 1\n"
					"queue 1 seq 2 t/1 b 1\n"),
	    "%s", seen);
	free(seen);
	cr_assert_eq(rig_stop(&r), 0);
	rig_fini(&r);
}
