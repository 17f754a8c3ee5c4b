/*
 * link - one end of an internal link: a SOCK_STREAM socketpair with frames.
 *
 * Sends are gathered and leave once per turn of the loop, in ev_prepare
 * (link_flush_all, called by ipc/proc.h). A link is always read. A frame
 * that fails a check (size, table, permission, bounds, credit) ends the
 * link, never the process. Descriptors of a received frame are the link's,
 * closed after the handler, unless the handler takes one (frame_take_fd).
 *
 * Credit: frames of class DATA are counted in bytes against what the peer
 * granted; link_put_* of a DATA message always accepts, link_credit tells
 * whether to gather more (> 0). Beyond the credit frames wait in the link.
 * The receiver grants LINK_WINDOW at the start, then what handlers have
 * consumed: at once, unless the link was set to manual (link_grant).
 *
 * Architecture, section 2.
 */
#ifndef IPC_LINK_H
#define IPC_LINK_H

#include "ipc/messages.h"

#include <ev.h>

#define LINK_WINDOW (8u << 20)	/* bytes of DATA that may be under way */

struct link;

struct frame {
	enum ipc_type type;
	size_t size;		/* of the body, bytes */
	union ipc_any u;
	int fds[IPC_FDS_MAX];
	size_t fd_count;
};

/* False: the frame is not acceptable, end the link. */
typedef bool link_handler(struct link *l, struct frame *f);

/*
 * Handlers by message number; NULL: not expected here, ends the link.
 * on_close is called once, after the last frame that was read, when the
 * peer is gone or broke a rule; the link is freed by its owner (link_free),
 * also from within on_close or a handler.
 */
struct link_ops {
	link_handler *const *on;	/* indexed by type, IPC_TYPE_MAX + 1 */
	void (*on_close)(struct link *l, const char *reason);
};

/* Takes the descriptor. Sends hello; peer's kind is checked against it. */
struct link *link_new(struct ev_loop *loop, int fd, enum ipc_kind self,
    enum ipc_kind peer, const char *peer_name, uint64_t incarnation,
    const struct link_ops *ops, void *arg);
void link_free(struct link *l);

void *link_arg(const struct link *l);
const char *link_peer_name(const struct link *l);
enum ipc_kind link_peer_kind(const struct link *l);
uint64_t link_peer_incarnation(const struct link *l);	/* from its hello */

/*
 * Sends: link_put_NAME(l, &msg) for each message; fds (dup'ed by the kernel,
 * the caller keeps its own) only by link_put_fds.
 */
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	void link_put_##name(struct link *, const struct ipc_##name *);
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
void link_put_fds(struct link *l, enum ipc_type type, const union ipc_any *m,
    const int *fds, size_t count);

/* Bytes of DATA that may still be sent (0 or less: hold back). */
int64_t link_credit(const struct link *l);
/* Called when credit came back after it had run out. */
void link_on_credit(struct link *l, void (*cb)(struct link *l));
/* Manual: DATA that was read is granted again only by link_grant. */
void link_set_manual(struct link *l);
void link_grant(struct link *l, uint64_t bytes);
/* Bytes gathered or waiting for credit, not yet with the kernel. */
size_t link_pending(const struct link *l);

int frame_take_fd(struct frame *f, size_t i);

/* Writes what was gathered on every link of this process. */
void link_flush_all(void);

#endif
