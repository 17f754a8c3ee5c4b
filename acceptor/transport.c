#include "acceptor/transport.h"

#include "base/mem.h"
#include "proto/proxy/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define WIRE_KEPT 0	/* an idle connection has no buffer */

struct transport {
	struct endpoint *endpoint;
	struct tls *tls;
	struct websocket *ws;
	struct buf wire;
	struct buf head;	/* of PROXY, as far as it came */
	struct buf name;	/* of the client, by the proxy's word */
	const char *problem;
	char address[56];
	bool awaits_proxy, is_ended;
};

/* Answers and frames on their way to TLS. */
static struct buf scratch;

struct transport *
transport_new(struct endpoint *e)
{
	struct transport *t;

	if (e == NULL || (e->tls == NULL && !e->has_ws && !e->has_proxy))
		return NULL;
	t = mem_zalloc(1, sizeof(*t));
	t->endpoint = e;
	t->awaits_proxy = e->has_proxy;
	if (e->tls != NULL)
		t->tls = tls_new(e->tls);
	if (e->has_ws)
		t->ws = websocket_new(&e->ws);
	return t;
}

void
transport_free(struct transport *t)
{
	if (t == NULL)
		return;
	tls_free(t->tls);
	websocket_free(t->ws);
	buf_fini(&t->wire);
	buf_fini(&t->head);
	buf_fini(&t->name);
	free(t);
}

struct buf *
transport_wire(struct transport *t)
{
	if (buf_len(&t->wire) == 0)
		buf_trim(&t->wire, WIRE_KEPT);
	return &t->wire;
}

bool
transport_is_ended(const struct transport *t)
{
	return t->is_ended;
}

const char *
transport_problem(const struct transport *t)
{
	return t->problem;
}

static size_t
transport_fail(struct transport *t, const char *why)
{
	t->problem = why;
	t->is_ended = true;
	return 0;
}

/* ---- PROXY -------------------------------------------------------------- */

static void
proxy_apply(struct transport *t, const struct proxy *p)
{
	char host[INET6_ADDRSTRLEN];

	if (p->is_local || p->family == 0)
		return;
	inet_ntop(p->family == 4 ? AF_INET : AF_INET6, p->address, host,
	    sizeof(host));
	snprintf(t->address, sizeof(t->address),
	    p->family == 4 ? "%s:%u" : "[%s]:%u", host, p->port);
	if (t->endpoint->identity == IDENTITY_CN && p->is_verified)
		buf_add_slice(&t->name, p->common_name);
}

/* False while the header is not whole; then *in is what follows it. */
static bool
proxy_take(struct transport *t, struct slice *in)
{
	struct proxy p;
	int n;

	buf_add_slice(&t->head, *in);
	n = proxy_parse(buf_data(&t->head), buf_len(&t->head), &p);
	if (n < 0)
		transport_fail(t, "a malformed PROXY header");
	if (n <= 0)
		return false;
	proxy_apply(t, &p);
	t->awaits_proxy = false;
	buf_consume(&t->head, (size_t)n);
	*in = buf_slice(&t->head);
	return true;
}

/* ---- to the protocol ---------------------------------------------------- */

static void
raw_send(struct transport *t, struct slice bytes)
{
	if (t->tls == NULL)
		buf_add_slice(&t->wire, bytes);
	else if (!tls_send(t->tls, bytes, &t->wire))
		transport_fail(t, tls_problem());
}

static size_t
tls_take(struct transport *t, struct slice in, uint8_t *out, size_t cap)
{
	size_t got;

	switch (tls_receive(t->tls, in, out, cap, &got, &t->wire)) {
	case TLS_MORE:
		break;
	case TLS_ENDED:
		t->is_ended = true;
		break;
	case TLS_FAILED:
		transport_fail(t, tls_problem());
		break;
	}
	return got;
}

static size_t
websocket_take(struct transport *t, uint8_t *p, size_t n)
{
	bool is_ended;

	buf_clear(&scratch);
	n = websocket_receive(t->ws, p, n, &scratch, &is_ended);
	if (is_ended && !t->is_ended)
		transport_fail(t, websocket_problem());
	raw_send(t, buf_slice(&scratch));
	return n;
}

size_t
transport_receive(struct transport *t, struct slice in, uint8_t *out,
    size_t cap)
{
	size_t n = in.len;

	if (t->is_ended || (t->awaits_proxy && !proxy_take(t, &in)))
		return 0;
	if (t->tls != NULL) {
		n = tls_take(t, in, out, cap - WEBSOCKET_HELD_MAX);
	} else {
		memcpy(out, in.p, in.len);
		n = in.len;
	}
	if (!t->awaits_proxy)
		buf_fini(&t->head);
	return t->ws == NULL ? n : websocket_take(t, out, n);
}

/* ---- to the socket ------------------------------------------------------ */

void
transport_send(struct transport *t, struct buf *plain)
{
	if (buf_len(plain) == 0)
		return;
	if (t->ws != NULL) {
		buf_clear(&scratch);
		websocket_send(t->ws, buf_slice(plain), &scratch);
		raw_send(t, buf_slice(&scratch));
	} else {
		raw_send(t, buf_slice(plain));
	}
	buf_clear(plain);
}

void
transport_end(struct transport *t, bool is_good)
{
	if (t->ws != NULL) {
		buf_clear(&scratch);
		websocket_end(t->ws, is_good ? WS_NORMAL : WS_PROTOCOL_ERROR,
		    &scratch);
		raw_send(t, buf_slice(&scratch));
	}
	if (t->tls != NULL)
		tls_end(t->tls, &t->wire);
}

/* ---- who it is ---------------------------------------------------------- */

const char *
transport_address(const struct transport *t)
{
	return t->address[0] == '\0' ? NULL : t->address;
}

bool
transport_identity(const struct transport *t, struct buf *name)
{
	buf_add_slice(name, buf_slice(&t->name));
	if (buf_len(&t->name) > 0)
		return true;
	return t->tls != NULL &&
	    tls_identity(t->tls, t->endpoint->identity, name);
}
