/* links: ipc proto_mqtt */
#include "tests/unit/acceptor_stub.h"

static void
start(void)
{
	stub_start("{}");
}

TestSuite(acceptor, .init = start, .fini = stub_stop, .timeout = 60);

static void
want(const char *filter)
{
	struct ipc_batch items = {0};
	struct ipc_wanted m = {.generation = ++*stub.page};

	ipc_add_wanted_item(&items, &(struct ipc_wanted_item){1,
	    slice_str(filter)});
	m.items = ipc_batch_list(&items);
	link_put_wanted(stub.router, &m);
	buf_fini(&items.bytes);
	for (int i = 0; i < 20; i++) {
		stub_turn();
		usleep(1000);
	}
}

/* ---- sessions ----------------------------------------------------------- */

Test(acceptor, connect_versions)
{
	int fd = stub_client("three", 4);

	cr_assert_str_eq(stub.connect_id, "three");
	cr_assert_eq(stub.last_connect.expiry_s, 0);
	cr_assert_eq(stub.last_connect.clean_start, 1);
	stub_send(fd, "c0 00");
	stub_expect(fd, "d0 00");
	stub_send(fd, "e0 00");
	stub_expect_close(fd);
	stub_until(stub.disconnect_count == 1);
	cr_assert_eq(stub.last_disconnect.will, 0);
	fd = stub_client("five", 5);
	stub_send(fd, "e0 00");
	stub_expect_close(fd);
	fd = stub_dial();
	stub_send(fd, "10 00 0006'MQIsdp' 03 02 0000 0001'x'");
	stub_expect(fd, "20 00 00 00");
	close(fd);
	stub_until(stub.disconnect_count == 3);
}

Test(acceptor, connect_refused)
{
	int fd = stub_dial();

	/* [MQTT-3.1.2-2] */
	stub_send(fd, "10 00 0004'MQTT' 07 02 0000 00 0000");
	stub_expect(fd, "20 00 00 84 00");
	stub_expect_close(fd);
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 03 02 0000 0000");
	stub_expect(fd, "20 00 00 01");
	stub_expect_close(fd);
	/* 3.1.1 [MQTT-3.1.3-8] */
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 04 00 0000 0000");
	stub_expect(fd, "20 00 00 02");
	stub_expect_close(fd);
	/* an authentication method that nobody has */
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 05 02 0000 04 15 0001'X' 0000");
	stub_expect(fd, "20 00 00 8c 00");
	stub_expect_close(fd);
	/* malformed: version 5 is told, version 4 is not */
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 05 03 0000 00 0000");
	stub_expect(fd, "20 00 00 81 00");
	stub_expect_close(fd);
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 04 03 0000 0000");
	stub_expect_close(fd);
	/* [MQTT-3.1.0-1] */
	fd = stub_dial();
	stub_send(fd, "c0 00");
	stub_expect_close(fd);
	cr_assert_eq(stub.connect_count, 0);
	/* [MQTT-3.1.0-2] */
	fd = stub_client("twice", 5);
	stub_send(fd, "10 00 0004'MQTT' 05 02 0000 00 0001'a'");
	stub_expect(fd, "e0 00 82");
	stub_expect_close(fd);
}

Test(acceptor, assigned_identifier)
{
	int fd = stub_dial();
	uint8_t got[80];
	size_t have = 0;
	ssize_t n;

	stub_send(fd, "10 00 0004'MQTT' 05 02 0000 00 0000");
	while (have < 45) {
		stub_turn();
		n = recv(fd, got + have, sizeof(got) - have, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
	}
	cr_assert_eq(strncmp(stub.connect_id, "auto-", 5), 0);
	cr_assert_neq(memmem(got, have, stub.connect_id, 21), NULL);
	close(fd);
}

/* What came with the CONNECT in one segment waits for the router's word. */
Test(acceptor, connect_waits_for_router)
{
	int fd = stub_dial();

	stub.holds_connected = true;
	stub_send(fd, "10 00 0004'MQTT' 04 02 0000 0001'a'");
	stub_send(fd, "c0 00");
	stub_until(stub.connect_count == 1);
	stub_expect_silence(fd);
	stub_router_end();
	stub.holds_connected = false;
	stub_router();
	stub_expect(fd, "20 00 00 00");
	stub_expect(fd, "d0 00");
	cr_assert_eq(stub.connect_count, 2);
	close(fd);
}

Test(acceptor, will_and_takeover)
{
	int fd = stub_dial();

	stub_send(fd, "10 00 0004'MQTT' 05 2e 0000 00 0001'w'"
	    " 0a 18 00000007 02 0000003c 0003'w/t' 0003'bye'");
	stub_expect(fd, "20 00 00 00 10 11 00000000 21 0400 22 0020"
	    " 27 00100000");
	cr_assert_str_eq(stub.connect_will, "w/t");
	cr_assert_eq(stub.last_connect.will_delay_s, 7);
	cr_assert_eq(stub.last_connect.will_expiry_s, 60);
	cr_assert_eq(stub.last_connect.will_flags, 1 | MSG_RETAIN | MSG_WILL);
	link_put_takeover(stub.router, &(struct ipc_takeover){
	    stub.last_conn, stub.next_epoch, 0x8e});
	stub_expect(fd, "e0 00 8e");
	stub_expect_close(fd);
	stub_until(stub.disconnect_count == 1);
	cr_assert_eq(stub.last_disconnect.will, 1);
	/* a connection that breaks wants its will, one that says 0 not */
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 04 06 0000 0001'w' 0001't' 0000");
	stub_expect(fd, "20 00 00 00");
	stub_send(fd, "e0 00");
	stub_until(stub.disconnect_count == 2);
	cr_assert_eq(stub.last_disconnect.will, 0);
	close(fd);
	fd = stub_dial();
	stub_send(fd, "10 00 0004'MQTT' 04 06 0000 0001'w' 0001't' 0000");
	stub_expect(fd, "20 00 00 00");
	close(fd);
	stub_until(stub.disconnect_count == 3);
	cr_assert_eq(stub.last_disconnect.will, 1);
}

Test(acceptor, keep_alive)
{
	int fd = stub_dial();

	stub_send(fd, "10 00 0004'MQTT' 05 02 0001 00 0001'k'");
	stub_expect(fd, "20 00 00 00 10 11 00000000 21 0400 22 0020"
	    " 27 00100000");
	stub_expect(fd, "e0 00 8d");
	stub_expect_close(fd);
}

/* ---- local delivery ----------------------------------------------------- */

Test(acceptor, local_delivery_at_each_qos)
{
	int sub = stub_client("sub", 4), pub = stub_client("pub", 4);

	stub_send(sub, "82 00 0001 0001'a' 02");
	stub_expect(sub, "90 00 0001 02");
	cr_assert_str_eq(stub.interest[0], "a");
	stub_send(pub, "30 00 0001'a' 'q0'");
	stub_expect(sub, "30 00 0001'a' 'q0'");
	stub_send(pub, "32 00 0001'a' 0005 'q1'");
	stub_expect(pub, "40 00 0005");
	stub_expect(sub, "32 00 0001'a' 0001 'q1'");
	stub_send(sub, "40 00 0001");
	stub_send(pub, "34 00 0001'a' 0006 'q2'");
	stub_expect(pub, "50 00 0006");
	stub_send(pub, "34 00 0001'a' 0006 'q2'");
	stub_expect(pub, "50 00 0006");
	stub_send(pub, "62 00 0006");
	stub_expect(pub, "70 00 0006");
	stub_expect(sub, "34 00 0001'a' 0002 'q2'");
	stub_send(sub, "50 00 0002");
	stub_expect(sub, "62 00 0002");
	stub_send(sub, "70 00 0002");
	stub_expect_silence(sub);
	cr_assert_eq(stub.publish_count, 0, "nothing outside wanted it");
	close(sub);
	close(pub);
}

Test(acceptor, qos_is_the_lesser)
{
	int sub = stub_client("sub", 5), pub = stub_client("pub", 4);

	stub_send(sub, "82 00 0001 00 0001'a' 00 0001'b' 01");
	stub_expect(sub, "90 00 0001 00 00 01");
	stub_send(pub, "34 00 0001'a' 0001 'x'");
	stub_expect(sub, "30 00 0001'a' 00 'x'");
	stub_expect(pub, "50 00 0001");
	stub_send(pub, "30 00 0001'b' 'y'");
	stub_expect(sub, "30 00 0001'b' 00 'y'");
	close(sub);
	close(pub);
}

Test(acceptor, properties_travel)
{
	int sub = stub_client("sub", 5), pub = stub_client("pub", 5);
	int old = stub_client("old", 4);

	stub_send(sub, "82 00 0001 02 0b 07 0001'+' 00");
	stub_expect(sub, "90 00 0001 00 00");
	stub_send(old, "82 00 0001 0001'a' 00");
	stub_expect(old, "90 00 0001 00");
	stub_send(pub, "30 00 0001'a' 15 23 0001 01 01 02 0000003c"
	    " 09 0001'c' 26 0001'k' 0001'v' 'x'");
	stub_expect(sub, "30 00 0001'a' 14 01 01 02 0000003c"
	    " 09 0001'c' 26 0001'k' 0001'v' 0b 07 'x'");
	stub_expect(old, "30 00 0001'a' 'x'");
	/* the alias stands for the topic now */
	stub_send(pub, "30 00 0000 03 23 0001 'y'");
	stub_expect(sub, "30 00 0001'a' 02 0b 07 'y'");
	stub_expect(old, "30 00 0001'a' 'y'");
	stub_send(pub, "30 00 0000 03 23 0002 'z'");
	stub_expect(pub, "e0 00 82");
	stub_expect_close(pub);
	pub = stub_client("pub", 5);
	stub_send(pub, "30 00 0001'a' 03 23 0021 'z'");
	stub_expect(pub, "e0 00 94");
	stub_expect_close(pub);
	close(sub);
	close(old);
}

/* [MQTT-3.3.4-2], -3: one copy, the greatest QoS, every identifier */
Test(acceptor, overlapping_and_no_local)
{
	int sub = stub_client("sub", 5);

	stub_send(sub, "82 00 0001 02 0b 05 0001'a' 00");
	stub_expect(sub, "90 00 0001 00 00");
	stub_send(sub, "82 00 0002 02 0b 06 0001'#' 01");
	stub_expect(sub, "90 00 0002 00 01");
	stub_send(sub, "82 00 0003 02 0b 07 0001'+' 06");
	stub_expect(sub, "90 00 0003 00 02");
	stub_send(sub, "34 00 0001'a' 0009 00 'x'");
	/* the order of the two identifiers is ours: newest first */
	uint8_t got[32];
	size_t have = 0;
	ssize_t n;

	while (have < 13 + 4) {
		stub_turn();
		n = recv(sub, got + have, sizeof(got) - have, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
	}
	cr_assert_neq(memmem(got, have, "\x32\x0b\0\1a\0\1\4\x0b", 9), NULL);
	cr_assert_neq(memmem(got, have, "\x0b\x05", 2), NULL);
	cr_assert_neq(memmem(got, have, "\x0b\x06", 2), NULL);
	cr_assert_eq(memmem(got, have, "\x0b\x07", 2), NULL);
	close(sub);
}

Test(acceptor, unsubscribe)
{
	int c = stub_client("c", 5);

	stub_send(c, "82 00 0001 00 0001'a' 00");
	stub_expect(c, "90 00 0001 00 00");
	stub_send(c, "a2 00 0002 00 0001'a' 0001'b'");
	stub_expect(c, "b0 00 0002 00 00 11");
	stub_send(c, "32 00 0001'a' 0001 00 'x'");
	stub_expect(c, "40 00 0001 10");
	/* [MQTT-3.8.3-3] shared */
	stub_send(c, "82 00 0003 00 000a'$share/g/a' 00 0001'b' 00");
	stub_expect(c, "90 00 0003 00 00 00");
	close(c);
}

Test(acceptor, receive_maximum)
{
	int sub = stub_dial(), pub = stub_client("pub", 4);

	stub_send(sub, "10 00 0004'MQTT' 05 02 0000 03 21 0002 0001's'");
	stub_expect(sub, "20 00 00 00 10 11 00000000 21 0400 22 0020"
	    " 27 00100000");
	stub_send(sub, "82 00 0001 00 0001'a' 01");
	stub_expect(sub, "90 00 0001 00 01");
	stub_send(pub, "32 00 0001'a' 0001 '1'");
	stub_send(pub, "32 00 0001'a' 0002 '2'");
	stub_send(pub, "32 00 0001'a' 0003 '3'");
	stub_send(pub, "32 00 0001'a' 0004 '4'");
	stub_expect(sub, "32 00 0001'a' 0001 00 '1'");
	stub_expect(sub, "32 00 0001'a' 0002 00 '2'");
	stub_expect_silence(sub);
	stub_send(sub, "40 00 0002");
	stub_expect(sub, "32 00 0001'a' 0003 00 '3'");
	stub_expect_silence(sub);
	stub_send(sub, "40 00 0001");
	stub_expect(sub, "32 00 0001'a' 0004 00 '4'");
	close(sub);
	close(pub);
}

Test(acceptor, maximum_packet_size)
{
	int sub = stub_dial(), pub = stub_client("pub", 4);

	stub_send(sub, "10 00 0004'MQTT' 05 02 0000 05 27 00000010 0001's'");
	stub_expect(sub, "20 00 00 00 10 11 00000000 21 0400 22 0020"
	    " 27 00100000");
	stub_send(sub, "82 00 0001 00 0001'a' 01");
	stub_expect(sub, "90 00 0001 00 01");
	stub_send(pub, "32 00 0001'a' 0001 '123456789'");
	stub_send(pub, "32 00 0001'a' 0002 '12345678'");
	stub_expect(sub, "32 00 0001'a' 0001 00 '12345678'");
	close(sub);
	close(pub);
}

Test(acceptor, oversized_packet)
{
	int c = stub_client("c", 5);
	static const uint8_t head[] = {0x30, 0xff, 0xff, 0x7f};

	cr_assert_eq(write(c, head, 4), 4);
	stub_expect(c, "e0 00 95");
	stub_expect_close(c);
}

Test(acceptor, large_packet_in_pieces)
{
	int sub = stub_client("sub", 4), pub = stub_client("pub", 4);
	struct mqtt_delivery d = {.topic = SLICE_LIT("a"),
	    .expiry_at = MQTT_NOWHERE};
	size_t len = 1000000, have = 0, at = 0;
	uint8_t *payload = malloc(len), *got;
	struct buf b = {0};
	ssize_t n;

	for (size_t i = 0; i < len; i++)
		payload[i] = (uint8_t)(i * 7 >> 3);
	d.payload = slice_of(payload, len);
	mqtt_delivery_add(&b, &d, 4);
	got = malloc(buf_len(&b));
	stub_send(sub, "82 00 0001 0001'a' 00");
	stub_expect(sub, "90 00 0001 00");
	fcntl(pub, F_SETFL, O_NONBLOCK);
	while (have < buf_len(&b)) {
		n = write(pub, buf_data(&b) + at,
		    buf_len(&b) - at > 70001 ? 70001 : buf_len(&b) - at);
		if (n > 0)
			at += (size_t)n;
		stub_turn();
		n = recv(sub, got + have, buf_len(&b) - have, MSG_DONTWAIT);
		if (n > 0)
			have += (size_t)n;
	}
	cr_assert_eq(memcmp(got, buf_data(&b), have), 0);
	buf_fini(&b);
	free(payload);
	free(got);
	close(sub);
	close(pub);
}

/* ---- with the router ---------------------------------------------------- */

Test(acceptor, wanted_outside_waits_for_taken)
{
	int pub = stub_client("pub", 5);

	want("out/#");
	stub.holds_taken = true;
	stub_send(pub, "32 00 0005'out/a' 0001 07 26 0001'k' 0001'v' 'x'");
	stub_send(pub, "32 00 0001'a' 0002 00 'local'");
	stub_send(pub, "34 00 0005'out/b' 0003 00 'y'");
	stub_until(stub.publish_count == 2);
	stub_expect_silence(pub);
	cr_assert_str_eq(stub.publishes[0].topic, "out/a");
	cr_assert_str_eq(stub.publishes[0].client_id, "pub");
	cr_assert_eq(stub.publishes[0].number, 1);
	cr_assert_eq(stub.publishes[0].flags, 1);
	cr_assert(slice_eq(buf_slice(&stub.publishes[0].props),
	    SLICE_LIT("\5\0\0\0\4\0\1kv")));
	stub_send_taken();
	/* in the order of the publishes */
	stub_expect(pub, "40 00 0001");
	stub_expect(pub, "40 00 0002 10");
	stub_expect(pub, "50 00 0003");
	close(pub);
}

Test(acceptor, all_goes_over_while_interest_is_older)
{
	int pub = stub_client("pub", 4);

	++*stub.page;
	stub_send(pub, "30 00 0001'a' 'x'");
	stub_until(stub.publish_count == 1);
	close(pub);
}

Test(acceptor, handed_over_again_to_a_new_router)
{
	int pub = stub_client("pub", 4);

	want("#");
	stub.holds_taken = true;
	stub_send(pub, "32 00 0001'a' 0001 '1'");
	stub_until(stub.publish_count == 1);
	stub_send(pub, "32 00 0001'a' 0002 '2'");
	stub_until(stub.publish_count == 2);
	link_put_taken(stub.router, &(struct ipc_taken){.number = 1});
	stub_expect(pub, "40 00 0001");
	stub_router_end();
	/* no router: read once, then not any more */
	stub_send(pub, "32 00 0001'a' 0003 '3'");
	stub_expect_silence(pub);
	stub.holds_taken = false;
	stub_router();
	stub_until(stub.publish_count == 4);
	cr_assert_eq(stub.publishes[2].number, 2);
	cr_assert_str_eq(stub.publishes[2].payload, "2");
	cr_assert_eq(stub.publishes[3].number, 3);
	cr_assert_eq(stub.reclaim_count, 1);
	cr_assert_str_eq(stub.reclaimed, "pub");
	stub_expect(pub, "40 00 0002");
	stub_expect(pub, "40 00 0003");
	close(pub);
}

Test(acceptor, refused_for_space)
{
	int five = stub_client("five", 5), four = stub_client("four", 4);

	want("#");
	stub.refuses = 0x97;
	stub_send(five, "32 00 0001'a' 0001 00 'x'");
	stub_expect(five, "40 00 0001 97");
	stub_send(five, "34 00 0001'a' 0002 00 'x'");
	stub_expect(five, "50 00 0002 97");
	stub_send(four, "32 00 0001'a' 0001 'y'");
	stub_until(stub.publish_count == 3);
	stub_expect_silence(four);
	stub.refuses = 0;
	link_put_space(stub.router, &(struct ipc_space){0});
	stub_expect(four, "40 00 0001");
	cr_assert_eq(stub.publish_count, 4);
	cr_assert_str_eq(stub.publishes[3].payload, "y");
	cr_assert_eq(stub.publishes[3].number, 4);
	close(five);
	close(four);
}

static uint64_t deliver_sender, deliver_number;

static void
deliver(const char *topic, const char *payload, uint8_t flags,
    uint64_t expires_ms, struct slice props, const char *from)
{
	struct ipc_batch items = {0};

	ipc_add_deliver_item(&items, &(struct ipc_deliver_item){
	    slice_str(topic), slice_str(payload), flags, 0, expires_ms, props,
	    slice_str(from), deliver_sender, deliver_number});
	link_put_deliver(stub.router, &(struct ipc_deliver){
	    ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

Test(acceptor, delivered_by_the_router)
{
	int sub = stub_client("sub", 5);

	stub_send(sub, "82 00 0001 00 0001'a' 0d");
	stub_expect(sub, "90 00 0001 00 01");
	deliver("a", "1", 1 | MSG_RETAIN, 0,
	    SLICE_LIT("\5\0\0\0\4\0\1kv"), "other");
	stub_expect(sub, "33 00 0001'a' 0001 07 26 0001'k' 0001'v' '1'");
	deliver("a", "2", 0, 1, SLICE_NULL, "other");
	deliver("a", "3", 0, 0, SLICE_NULL, "sub");
	deliver("a", "4", 0, 0, SLICE_NULL, "other");
	stub_expect(sub, "30 00 0001'a' 00 '4'");
	/* a number that was seen is not a second message */
	deliver_sender = 77;
	deliver_number = 5;
	deliver("a", "5", 0, 0, SLICE_NULL, "other");
	deliver("a", "5", 0, 0, SLICE_NULL, "other");
	deliver_number = 6;
	deliver("a", "6", 0, 0, SLICE_NULL, "other");
	stub_expect(sub, "30 00 0001'a' 00 '5'");
	stub_expect(sub, "30 00 0001'a' 00 '6'");
	close(sub);
}

Test(acceptor, live_messages_wait_for_the_replay)
{
	int sub = stub_client("sub", 4);
	struct ipc_batch items = {0};
	struct ipc_retained m;

	stub.holds_replay = true;
	stub_send(sub, "82 00 0001 0001'a' 01");
	stub_expect(sub, "90 00 0001 01");
	stub_until(stub.replay_seq != 0);
	stub_send(sub, "32 00 0001'a' 0007 'live'");
	stub_expect(sub, "40 00 0007");
	stub_expect_silence(sub);
	ipc_add_deliver_item(&items, &(struct ipc_deliver_item){
	    SLICE_LIT("a"), SLICE_LIT("old"), 2 | MSG_RETAIN, 0, 0,
	    SLICE_NULL, SLICE_LIT("x"), 0, 0});
	m = (struct ipc_retained){stub.replay_conn, stub.replay_seq, 1,
	    ipc_batch_list(&items)};
	link_put_retained(stub.router, &m);
	buf_fini(&items.bytes);
	stub_expect(sub, "33 00 0001'a' 0001 'old'");
	stub_expect(sub, "32 00 0001'a' 0002 'live'");
	close(sub);
}

Test(acceptor, suback_waits_for_interest)
{
	int sub = stub_client("sub", 4);

	stub.holds_interest = true;
	stub_send(sub, "82 00 0001 0001'a' 00");
	stub_expect_silence(sub);
	link_put_interest_ok(stub.router, &(struct ipc_interest_ok){
	    stub.interest_seq});
	stub_expect(sub, "90 00 0001 00");
	/* known already: at once */
	stub_send(sub, "82 00 0002 0001'a' 01");
	stub_expect(sub, "90 00 0002 01");
	/* a new router is told all of it */
	stub_router_end();
	stub.interest_count = 0;
	stub_router();
	stub_until(stub.interest_count == 1);
	cr_assert_str_eq(stub.interest[0], "a");
	close(sub);
}

/* ---- persistent sessions ------------------------------------------------ */

static void
queue(uint64_t seq, uint8_t flags, const char *payload)
{
	struct ipc_batch items = {0};

	ipc_add_queue_item(&items, &(struct ipc_queue_item){stub.last_conn,
	    seq, flags, SLICE_LIT("q"), slice_str(payload), 0, SLICE_NULL,
	    SLICE_NULL});
	link_put_queue(stub.router, &(struct ipc_queue){
	    ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

Test(acceptor, persistent_queue)
{
	int c = stub_persistent("p");

	cr_assert_eq(stub.last_connect.expiry_s, 604800);
	stub_send(c, "82 00 0001 0001'q' 02");
	stub_expect(c, "90 00 0001 02");
	cr_assert_eq(stub.session_subs, 1);
	cr_assert_eq(stub.interest_count, 0);
	queue(65534, 1, "one");
	queue(65535, 2, "two");
	queue(0, 0, "zero");
	stub_expect(c, "32 00 0001'q' ffff 'one'");
	stub_expect(c, "34 00 0001'q' 0001 'two'");
	stub_expect(c, "30 00 0001'q' 'zero'");
	stub_send(c, "40 00 ffff");
	stub_until(stub.settle_count == 1);
	cr_assert_eq(stub.settles[0].seq, 65534);
	cr_assert_eq(stub.settles[0].kind, 0);
	stub_send(c, "50 00 0001");
	stub_expect(c, "62 00 0001");
	cr_assert_eq(stub.settles[1].kind, 1);
	stub_send(c, "70 00 0001");
	stub_until(stub.settle_count == 3);
	cr_assert_eq(stub.settles[2].kind, 2);
	cr_assert_eq(stub.settles[2].seq, 65535);
	close(c);
}

Test(acceptor, persistent_survives_a_new_router)
{
	int c = stub_persistent("p");

	queue(5, 2, "two");
	stub_expect(c, "34 00 0001'q' 0006 'two'");
	queue(6, 1, "one");
	stub_expect(c, "32 00 0001'q' 0007 'one'");
	stub.holds_taken = true;
	stub_send(c, "50 00 0006");
	stub_until(stub.settle_count == 1);
	stub_expect_silence(c);
	stub_router_end();
	stub.holds_taken = false;
	stub_router();
	/* the settlement comes again, and its release leads on */
	stub_expect(c, "62 00 0006");
	cr_assert_eq(stub.reclaimed_in_flight, 2);
	/* what is in flight is not sent twice on one connection */
	queue(6, 1 | MSG_DUP, "one");
	stub_expect_silence(c);
	close(c);
	stub_until(stub.disconnect_count == 1);
}

Test(acceptor, persistent_inbound_qos2)
{
	int c = stub_persistent("p");

	stub_send(c, "34 00 0001'a' 0009 'x'");
	stub_expect(c, "50 00 0009");
	cr_assert_eq(stub.publish_count, 1, "the router knows what it had");
	cr_assert_eq(stub.publishes[0].session, stub.last_session);
	cr_assert_eq(stub.publishes[0].mid, 9);
	stub_send(c, "62 00 0009");
	stub_expect(c, "70 00 0009");
	cr_assert_eq(stub.settles[0].kind, 3);
	cr_assert_eq(stub.settles[0].seq, 9);
	close(c);
}

/* Sent by an earlier connection of this session: not heard twice. */
Test(acceptor, persistent_inbound_qos2_repeated)
{
	int sub = stub_client("sub", 4), c;

	stub_send(sub, "82 00 0001 0001'a' 00");
	stub_expect(sub, "90 00 0001 00");
	stub.received = SLICE_LIT("\0\7\0\11");
	c = stub_persistent("p");
	stub_send(c, "3c 00 0001'a' 0009 'x'");
	stub_expect(c, "50 00 0009");
	cr_assert_eq(stub.publishes[0].mid, 9, "the router answers for it");
	stub_send(c, "34 00 0001'a' 0008 'y'");
	stub_expect(c, "50 00 0008");
	stub_expect(sub, "30 00 0001'a' 'y'");
	close(c);
	close(sub);
}

Test(acceptor, gone_while_there_was_no_router)
{
	int c = stub_client("gone", 4);

	stub_router_end();
	usleep(100000);
	stub_send(c, "e0 00");
	stub_expect_close(c);
	cr_assert_eq(stub.disconnect_count, 0);
	stub_router();
	stub_until(stub.disconnect_count == 1);
	cr_assert_eq(stub.reclaim_count, 1);
	cr_assert_eq(stub.last_disconnect.will, 0);
}

/* ---- limits ------------------------------------------------------------- */

/* Nothing is read by this client; how it ends is told by the socket. */
static void
flood(const char *filter_packet, const char *publish, bool is_closed)
{
	int sub = stub_client("sub", 4), pub = stub_client("pub", 4), i;
	static uint8_t block[200000];
	size_t n = 0, at = 0, total = 0;
	struct slice one = hex(publish);
	ssize_t sent;

	((uint8_t *)one.p)[1] = (uint8_t)(one.len - 2);
	while (n + one.len <= sizeof(block)) {
		memcpy(block + n, one.p, one.len);
		n += one.len;
	}
	stub_send(sub, filter_packet);
	usleep(50000);
	stub_turn();
	fcntl(pub, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 20000 && total < 40000000; i++) {
		sent = write(pub, block + at, n - at);
		if (sent > 0) {
			at = (at + (size_t)sent) % n;
			total += (size_t)sent;
		} else {
			usleep(200);
		}
		stub_turn();
		while (recv(pub, (uint8_t[4096]){0}, 4096, MSG_DONTWAIT) > 0)
			;
	}
	cr_assert_geq(total, 40000000, "the publisher was held back: %zu",
	    total);
	/* A closed one ends after what was under way. */
	total = 0;
	for (i = 0; i < 3000; i++) {
		stub_turn();
		sent = recv(sub, block, sizeof(block), MSG_DONTWAIT);
		if (sent == 0 || (sent == -1 && errno == ECONNRESET))
			break;
		if (sent == -1)
			usleep(100);
	}
	cr_assert_eq(i < 3000, is_closed);
	free((void *)one.p);
	close(sub);
	close(pub);
}

Test(acceptor, slow_subscriber_at_qos0)
{
	flood("82 00 0001 0001'a' 00", "30 00 0001'a' '0123456789012345678901"
	    "234567890123456789012345678901234567890123456789'", false);
}

Test(acceptor, slow_subscriber_at_qos1)
{
	flood("82 00 0001 0001'a' 01", "32 00 0001'a' 0001 '01234567890123456"
	    "78901234567890123456789012345678901234567890123456789'", true);
}
