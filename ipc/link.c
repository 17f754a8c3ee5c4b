#include "ipc/link.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_SIZE (256u << 10)	/* one recvmsg */
#define READS_PER_TURN 8
#define FDS_QUEUED_MAX 256	/* received and not yet asked for by a frame */

/* A run of whole frames; with descriptors exactly one frame. */
struct chunk {
	struct chunk *next;
	struct buf bytes;
	int fds[IPC_FDS_MAX];	/* dup'ed, ours */
	size_t fd_count;
};

struct link {
	struct ev_loop *loop;
	ev_io reader, writer;
	int fd;
	enum ipc_kind self, peer;
	char *peer_name;
	uint64_t incarnation, peer_incarnation;
	const struct link_ops *ops;
	void *arg;
	void (*on_credit)(struct link *);

	struct buf in;			/* a frame that is not whole yet */
	int fds[FDS_QUEUED_MAX];	/* received, for frames to come */
	size_t fd_count;

	struct chunk *out, **out_end;	/* ready to be written */
	struct buf held;		/* DATA frames beyond the credit */
	size_t held_frames;
	int64_t credit;			/* bytes of DATA we may send */
	int64_t window;			/* bytes of DATA the peer may send */
	uint64_t owed;			/* consumed, to be granted */

	bool has_hello, is_manual, is_dirty, is_reading, is_freed, is_dead;
	struct link *dirty_next;
};

/* One per process: a turn's reads need no buffer of their own. */
static uint8_t read_buffer[READ_SIZE];
static struct link *dirty;

static void link_fail(struct link *l, const char *reason);

static void
link_mark(struct link *l)
{
	if (l->is_dirty)
		return;
	l->is_dirty = true;
	l->dirty_next = dirty;
	dirty = l;
}

static void
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

/* ---- sending ---------------------------------------------------------- */

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

static void
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

static size_t
frame_length(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

static void
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

/* ---- receiving -------------------------------------------------------- */

int
frame_take_fd(struct frame *f, size_t i)
{
	int fd;

	if (i >= f->fd_count)
		return -1;
	fd = f->fds[i];
	f->fds[i] = -1;
	return fd;
}

static bool
link_on_hello(struct link *l, const struct ipc_hello *m)
{
	if (m->table_hash != ipc_table_hash()) {
		link_fail(l, "the peer is of another build");
		return false;
	}
	if (m->kind != l->peer) {
		link_fail(l, "the peer is not of the expected kind");
		return false;
	}
	l->peer_incarnation = m->incarnation;
	l->has_hello = true;
	return true;
}

/* Takes count descriptors of the queue into the frame. */
static bool
frame_fds(struct link *l, struct frame *f, size_t count)
{
	if (count > l->fd_count)
		return false;
	memcpy(f->fds, l->fds, count * sizeof(int));
	f->fd_count = count;
	l->fd_count -= count;
	memmove(l->fds, l->fds + count, l->fd_count * sizeof(int));
	return true;
}

static const char *
frame_check(struct link *l, const uint8_t *head, const struct ipc_info **infop)
{
	const struct ipc_info *info = ipc_info(head[4]);

	if (head[6] != 0 || head[7] != 0)
		return "malformed frame header";
	if (info == NULL)
		return "unknown message";
	if (head[5] > info->fds_max)
		return "too many descriptors";
	if (!ipc_is_permitted(info, l->peer, l->self))
		return "message not permitted from this peer";
	if (l->has_hello == (info->type == IPC_HELLO))
		return "hello out of place";
	*infop = info;
	return NULL;
}

/* One whole frame. False: the link is over (failed or freed). */
static bool
link_dispatch(struct link *l, const uint8_t *head, size_t len)
{
	struct frame f = {.type = head[4], .size = len};
	const struct ipc_info *info;
	const char *why;
	bool ok = true;

	if ((why = frame_check(l, head, &info)) != NULL) {
		link_fail(l, why);
		return false;
	}
	if (!info->get(slice_of(head + IPC_HEADER_LEN, len), &f.u)) {
		link_fail(l, "malformed message");
		return false;
	}
	if (info->is_data) {
		l->window -= (int64_t)(len + IPC_HEADER_LEN);
		if (l->window < -(int64_t)IPC_FRAME_MAX) {
			link_fail(l, "data beyond the credit");
			return false;
		}
	}
	if (!frame_fds(l, &f, head[5])) {
		link_fail(l, "descriptors are missing");
		return false;
	}
	if (info->type == IPC_HELLO) {
		ok = link_on_hello(l, &f.u.hello);
	} else if (info->type == IPC_CREDIT) {
		link_credited(l, f.u.credit.bytes);
	} else if (l->ops->on[info->type] == NULL) {
		link_fail(l, "message not expected here");
		ok = false;
	} else if (!l->ops->on[info->type](l, &f)) {
		if (!l->is_freed)
			link_fail(l, "message not acceptable");
		ok = false;
	}
	for (size_t i = 0; i < f.fd_count; i++)
		if (f.fds[i] != -1)
			close(f.fds[i]);
	if (info->is_data && ok && !l->is_freed && !l->is_manual) {
		l->owed += len + IPC_HEADER_LEN;
		link_mark(l);
	}
	return ok && !l->is_freed && l->fd != -1;
}

/* Whole frames at p; returns how many bytes were used, SIZE_MAX: over. */
static size_t
link_frames(struct link *l, const uint8_t *p, size_t n)
{
	size_t used = 0, len;

	while (n - used >= IPC_HEADER_LEN) {
		len = frame_length(p + used);
		if (len > IPC_FRAME_MAX) {
			link_fail(l, "frame too large");
			return SIZE_MAX;
		}
		if (n - used - IPC_HEADER_LEN < len)
			break;
		if (!link_dispatch(l, p + used, len))
			return SIZE_MAX;
		used += IPC_HEADER_LEN + len;
	}
	return used;
}

static bool
link_take_fds(struct link *l, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t n;
	int fds[IPC_FDS_MAX];
	bool ok = (msg->msg_flags & MSG_CTRUNC) == 0;

	for (c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		for (size_t i = 0; i < n; i++) {
			if (ok && l->fd_count < FDS_QUEUED_MAX)
				l->fds[l->fd_count++] = fds[i];
			else
				close(fds[i]);
		}
	}
	return ok;
}

/* One recvmsg. 1 bytes were handled, 0 nothing there, -1 the link is over. */
static int
link_read(struct link *l)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * IPC_FDS_MAX)];
	} control;
	bool is_shared = buf_len(&l->in) == 0;
	struct iovec iov = {read_buffer, sizeof(read_buffer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = &control, .msg_controllen = sizeof(control)};
	size_t used, have;
	ssize_t n;

	if (!is_shared)
		iov.iov_base = buf_reserve(&l->in, READ_SIZE);
	n = recvmsg(l->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		/* A peer that was killed with bytes of ours unread resets. */
		link_fail(l, n == 0 || errno == ECONNRESET ? "closed" :
		    strerror(errno));
		return -1;
	}
	if (!link_take_fds(l, &msg)) {
		link_fail(l, "descriptors were cut off");
		return -1;
	}
	if (is_shared) {
		used = link_frames(l, read_buffer, (size_t)n);
		if (used == SIZE_MAX)
			return -1;
		buf_add(&l->in, read_buffer + used, (size_t)n - used);
		/* Descriptors end a read early: there may be more. */
		return (size_t)n == sizeof(read_buffer) ||
		    msg.msg_controllen > 0;
	}
	buf_commit(&l->in, (size_t)n);
	have = buf_len(&l->in);
	if (have >= IPC_HEADER_LEN &&
	    have - IPC_HEADER_LEN < frame_length(buf_data(&l->in)) &&
	    frame_length(buf_data(&l->in)) <= IPC_FRAME_MAX)
		return 1;
	used = link_frames(l, buf_data(&l->in), have);
	if (used == SIZE_MAX)
		return -1;
	buf_consume(&l->in, used);
	if (buf_len(&l->in) == 0)
		buf_trim(&l->in, 0);
	return 1;
}

static void
link_release(struct link *l)
{
	buf_fini(&l->in);
	buf_fini(&l->held);
	free(l->peer_name);
	free(l);
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct link *l = w->data;

	(void)loop;
	(void)events;
	l->is_reading = true;
	for (int i = 0; i < READS_PER_TURN; i++)
		if (link_read(l) <= 0)
			break;
	l->is_reading = false;
	if (l->is_freed)
		link_release(l);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	link_write(w->data);
}

/* ---- life ------------------------------------------------------------- */

static void
link_close(struct link *l)
{
	struct chunk *c;

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

static void
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
	ev_io_init(&l->reader, on_readable, fd, EV_READ);
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
