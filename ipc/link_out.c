#include "ipc/link_room.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A run of whole frames; with descriptors exactly one frame. */
struct chunk {
	struct chunk *next;
	struct buf bytes;
	int fds[IPC_FDS_MAX];	/* dup'ed, ours */
	size_t fd_count;
};

static struct link *dirty;

void
link_mark(struct link *l)
{
	if (l->is_dirty)
		return;
	l->is_dirty = true;
	l->dirty_next = dirty;
	dirty = l;
}

void
link_unmark(struct link *l)
{
	struct link **p;

	for (p = &dirty; *p != NULL; p = &(*p)->dirty_next)
		if (*p == l) {
			*p = l->dirty_next;
			break;
		}
	l->is_dirty = false;
}

static struct chunk *
chunk_add(struct link *l)
{
	struct chunk *c = mem_zalloc(1, sizeof(*c));

	*l->out_end = c;
	l->out_end = &c->next;
	return c;
}

static void
chunk_free(struct chunk *c)
{
	for (size_t i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	buf_fini(&c->bytes);
	free(c);
}

/* The buf that the next frame without descriptors goes into. */
static struct buf *
link_out(struct link *l)
{
	struct chunk *last = NULL;

	if (l->out != NULL)
		last = (struct chunk *)((char *)l->out_end -
		    offsetof(struct chunk, next));
	if (last == NULL || last->fd_count > 0)
		last = chunk_add(l);
	link_mark(l);
	return &last->bytes;
}

/*
 * A DATA frame stands at the end of b: counts it, or moves it aside when
 * the credit is used up. Order among DATA frames is kept.
 */
static void
link_charge(struct link *l, struct buf *b, size_t before)
{
	size_t n = buf_len(b) - before;

	if (l->held_frames == 0 && l->credit > 0) {
		l->credit -= (int64_t)n;
		return;
	}
	buf_add(&l->held, buf_data(b) + before, n);
	l->held_frames++;
	l->credit -= (int64_t)n;
	b->len -= n;
}

#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	void link_put_##name(struct link *l, const struct ipc_##name *m)    \
	{                                                                   \
		struct buf *b = link_out(l);                                \
		size_t before = buf_len(b);                                 \
									    \
		ipc_put_##name(b, m);                                       \
		if (class)                                                  \
			link_charge(l, b, before);                          \
	}
#define CONTROL false
#define DATA true
#include "ipc/messages.def"
#undef CONTROL
#undef DATA
#undef RECORD
#undef MESSAGE

void
link_put_fds(struct link *l, enum ipc_type type, const union ipc_any *m,
    const int *fds, size_t count)
{
	const struct ipc_info *info = ipc_info((uint8_t)type);
	struct chunk *c;

	bug_on(info == NULL || count > info->fds_max || count > IPC_FDS_MAX);
	c = chunk_add(l);
	info->put(&c->bytes, m);
	c->bytes.p[c->bytes.off + 5] = (uint8_t)count;
	for (size_t i = 0; i < count; i++) {
		c->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		bug_on(c->fds[i] == -1);
		c->fd_count++;
	}
	link_mark(l);
}

/* One sendmsg of the first chunk; bytes sent, or -1 with errno. */
static ssize_t
chunk_send(struct link *l, struct chunk *c)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control;
	struct iovec iov = {(void *)(uintptr_t)buf_data(&c->bytes),
	    buf_len(&c->bytes)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (c->fd_count > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * c->fd_count);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * c->fd_count);
		memcpy(CMSG_DATA(cmsg), c->fds, sizeof(int) * c->fd_count);
	}
	return sendmsg(l->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
chunk_sent(struct chunk *c, size_t n)
{
	/* The descriptors went with the first byte. */
	for (size_t i = 0; i < c->fd_count; i++)
		close(c->fds[i]);
	c->fd_count = 0;
	buf_consume(&c->bytes, n);
}

/* Drops what was written; the last chunk stays, with its memory. */
static struct chunk *
link_next_chunk(struct link *l)
{
	struct chunk *c;

	while ((c = l->out) != NULL && buf_len(&c->bytes) == 0) {
		if (c->next == NULL && c->bytes.cap <= READ_SIZE * 2)
			return NULL;
		l->out = c->next;
		if (l->out == NULL)
			l->out_end = &l->out;
		chunk_free(c);
	}
	return c;
}

void
link_write(struct link *l)
{
	struct chunk *c;
	ssize_t n;

	while ((c = link_next_chunk(l)) != NULL) {
		n = chunk_send(l, c);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == ENOBUFS)) {
			if (!ev_is_active(&l->writer))
				ev_io_start(l->loop, &l->writer);
			return;
		}
		if (n == -1) {
			/* What the peer wrote before it died is still read. */
			l->is_dead = true;
			break;
		}
		chunk_sent(c, (size_t)n);
	}
	if (ev_is_active(&l->writer))
		ev_io_stop(l->loop, &l->writer);
}

void
link_flush_all(void)
{
	struct link *l;

	while ((l = dirty) != NULL) {
		dirty = l->dirty_next;
		l->is_dirty = false;
		if (l->owed > 0) {
			ipc_put_credit(link_out(l),
			    &(struct ipc_credit){.bytes = l->owed});
			l->window += (int64_t)l->owed;
			l->owed = 0;
			link_unmark(l);
		}
		if (!l->is_dead && !ev_is_active(&l->writer))
			link_write(l);
	}
}

/* ---- credit ----------------------------------------------------------- */

int64_t
link_credit(const struct link *l)
{
	return l->credit;
}

void
link_on_credit(struct link *l, void (*cb)(struct link *))
{
	l->on_credit = cb;
}

void
link_set_manual(struct link *l)
{
	l->is_manual = true;
}

void
link_grant(struct link *l, uint64_t bytes)
{
	l->owed += bytes;
	link_mark(l);
}

void
link_credited(struct link *l, uint64_t bytes)
{
	bool was_out = l->credit <= 0;
	int64_t room;
	size_t n;

	if (bytes > INT64_MAX / 4) {
		link_fail(l, "credit out of bounds");
		return;
	}
	l->credit += (int64_t)bytes;
	/* held bytes are already subtracted: what they had is free again */
	room = l->credit + (int64_t)buf_len(&l->held);
	while (l->held_frames > 0 && room > 0) {
		n = IPC_HEADER_LEN + frame_length(buf_data(&l->held));
		buf_add(link_out(l), buf_data(&l->held), n);
		buf_consume(&l->held, n);
		l->held_frames--;
		room -= (int64_t)n;
	}
	if (l->held_frames == 0)
		buf_trim(&l->held, 0);
	if (was_out && l->credit > 0 && l->on_credit != NULL)
		l->on_credit(l);
}

size_t
link_pending(const struct link *l)
{
	size_t n = buf_len(&l->held);

	for (const struct chunk *c = l->out; c != NULL; c = c->next)
		n += buf_len(&c->bytes);
	return n;
}


/* What was gathered and is not with the kernel is dropped. */
void
link_drop_out(struct link *l)
{
	struct chunk *c;

	while ((c = l->out) != NULL) {
		l->out = c->next;
		chunk_free(c);
	}
	l->out_end = &l->out;
	l->held_frames = 0;
	buf_trim(&l->held, 0);
	if (l->is_dirty)
		link_unmark(l);
}
