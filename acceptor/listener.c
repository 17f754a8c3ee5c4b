#include "acceptor/listener.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PER_TURN 64
#define REST_S 0.1

struct listener {
	ev_io io;
	ev_timer rest;
	struct ev_loop *loop;
	struct listener *next;
	listener_accept *on_accept;
	uint32_t id;
};

static struct listener *listeners;

static void
on_rested(struct ev_loop *loop, ev_timer *w, int events)
{
	struct listener *l = w->data;

	(void)events;
	ev_io_start(loop, &l->io);
}

/* Out of descriptors or memory: level-triggered, it would spin. */
static void
listener_rest(struct listener *l)
{
	log_limited(LOG_WARN, "cannot accept: %s", strerror(errno));
	ev_io_stop(l->loop, &l->io);
	ev_timer_set(&l->rest, REST_S, 0.);
	ev_timer_start(l->loop, &l->rest);
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct listener *l = w->data;
	int fd, i;

	(void)loop;
	(void)events;
	for (i = 0; i < PER_TURN; i++) {
		fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			l->on_accept(fd, l->id);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			listener_rest(l);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

void
listener_open(struct ev_loop *loop, uint32_t id, int fd,
    listener_accept *on_accept)
{
	struct listener *l = mem_zalloc(1, sizeof(*l));
	int one = 1;

	listener_close(id);
	/* Accepted sockets inherit it. Another kind of socket has none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	l->loop = loop;
	l->id = id;
	l->on_accept = on_accept;
	ev_io_init(&l->io, on_readable, fd, EV_READ);
	ev_timer_init(&l->rest, on_rested, REST_S, 0.);
	l->io.data = l->rest.data = l;
	l->next = listeners;
	listeners = l;
	ev_io_start(loop, &l->io);
}

void
listener_close(uint32_t id)
{
	struct listener **p, *l;

	for (p = &listeners; (l = *p) != NULL; p = &l->next) {
		if (l->id != id)
			continue;
		*p = l->next;
		ev_io_stop(l->loop, &l->io);
		ev_timer_stop(l->loop, &l->rest);
		close(l->io.fd);
		free(l);
		return;
	}
}

void
listener_close_all(void)
{
	while (listeners != NULL)
		listener_close(listeners->id);
}
