#include "connector-worker/conn.h"

#include "base/mem.h"
#include "connector-worker/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connector-worker/conn_tls.h"

#define TIMEOUT_MS 10000
#define IN_MAX (16u << 20)
#define READ_SIZE 65536
#define READS_PER_TURN 16

struct conn {
	struct ev_loop *loop;
	const struct conn_ops *ops;
	void *arg;
	struct resolve *resolve;
	char *addresses;	/* still to be tried, separated by commas */
	char *next_address;
	char *server_name;
	uint16_t port;
	int fd;
	ev_io io;
	ev_timer timer;
	struct conn_tls *tls;
	SSL *ssl;
	BIO *from_net, *to_net;
	struct buf in;		/* plain, unread */
	struct buf out;		/* plain, to be sent */
	struct buf cipher;	/* TLS records to be sent */
	size_t in_max;
	char why[256];		/* of the last address that failed */
	bool is_connecting, is_up, is_over, is_freed;
	unsigned depth;		/* callbacks under way */
};

static void conn_try(struct conn *c);

/* ---- ending ----------------------------------------------------------- */

static void
conn_close(struct conn *c)
{
	ev_timer_stop(c->loop, &c->timer);
	if (c->resolve != NULL) {
		resolve_cancel(c->resolve);
		c->resolve = NULL;
	}
	if (c->fd != -1) {
		ev_io_stop(c->loop, &c->io);
		close(c->fd);
		c->fd = -1;
	}
	c->is_up = false;
	c->is_over = true;
}

static void
conn_release(struct conn *c)
{
	if (c->ssl != NULL)
		SSL_free(c->ssl);
	free(c->addresses);
	free(c->server_name);
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_fini(&c->cipher);
	free(c);
}

void
conn_free(struct conn *c)
{
	if (c == NULL)
		return;
	conn_close(c);
	c->is_freed = true;
	if (c->depth == 0)
		conn_release(c);
}

static void
conn_enter(struct conn *c)
{
	c->depth++;
}

/* False: the owner has freed it meanwhile. */
static bool
conn_leave(struct conn *c)
{
	if (--c->depth > 0 || !c->is_freed)
		return !c->is_freed;
	conn_release(c);
	return false;
}

static void
conn_down(struct conn *c, const char *reason)
{
	char text[256];

	if (c->is_over)
		return;
	snprintf(text, sizeof(text), "%s", reason);
	conn_close(c);
	c->ops->on_down(c, text);
}

/* ---- TLS -------------------------------------------------------------- */

static const char *
tls_reason(const struct conn *c)
{
	long verdict = SSL_get_verify_result(c->ssl);
	unsigned long e = ERR_peek_last_error();

	if (verdict != X509_V_OK)
		return X509_verify_cert_error_string(verdict);
	return e == 0 ? "the TLS connection was cut"
		      : ERR_reason_error_string(e);
}

/* Moves what TLS wants to send into cipher. */
static void
tls_collect(struct conn *c)
{
	size_t n;

	while ((n = BIO_ctrl_pending(c->to_net)) > 0) {
		int got = BIO_read(
		    c->to_net, buf_reserve(&c->cipher, n), (int)n);

		if (got <= 0)
			break;
		buf_commit(&c->cipher, (size_t)got);
	}
}

/* e: what SSL_get_error said right after the call. False: it is over. */
static bool
tls_check(struct conn *c, int e)
{
	char text[256];

	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return true;
	if (e == SSL_ERROR_ZERO_RETURN) {
		conn_down(c, "the target closed the connection");
		return false;
	}
	snprintf(text, sizeof(text), "TLS: %s", tls_reason(c));
	ERR_clear_error();
	conn_down(c, text);
	return false;
}

static bool
tls_seal(struct conn *c)
{
	int rc;

	while (buf_len(&c->out) > 0) {
		size_t n = buf_len(&c->out) < 16384 ? buf_len(&c->out) : 16384;

		ERR_clear_error();
		rc = SSL_write(c->ssl, buf_data(&c->out), (int)n);
		if (rc <= 0)
			return tls_check(c, SSL_get_error(c->ssl, rc));
		buf_consume(&c->out, (size_t)rc);
	}
	tls_collect(c);
	return true;
}

static bool
tls_start(struct conn *c)
{
	c->ssl = SSL_new(conn_tls_ctx(c->tls));
	c->from_net = BIO_new(BIO_s_mem());
	c->to_net = BIO_new(BIO_s_mem());
	if (c->ssl == NULL || c->from_net == NULL || c->to_net == NULL)
		return false;
	BIO_set_mem_eof_return(c->from_net, -1);
	BIO_set_mem_eof_return(c->to_net, -1);
	SSL_set_bio(c->ssl, c->from_net, c->to_net);
	SSL_set_connect_state(c->ssl);
	if (!resolve_is_literal(c->server_name))
		SSL_set_tlsext_host_name(c->ssl, c->server_name);
	if (conn_tls_verifies(c->tls)) {
		if (resolve_is_literal(c->server_name))
			X509_VERIFY_PARAM_set1_ip_asc(
			    SSL_get0_param(c->ssl), c->server_name);
		else
			SSL_set1_host(c->ssl, c->server_name);
	}
	return true;
}

/* ---- writing ---------------------------------------------------------- */

static void
conn_watch(struct conn *c, int events)
{
	if (c->fd == -1 || (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->loop, &c->io);
}

static void
conn_write(struct conn *c)
{
	struct buf *b = c->tls != NULL ? &c->cipher : &c->out;
	ssize_t n;

	while (buf_len(b) > 0) {
		n = send(c->fd, buf_data(b), buf_len(b), MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			conn_watch(c, EV_READ | EV_WRITE);
			return;
		}
		if (n == -1) {
			conn_down(c, strerror(errno));
			return;
		}
		buf_consume(b, (size_t)n);
	}
	buf_trim(b, READ_SIZE * 4);
	conn_watch(c, EV_READ);
}

struct buf *
conn_out(struct conn *c)
{
	return &c->out;
}

void
conn_flush(struct conn *c)
{
	if (!c->is_up || c->is_over)
		return;
	conn_enter(c);
	if (c->ssl == NULL || tls_seal(c))
		conn_write(c);
	conn_leave(c);
}

size_t
conn_pending(const struct conn *c)
{
	return buf_len(&c->out) + buf_len(&c->cipher);
}

bool
conn_is_up(const struct conn *c)
{
	return c->is_up;
}

void *
conn_arg(const struct conn *c)
{
	return c->arg;
}

/* ---- reading ---------------------------------------------------------- */

static void
conn_ready(struct conn *c)
{
	ev_timer_stop(c->loop, &c->timer);
	c->is_up = true;
	c->ops->on_up(c);
}

/* Reads plain bytes out of what TLS got. False: it is over. */
static bool
tls_open(struct conn *c)
{
	int rc, e;

	ERR_clear_error();
	if (!c->is_up) {
		rc = SSL_do_handshake(c->ssl);
		e = SSL_get_error(c->ssl, rc);
		tls_collect(c);
		if (rc <= 0) {
			if (!tls_check(c, e))
				return false;
			conn_write(c);
			return !c->is_over;
		}
		conn_write(c);
		if (c->is_over)
			return false;
		conn_ready(c);
		if (c->is_over)
			return false;
	}
	for (;;) {
		ERR_clear_error();
		rc = SSL_read(c->ssl, buf_reserve(&c->in, 16384), 16384);
		if (rc <= 0)
			break;
		buf_commit(&c->in, (size_t)rc);
	}
	/* Now, for what on_data sends would change the answer. */
	e = SSL_get_error(c->ssl, rc);
	tls_collect(c);
	/* What came before the end is still given out. */
	if (buf_len(&c->in) > 0) {
		c->ops->on_data(c, &c->in);
		if (c->is_over)
			return false;
	}
	return tls_check(c, e);
}

static void
conn_read(struct conn *c)
{
	uint8_t plain[READ_SIZE];
	ssize_t n = 0;

	for (int i = 0; i < READS_PER_TURN && !c->is_over; i++) {
		n = recv(c->fd, plain, sizeof(plain), 0);
		if (n <= 0)
			break;
		if (c->ssl != NULL) {
			BIO_write(c->from_net, plain, (int)n);
			if (!tls_open(c))
				return;
		} else {
			buf_add(&c->in, plain, (size_t)n);
			c->ops->on_data(c, &c->in);
		}
		if (!c->is_over && buf_len(&c->in) > c->in_max)
			conn_down(c, "the target's answer is too long");
		if (c->is_over || (size_t)n < sizeof(plain))
			break;
	}
	if (c->is_over || n > 0 ||
	    (n == -1 && (errno == EAGAIN || errno == EINTR)))
		return;
	conn_down(c, n == 0 ? "the target closed the connection"
			    : strerror(errno));
}

/* ---- connecting ------------------------------------------------------- */

static void
conn_connected(struct conn *c)
{
	socklen_t len = sizeof(int);
	int e = 0;

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len);
	if (e != 0) {
		snprintf(c->why, sizeof(c->why), "%s", strerror(e));
		conn_try(c);
		return;
	}
	c->is_connecting = false;
	conn_watch(c, EV_READ);
	if (c->tls == NULL) {
		conn_ready(c);
		return;
	}
	if (!tls_start(c)) {
		conn_down(c, "TLS cannot be started");
		return;
	}
	tls_open(c);
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	conn_enter(c);
	if (c->is_connecting) {
		conn_connected(c);
		conn_leave(c);
		return;
	}
	if (events & EV_WRITE)
		conn_write(c);
	if (!c->is_over && (events & EV_READ))
		conn_read(c);
	/* TLS answers by itself: key updates, alerts. */
	if (!c->is_over && c->ssl != NULL && buf_len(&c->cipher) > 0)
		conn_write(c);
	conn_leave(c);
}

static void
on_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	(void)events;
	conn_enter(c);
	conn_down(c, "time-out while connecting");
	conn_leave(c);
}

/* A numeric address as a socket address; its length, 0: it is none. */
static socklen_t
address_of(const char *text, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	return 0;
}

/* Begins with one address. False: it failed at once. */
static bool
conn_begin(struct conn *c, const char *address)
{
	struct sockaddr_storage to;
	socklen_t len = address_of(address, c->port, &to);
	int on = 1;

	if (len == 0) {
		snprintf(c->why, sizeof(c->why), "not an address");
		return false;
	}
	c->fd = socket(to.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd == -1) {
		snprintf(c->why, sizeof(c->why), "%s", strerror(errno));
		return false;
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, len) == -1 &&
	    errno != EINPROGRESS) {
		snprintf(c->why, sizeof(c->why), "%s", strerror(errno));
		close(c->fd);
		c->fd = -1;
		return false;
	}
	ev_io_set(&c->io, c->fd, EV_WRITE);
	ev_io_start(c->loop, &c->io);
	c->is_connecting = true;
	return true;
}

/* The next address, or the end. */
static void
conn_try(struct conn *c)
{
	char *address;

	if (c->fd != -1) {
		ev_io_stop(c->loop, &c->io);
		close(c->fd);
		c->fd = -1;
	}
	while ((address = strsep(&c->next_address, ",")) != NULL)
		if (conn_begin(c, address))
			return;
	conn_down(c, c->why[0] == '\0' ? "no address" : c->why);
}

static void
on_resolved(const char *addresses, const char *error, void *arg)
{
	struct conn *c = arg;

	c->resolve = NULL;
	conn_enter(c);
	if (addresses == NULL) {
		conn_down(c, error);
	} else {
		c->next_address = c->addresses = mem_strdup(addresses);
		conn_try(c);
	}
	conn_leave(c);
}

/* A literal needs no look-up, but on_down never comes from within open. */
static void
on_start(struct ev_loop *loop, ev_timer *w, int events)
{
	struct conn *c = w->data;

	(void)events;
	ev_set_cb(w, on_timeout);
	ev_timer_again(loop, w);
	conn_enter(c);
	conn_try(c);
	conn_leave(c);
}

struct conn *
conn_open(struct ev_loop *loop, const struct conn_options *o,
    const struct conn_ops *ops, void *arg)
{
	struct conn *c = mem_zalloc(1, sizeof(*c));
	double timeout =
	    (o->timeout_ms == 0 ? TIMEOUT_MS : o->timeout_ms) / 1000.0;

	c->loop = loop;
	c->ops = ops;
	c->arg = arg;
	c->fd = -1;
	c->port = o->port;
	c->tls = o->tls;
	c->in_max = o->in_max == 0 ? IN_MAX : o->in_max;
	c->server_name = mem_strdup(
	    o->server_name == NULL ? o->host : o->server_name);
	ev_init(&c->io, on_io);
	c->io.data = c;
	if (resolve_is_literal(o->host)) {
		c->next_address = c->addresses = mem_strdup(o->host);
		ev_timer_init(&c->timer, on_start, 0., timeout);
	} else {
		c->resolve = resolve_start(loop, o->host, on_resolved, c);
		ev_timer_init(&c->timer, on_timeout, timeout, 0.);
	}
	c->timer.data = c;
	ev_timer_start(loop, &c->timer);
	return c;
}
