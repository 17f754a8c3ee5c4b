/*
 * link_room - what the files of the link share: link.c (life), link_out.c
 * (sending), link_in.c (receiving). Nobody else includes it.
 */
#ifndef IPC_LINK_ROOM_H
#define IPC_LINK_ROOM_H

#include "ipc/link.h"

#define READ_SIZE (256u << 10)	/* one recvmsg */
#define FDS_QUEUED_MAX 256	/* received and not yet asked for by a frame */

struct chunk;

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

/* The bytes of a frame's body, from its header. */
static inline size_t
frame_length(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	    p[3];
}

/* Ends the link and tells its owner. */
void link_fail(struct link *l, const char *reason);
void link_release(struct link *l);

/* link_out.c */
void link_mark(struct link *l);
void link_unmark(struct link *l);
void link_write(struct link *l);
void link_credited(struct link *l, uint64_t bytes);
void link_drop_out(struct link *l);

/* link_in.c */
void link_on_readable(struct ev_loop *loop, ev_io *w, int events);

#endif
