#include "acceptor/mqtt/client.h"

#include "acceptor/mqtt/packets.h"
#include "acceptor/mqtt/pool.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/subscribe.h"
#include "acceptor/mqtt/wheel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)
/* While messages cannot be handed on, little is taken from each client. */
#define READ_SIZE_HELD (16u << 10)
#define WRITE_SOON (128u << 10)	/* written at once from here on */
#define STOP_AT (256u << 10)	/* unwritten, where reading rests */
#define LINGER_S 2		/* for a peer to read our last words */
#define SLOT_BITS 24
#define RESUME_ROUNDS 4

static struct {
	struct ev_loop *loop;
	ev_timer tick;
	ev_timer again;		/* there is work for the next turn */
	struct client **slots;
	uint32_t *free_slots;
	uint32_t slot_count, slot_cap, free_count;
	uint64_t next_conn;
	struct client *dirty;
	struct client *resumed;
	struct client *dead;
	uint64_t now_ms;	/* 0: not read in this turn */
	uint32_t now_s;		/* monotonic, of the last tick */
	uint8_t read_buffer[READ_SIZE];
} clients;

static void on_io(struct ev_loop *loop, ev_io *w, int events);
static void client_write(struct client *c);

/* ---- finding ------------------------------------------------------------ */

static uint32_t
slot_take(void)
{
	if (clients.free_count > 0)
		return clients.free_slots[--clients.free_count];
	if (clients.slot_count == clients.slot_cap) {
		clients.slot_cap = clients.slot_cap == 0 ? 64 :
		    clients.slot_cap * 2;
		clients.slots = mem_realloc(clients.slots,
		    clients.slot_cap * sizeof(struct client *));
		clients.free_slots = mem_realloc(clients.free_slots,
		    clients.slot_cap * sizeof(uint32_t));
	}
	return clients.slot_count++;
}

static uint32_t
slot_of(uint64_t conn)
{
	return (uint32_t)(conn & ((1u << SLOT_BITS) - 1));
}

struct client *
client_find(uint64_t conn)
{
	uint32_t slot = slot_of(conn);
	struct client *c;

	if (slot >= clients.slot_count)
		return NULL;
	c = clients.slots[slot];
	return c != NULL && c->conn == conn ? c : NULL;
}

void
clients_each(void (*cb)(struct client *, void *), void *arg)
{
	uint32_t i;

	for (i = 0; i < clients.slot_count; i++) {
		if (clients.slots[i] != NULL &&
		    clients.slots[i]->state != CLIENT_DEAD)
			cb(clients.slots[i], arg);
	}
}

/* ---- life --------------------------------------------------------------- */

void
client_accept(int fd, uint32_t listener)
{
	struct client *c;
	uint32_t slot;

	(void)listener;
	if (mqtt.stats.connections >= mqtt.limits.max_connections) {
		log_limited(LOG_WARN, "connection refused: there are %u, "
		    "the most that limits.max_connections allows",
		    mqtt.limits.max_connections);
		close(fd);
		return;
	}
	c = mem_zalloc(1, sizeof(*c));
	slot = slot_take();
	clients.slots[slot] = c;
	c->conn = ++clients.next_conn << SLOT_BITS | slot;
	c->max_packet = UINT32_MAX;
	c->receive_max = UINT16_MAX;
	c->seen_s = clients_now_s();
	ev_io_init(&c->io, on_io, fd, EV_READ);
	c->io.data = c;
	ev_io_start(clients.loop, &c->io);
	wheel_add(c, c->seen_s + mqtt.limits.connect_timeout_s);
	mqtt.stats.connections++;
	mqtt.stats.connections_total++;
}

static void
client_die(struct client *c)
{
	c->state = CLIENT_DEAD;
	/* It has left the wheel. */
	c->wheel_next = clients.dead;
	clients.dead = c;
}

/*
 * Its input is given back only here: the message that is on its way to
 * others in this turn may lie in it.
 */
static void
client_free(struct client *c)
{
	uint32_t slot = slot_of(c->conn);

	clients.slots[slot] = NULL;
	clients.free_slots[clients.free_count++] = slot;
	pool_put(&c->in);
	pool_put(&c->out);
	free(c->id);
	free(c->username);
	if (c->will != NULL)
		buf_fini(&c->will->bytes);
	free(c->will);
	free(c);
}

/* The descriptor goes; the client itself when the router knows. */
static void
client_hang_up(struct client *c)
{
	if (c->io.fd == -1)
		return;
	ev_io_stop(clients.loop, &c->io);
	close(c->io.fd);
	c->io.fd = -1;
	wheel_remove(c);
	mqtt.stats.connections--;
	if (c->state != CLIENT_GONE)
		client_die(c);
}

static void
flow_free(struct client *c)
{
	struct flow *f = c->flow;
	uint32_t i;

	c->flow = NULL;
	if (f == NULL)
		return;
	window_fini(&f->window);
	parcels_fini(&f->waiting);
	buf_fini(&f->acks);
	id_set_fini(&f->received);
	id_set_fini(&f->releasing);
	for (i = 0; f->aliases != NULL &&
	    i < mqtt.limits.topic_alias_maximum; i++)
		free(f->aliases[i].topic);
	free(f->aliases);
	free(f);
}

struct flow *
client_flow(struct client *c)
{
	if (c->flow == NULL)
		c->flow = mem_zalloc(1, sizeof(*c->flow));
	return c->flow;
}

static void
io_update(struct client *c)
{
	int events = 0;

	if (c->io.fd == -1)
		return;
	if (c->stop == 0 || c->state >= CLIENT_CLOSING)
		events |= EV_READ;
	if (c->is_writing)
		events |= EV_WRITE;
	if (ev_is_active(&c->io) && (c->io.events & (EV_READ | EV_WRITE)) ==
	    events)
		return;
	ev_io_stop(clients.loop, &c->io);
	if (events == 0)
		return;
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(clients.loop, &c->io);
}

/* What is written leaves, the peer gets a moment to read it. */
static void
client_linger(struct client *c)
{
	if (!c->is_writing)
		shutdown(c->io.fd, SHUT_WR);
	wheel_add(c, clients_now_s() + LINGER_S);
	io_update(c);
}

static void
client_end(struct client *c, enum mqtt_reason reason, bool is_abrupt)
{
	bool is_known = c->state == CLIENT_WAITING || c->state == CLIENT_ON;

	if (c->state >= CLIENT_CLOSING)
		return;
	c->reason = (uint8_t)reason;
	c->state = CLIENT_CLOSING;
	while (c->subs != NULL)
		subs_remove(&mqtt.subs, &c->subs, c->subs);
	requests_drop(c);
	flow_free(c);
	if (is_known && !router_disconnect(c))
		c->state = CLIENT_GONE;
	if (!is_abrupt && c->out != NULL)
		client_write(c);
	if (c->io.fd == -1)
		return;
	if (is_abrupt || reason == MQTT_SUCCESS)
		client_hang_up(c);
	else
		client_linger(c);
}

void
client_close(struct client *c, enum mqtt_reason reason)
{
	client_end(c, reason, false);
}

/* A refusal before the session is on is a CONNACK (MQTT 5, 4.13). */
static void
last_words(struct client *c, enum mqtt_reason reason)
{
	struct mqtt_connack connack = {.reason = (uint8_t)reason};
	struct mqtt_disconnect disconnect = {.reason = (uint8_t)reason};

	if (c->version < MQTT_V5 && c->state == CLIENT_ON)
		return;
	if (c->state == CLIENT_ON) {
		if (!mqtt_reason_check(disconnect.reason, MQTT_DISCONNECT))
			disconnect.reason = MQTT_UNSPECIFIED_ERROR;
		mqtt_disconnect_add(client_out(c), c->version, &disconnect);
		client_added(c);
		return;
	}
	mqtt.stats.connects_refused_total++;
	/* What is no CONNECT at all gets no answer. */
	if (c->version == 0)
		return;
	if (!mqtt_reason_check(connack.reason, MQTT_CONNACK))
		connack.reason = MQTT_UNSPECIFIED_ERROR;
	mqtt_connack_add(client_out(c), c->version, &connack);
	client_added(c);
}

void
client_fail(struct client *c, enum mqtt_reason reason)
{
	if (c->state >= CLIENT_CLOSING)
		return;
	last_words(c, reason);
	client_end(c, reason, false);
}

void
client_told(struct client *c)
{
	if (c->state != CLIENT_GONE)
		return;
	c->state = CLIENT_CLOSING;
	if (c->io.fd == -1)
		client_die(c);
}

/* ---- output ------------------------------------------------------------- */

static void
client_mark(struct client *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	c->dirty_next = clients.dirty;
	clients.dirty = c;
}

struct buf *
client_out(struct client *c)
{
	if (c->out == NULL)
		c->out = pool_take();
	return c->out;
}

void
client_added(struct client *c)
{
	if (c->is_writing)
		return;
	client_mark(c);
	if (buf_len(c->out) >= WRITE_SOON)
		client_write(c);
}

size_t
client_unwritten(const struct client *c)
{
	return c->is_writing && c->out != NULL ? buf_len(c->out) : 0;
}

static void
client_drained(struct client *c)
{
	pool_put(&c->out);
	if (c->is_writing) {
		c->is_writing = false;
		if (c->state >= CLIENT_CLOSING)
			shutdown(c->io.fd, SHUT_WR);
		io_update(c);
	}
	if ((c->stop & STOP_OUTPUT) != 0)
		client_resume(c, STOP_OUTPUT);
}

/* The kernel takes what it can; the rest waits for it to say so. */
static void
client_write(struct client *c)
{
	ssize_t n;

	if (c->out == NULL || c->io.fd == -1)
		return;
	n = write(c->io.fd, buf_data(c->out), buf_len(c->out));
	if (n == -1 && errno != EAGAIN && errno != EINTR) {
		client_end(c, MQTT_UNSPECIFIED_ERROR, true);
		if (c->io.fd != -1)
			client_hang_up(c);
		return;
	}
	if (n > 0) {
		mqtt.stats.bytes_sent_total += (uint64_t)n;
		buf_consume(c->out, (size_t)n);
		if (c->is_writing)
			c->seen_s = clients_now_s();
	}
	if (buf_len(c->out) == 0) {
		client_drained(c);
		return;
	}
	if (!c->is_writing) {
		c->is_writing = true;
		io_update(c);
	}
	if (buf_len(c->out) > STOP_AT)
		client_stop(c, STOP_OUTPUT);
}

/* ---- input -------------------------------------------------------------- */

void
client_stop(struct client *c, uint8_t why)
{
	if ((c->stop & why) != 0)
		return;
	c->stop |= why;
	io_update(c);
}

void
client_resume(struct client *c, uint8_t why)
{
	if ((c->stop & why) == 0)
		return;
	c->stop &= (uint8_t)~why;
	if (c->stop != 0 || c->state >= CLIENT_CLOSING)
		return;
	/* Not a word while we did not listen: silence is counted anew. */
	c->seen_s = clients_now_s();
	if (c->in == NULL) {
		io_update(c);
		return;
	}
	if (!c->is_resuming) {
		c->is_resuming = true;
		c->resume_next = clients.resumed;
		clients.resumed = c;
	}
}

/* Whole packets at p; how many bytes were used. */
static size_t
client_parse(struct client *c, const uint8_t *p, size_t n)
{
	struct mqtt_frame frame;
	size_t used = 0;
	ssize_t size;

	while (used < n && (c->stop & STOP_CONNECT) == 0) {
		size = mqtt_frame_get(p + used, n - used,
		    mqtt.limits.max_packet_size, &frame);
		if (size == 0)
			break;
		if (size < 0) {
			mqtt.stats.protocol_errors_total++;
			client_fail(c, (enum mqtt_reason)-size);
			break;
		}
		used += (size_t)size;
		packet_handle(c, &frame);
		if (c->state >= CLIENT_CLOSING)
			break;
	}
	return used;
}

static void
client_read_failed(struct client *c, ssize_t n)
{
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	client_end(c, MQTT_UNSPECIFIED_ERROR, true);
	client_hang_up(c);
}

static void
client_parse_kept(struct client *c)
{
	size_t used = client_parse(c, buf_data(c->in), buf_len(c->in));

	if (c->in == NULL)
		return;
	buf_consume(c->in, used);
	if (buf_len(c->in) == 0)
		pool_put(&c->in);
}

/* A packet too large for the common buffer is gathered in its own. */
static void
client_read_large(struct client *c)
{
	uint8_t *p = buf_reserve(c->in, READ_SIZE / 2);
	ssize_t n = read(c->io.fd, p, READ_SIZE / 2);

	if (n <= 0) {
		client_read_failed(c, n);
		return;
	}
	mqtt.stats.bytes_received_total += (uint64_t)n;
	c->seen_s = clients_now_s();
	buf_commit(c->in, (size_t)n);
	client_parse_kept(c);
}

static void
client_read(struct client *c)
{
	size_t left = c->in == NULL ? 0 : buf_len(c->in), used, total;
	size_t room = router_is_open() ? READ_SIZE : READ_SIZE_HELD;
	uint8_t *p = clients.read_buffer;
	ssize_t n;

	if (left > READ_SIZE / 4) {
		client_read_large(c);
		return;
	}
	if (left > 0)
		memcpy(p, buf_data(c->in), left);
	if (room > READ_SIZE - left)
		room = READ_SIZE - left;
	n = read(c->io.fd, p + left, room);
	if (n <= 0) {
		client_read_failed(c, n);
		return;
	}
	mqtt.stats.bytes_received_total += (uint64_t)n;
	c->seen_s = clients_now_s();
	total = left + (size_t)n;
	used = client_parse(c, p, total);
	if (c->state >= CLIENT_CLOSING)
		return;
	if (used == total) {
		pool_put(&c->in);
		return;
	}
	if (c->in == NULL)
		c->in = pool_take();
	buf_clear(c->in);
	buf_add(c->in, p + used, total - used);
}

/* Of a closing client nothing is heard any more but its own end. */
static void
client_discard(struct client *c)
{
	ssize_t n = read(c->io.fd, clients.read_buffer, READ_SIZE);

	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
		client_hang_up(c);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct client *c = w->data;

	(void)loop;
	if ((events & EV_WRITE) != 0)
		client_write(c);
	if ((events & EV_READ) == 0 || c->io.fd == -1)
		return;
	if (c->state >= CLIENT_CLOSING)
		client_discard(c);
	else if (c->stop == 0)
		client_read(c);
}

/* ---- time --------------------------------------------------------------- */

uint64_t
clients_now_ms(void)
{
	if (clients.now_ms == 0)
		clients.now_ms = clock_wall_ms();
	return clients.now_ms;
}

uint32_t
clients_now_s(void)
{
	return clients.now_s;
}

/*
 * [MQTT-3.1.2-22]: one and a half times the keep alive without a word. Our
 * seconds are whole, so one more.
 */
static uint32_t
patience(const struct client *c)
{
	return c->keep_alive + (c->keep_alive + 1u) / 2 + 1;
}

/* After a stop of ours what it sent may lie in the kernel still. */
static bool
has_unread(const struct client *c)
{
	uint8_t byte;

	return recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void
on_due(struct client *c)
{
	uint32_t now = clients_now_s();

	if (c->state >= CLIENT_CLOSING) {
		client_hang_up(c);
		return;
	}
	if (c->state == CLIENT_NEW) {
		client_end(c, MQTT_KEEP_ALIVE_TIMEOUT, true);
		return;
	}
	if (c->keep_alive == 0)
		return;
	/* What we do not read from cannot be called silent. */
	if ((c->stop & (STOP_CONNECT | STOP_ROUTER | STOP_INFLIGHT)) != 0 ||
	    has_unread(c)) {
		wheel_add(c, now + patience(c));
		return;
	}
	if (now - c->seen_s < patience(c)) {
		wheel_add(c, c->seen_s + patience(c));
		return;
	}
	mqtt.stats.keep_alive_timeouts_total++;
	client_fail(c, MQTT_KEEP_ALIVE_TIMEOUT);
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
	clients.now_s = (uint32_t)(clock_mono_ms() / 1000);
	wheel_turn(clients.now_s);
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
}

/* ---- the end of a turn -------------------------------------------------- */

static void
resume_all(void)
{
	struct client *list = clients.resumed, *c;

	clients.resumed = NULL;
	while ((c = list) != NULL) {
		list = c->resume_next;
		c->is_resuming = false;
		if (c->state >= CLIENT_CLOSING || c->stop != 0)
			continue;
		if (c->in != NULL)
			client_parse_kept(c);
		io_update(c);
	}
}

static void
write_all(void)
{
	struct client *list = clients.dirty, *c;

	clients.dirty = NULL;
	while ((c = list) != NULL) {
		list = c->dirty_next;
		c->is_dirty = false;
		if (!c->is_writing)
			client_write(c);
	}
}

/* One that still stands in a list of the next turn waits for it. */
static void
bury_all(void)
{
	struct client *list = clients.dead, *c;

	clients.dead = NULL;
	while ((c = list) != NULL) {
		list = c->wheel_next;
		if (!c->is_dirty && !c->is_resuming) {
			client_free(c);
			continue;
		}
		c->wheel_next = clients.dead;
		clients.dead = c;
	}
}

void
clients_prepare(void)
{
	int i;

	for (i = 0; i < RESUME_ROUNDS; i++) {
		resume_all();
		write_all();
		if (clients.resumed == NULL && clients.dirty == NULL)
			break;
	}
	if (clients.resumed != NULL || clients.dirty != NULL)
		ev_timer_start(clients.loop, &clients.again);
	bury_all();
	clients.now_ms = 0;
}

void
clients_init(struct ev_loop *loop)
{
	clients.loop = loop;
	clients.now_s = (uint32_t)(clock_mono_ms() / 1000);
	wheel_init(clients_now_s(), on_due);
	ev_timer_init(&clients.tick, on_tick, 1., 1.);
	ev_timer_start(loop, &clients.tick);
	ev_timer_init(&clients.again, on_again, 0., 0.);
}

void
client_address(const struct client *c, char *text, size_t cap)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char host[INET6_ADDRSTRLEN];

	snprintf(text, cap, "%s", "unknown");
	if (c->io.fd == -1 ||
	    getpeername(c->io.fd, (struct sockaddr *)&ss, &len) == -1)
		return;
	if (ss.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)&ss;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, cap, "%s:%u", host, ntohs(in->sin_port));
	} else if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)&ss;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(text, cap, "[%s]:%u", host, ntohs(in->sin6_port));
	}
}
