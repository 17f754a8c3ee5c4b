#include "admin-server/server.h"

#include "admin-server/conn.h"
#include "admin-server/token.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNS_MAX 256			/* per transport */
#define RETRY_S 1.
#define BODIES_MAX ((size_t)64 << 20)	/* bytes of bodies in all */

struct listener {
	struct listener *next;
	uint32_t id;
	int fd;
	bool is_unix;
	bool is_public;
	ev_io io;
};

static struct {
	const struct route_table *routes;
	struct listener *listeners;
	struct conn *conns;
	size_t count[2];	/* connections: TCP, unix */
	size_t bodies;
	uint64_t requests;
	bool is_draining;
	ev_timer retry;		/* after having been out of descriptors */
} server;


const struct route_table *
server_routes(void)
{
	return server.routes;
}

bool
server_is_draining(void)
{
	return server.is_draining;
}

bool
server_count_body(struct conn *c, size_t bytes)
{
	size_t others = server.bodies - c->body_counted;

	if (bytes > BODIES_MAX - others)
		return false;
	server.bodies = others + bytes;
	c->body_counted = bytes;
	return true;
}

void
server_count_request(void)
{
	server.requests++;
}

uint64_t
server_requests(void)
{
	return server.requests;
}

size_t
server_connections(void)
{
	return server.count[0] + server.count[1];
}

/* Out of descriptors or at the limit: the rest waits in the backlog. */
static void
listeners_watch(void)
{
	for (struct listener *l = server.listeners; l != NULL; l = l->next) {
		if (server.count[l->is_unix] < CONNS_MAX &&
		    !server.is_draining)
			ev_io_start(proc_loop(), &l->io);
		else
			ev_io_stop(proc_loop(), &l->io);
	}
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)events;
	ev_timer_stop(loop, w);
	listeners_watch();
}

void
server_init(const struct route_table *routes)
{
	server.routes = routes;
	ev_timer_init(&server.retry, on_retry, RETRY_S, RETRY_S);
}

void
server_forget(struct conn *c)
{
	*c->prev = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	server.count[c->is_unix]--;
	listeners_watch();
}

static void
on_acceptable(struct ev_loop *loop, ev_io *w, int events)
{
	struct listener *l = w->data;
	int one = 1, fd;
	struct conn *c;

	(void)events;
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd == -1) {
		if (errno == EMFILE || errno == ENFILE) {
			log_limited(LOG_WARN, "out of descriptors: the API "
			    "takes no connection for %g s", RETRY_S);
			ev_io_stop(loop, w);
			ev_timer_again(loop, &server.retry);
		}
		return;
	}
	if (!l->is_unix)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c = conn_new(l, fd, l->is_unix, l->is_public);
	c->next = server.conns;
	c->prev = &server.conns;
	if (c->next != NULL)
		c->next->prev = &c->next;
	server.conns = c;
	server.count[l->is_unix]++;
	listeners_watch();
}

static bool
is_loopback(const struct sockaddr_storage *sa)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	if (sa->ss_family == AF_UNIX)
		return true;
	if (sa->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return sa->ss_family == AF_INET6 &&
	    IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

void
server_listen(const struct ipc_listener *m, int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct listener *l;

	if (getsockname(fd, (struct sockaddr *)&sa, &len) == -1) {
		log_error("listener %.*s: %s", SLICE_ARG(m->bind),
		    strerror(errno));
		close(fd);
		return;
	}
	server_unlisten(m->id);
	l = mem_zalloc(1, sizeof(*l));
	l->id = m->id;
	l->fd = fd;
	l->is_unix = sa.ss_family == AF_UNIX;
	l->is_public = !is_loopback(&sa);
	ev_io_init(&l->io, on_acceptable, fd, EV_READ);
	l->io.data = l;
	l->next = server.listeners;
	server.listeners = l;
	listeners_watch();
	if (l->is_public && !tokens_exist())
		log_warn("%.*s is beyond loopback and there are no "
		    "admin.tokens: only /health is answered there",
		    SLICE_ARG(m->bind));
}

void
server_unlisten(uint32_t id)
{
	struct listener **p, *l;

	for (p = &server.listeners; (l = *p) != NULL; p = &l->next)
		if (l->id == id) {
			*p = l->next;
			ev_io_stop(proc_loop(), &l->io);
			close(l->fd);
			free(l);
			return;
		}
}

void
server_drain(void)
{
	struct conn *c, *next;

	server.is_draining = true;
	listeners_watch();
	for (c = server.conns; c != NULL; c = next) {
		next = c->next;
		conn_end_stream(c);
		if (c->state <= CONN_BODY && buf_len(&c->out) == 0)
			conn_free(c);
	}
}

size_t
server_busy(void)
{
	size_t n = 0;

	for (struct conn *c = server.conns; c != NULL; c = c->next)
		n += c->state >= CONN_SERVING || buf_len(&c->out) > 0;
	return n;
}
