#include "ipc/link_room.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void
link_release(struct link *l)
{
	buf_fini(&l->in);
	buf_fini(&l->held);
	free(l->peer_name);
	free(l);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	link_write(w->data);
}

static void
link_close(struct link *l)
{
	if (l->fd == -1)
		return;
	ev_io_stop(l->loop, &l->reader);
	ev_io_stop(l->loop, &l->writer);
	close(l->fd);
	l->fd = -1;
	l->is_dead = true;
	for (size_t i = 0; i < l->fd_count; i++)
		close(l->fds[i]);
	l->fd_count = 0;
	link_drop_out(l);
}

void
link_fail(struct link *l, const char *reason)
{
	if (l->fd == -1)
		return;
	if (strcmp(reason, "closed") != 0)
		log_warn("link with %s ended: %s", l->peer_name, reason);
	link_close(l);
	l->ops->on_close(l, reason);
}

struct link *
link_new(struct ev_loop *loop, int fd, enum ipc_kind self, enum ipc_kind peer,
    const char *peer_name, uint64_t incarnation, const struct link_ops *ops,
    void *arg)
{
	struct link *l = mem_zalloc(1, sizeof(*l));
	int size = 1 << 20;

	l->loop = loop;
	l->fd = fd;
	l->self = self;
	l->peer = peer;
	l->peer_name = mem_strdup(peer_name);
	l->ops = ops;
	l->arg = arg;
	l->out_end = &l->out;
	l->credit = l->window = LINK_WINDOW;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	ev_io_init(&l->reader, link_on_readable, fd, EV_READ);
	ev_io_init(&l->writer, on_writable, fd, EV_WRITE);
	l->reader.data = l->writer.data = l;
	ev_io_start(loop, &l->reader);
	link_put_hello(l,
	    &(struct ipc_hello){.table_hash = ipc_table_hash(),
		.name = slice_str(ipc_kind_name(self)),
		.kind = (uint8_t)self,
		.incarnation = incarnation});
	return l;
}

void
link_free(struct link *l)
{
	if (l == NULL)
		return;
	link_close(l);
	l->is_freed = true;
	if (!l->is_reading)
		link_release(l);
}

void *
link_arg(const struct link *l)
{
	return l->arg;
}

const char *
link_peer_name(const struct link *l)
{
	return l->peer_name;
}

enum ipc_kind
link_peer_kind(const struct link *l)
{
	return l->peer;
}

uint64_t
link_peer_incarnation(const struct link *l)
{
	return l->peer_incarnation;
}
