#include "acceptor/mqtt/client.h"

#include "acceptor/mqtt/admit.h"
#include "acceptor/mqtt/client_io.h"
#include "acceptor/mqtt/pool.h"
#include "acceptor/mqtt/router.h"
#include "acceptor/mqtt/shared.h"
#include "acceptor/mqtt/subscribe.h"
#include "acceptor/mqtt/wheel.h"
#include "acceptor/transport.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_S 2		/* for a peer to read our last words */

static struct {
	struct ev_loop *loop;
	ev_timer tick;
	ev_timer again;		/* there is work for the next turn */
	struct client *dead;
	uint64_t now_ms;	/* 0: not read in this turn */
	uint32_t now_s;		/* monotonic, of the last tick */
} clients;

/* ---- life --------------------------------------------------------------- */

void
client_accept(int fd, uint32_t listener)
{
	struct client *c;

	if (mqtt.stats.connections >= mqtt.limits.max_connections) {
		log_limited(LOG_WARN, "connection refused: there are %u, "
		    "the most that limits.max_connections allows",
		    mqtt.limits.max_connections);
		close(fd);
		return;
	}
	c = mem_zalloc(1, sizeof(*c));
	roster_add(c);
	c->listener = (uint16_t)listener;
	c->transport = transport_new(endpoint_find(listener));
	c->max_packet = UINT32_MAX;
	c->receive_max = UINT16_MAX;
	c->seen_s = clients_now_s();
	io_open(c, fd);
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
	roster_remove(c);
	io_release(c);
	admit_free(c);
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
	io_close(c);
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
	for (i = 0; f->sent_aliases != NULL && i < c->alias_max; i++)
		free(f->sent_aliases[i].topic);
	free(f->sent_aliases);
	free(f);
}

struct flow *
client_flow(struct client *c)
{
	if (c->flow == NULL)
		c->flow = mem_zalloc(1, sizeof(*c->flow));
	return c->flow;
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
	admit_cancel(c);
	c->reason = (uint8_t)reason;
	c->state = CLIENT_CLOSING;
	while (c->subs != NULL)
		subs_remove(&mqtt.subs, &c->subs, c->subs);
	requests_drop(c);
	shared_left(c);
	flow_free(c);
	if (is_known && !router_disconnect(c))
		c->state = CLIENT_GONE;
	if (!is_abrupt && c->io.fd != -1)
		io_end(c, reason == MQTT_SUCCESS);
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

void
client_break(struct client *c)
{
	client_end(c, MQTT_UNSPECIFIED_ERROR, true);
	client_hang_up(c);
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

static void
on_due(struct client *c)
{
	uint32_t now = clients_now_s();

	if (c->state >= CLIENT_CLOSING) {
		client_hang_up(c);
		return;
	}
	if (c->state <= CLIENT_ASKING) {
		client_end(c, MQTT_KEEP_ALIVE_TIMEOUT, true);
		return;
	}
	if (c->keep_alive == 0)
		return;
	/* What we do not read from, or did not yet, is not silent. */
	if ((c->stop & (STOP_CONNECT | STOP_ROUTER | STOP_INFLIGHT)) != 0 ||
	    io_has_unread(c)) {
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
	pool_trim();
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)w;
	(void)events;
}

/* ---- the end of a turn -------------------------------------------------- */

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
	if (io_turn())
		ev_timer_start(clients.loop, &clients.again);
	bury_all();
	clients.now_ms = 0;
}

void
clients_init(struct ev_loop *loop)
{
	clients.loop = loop;
	io_init(loop);
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

	const char *named = c->transport == NULL ? NULL :
	    transport_address(c->transport);

	snprintf(text, cap, "%s", named == NULL ? "unknown" : named);
	if (named != NULL)
		return;
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
	} else if (ss.ss_family == AF_UNIX) {
		snprintf(text, cap, "unix");
	}
}
