#include "ipc/link_room.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 8

/* One per process: a turn's reads need no buffer of their own. */
static uint8_t read_buffer[READ_SIZE];

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

void
link_on_readable(struct ev_loop *loop, ev_io *w, int events)
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

