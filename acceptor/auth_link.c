#include "acceptor/auth_link.h"

#include "acceptor/access.h"
#include "base/mem.h"
#include "ipc/link.h"
#include "ipc/proc.h"

#include <stdlib.h>
#include <unistd.h>

#define BUCKETS 4096u

/* One that is asked about; in a list in order, and found by its number. */
struct asked {
	struct asked *next, **prev;	/* all */
	struct asked *chain;		/* of its bucket */
	uint64_t conn;
	bool is_sent;
	size_t len;
	uint8_t item[];			/* the record, a password in it */
};

static struct {
	const struct auth_link_ops *ops;
	struct link *link;
	char *next_name;	/* of a link that waits for the old one's end */
	int next_fd;
	struct asked *first, **last;
	struct asked *unsent;	/* the first that was not sent, or NULL */
	size_t sent, count, bytes;
	struct asked *buckets[BUCKETS];
} asking = {.next_fd = -1};

void
auth_link_init(const struct auth_link_ops *ops)
{
	asking.ops = ops;
	asking.last = &asking.first;
}

/* ---- who is asked about --------------------------------------------------- */

static struct asked **
bucket_of(uint64_t conn)
{
	struct asked **at = &asking.buckets[conn % BUCKETS];

	while (*at != NULL && (*at)->conn != conn)
		at = &(*at)->chain;
	return at;
}

static bool
asked_remove(uint64_t conn)
{
	struct asked **at = bucket_of(conn), *a = *at;

	if (a == NULL)
		return false;
	*at = a->chain;
	if (asking.unsent == a)
		asking.unsent = a->next;
	*a->prev = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	else
		asking.last = a->prev;
	asking.sent -= a->is_sent;
	asking.count--;
	asking.bytes -= a->len;
	explicit_bzero(a->item, a->len);
	free(a);
	return true;
}

bool
auth_link_ask(const struct ipc_auth_ask *ask)
{
	struct ipc_batch one = {0};
	struct asked *a;
	size_t len;

	asked_remove(ask->conn);
	if (asking.count >= AUTH_WAITING_MAX || asking.bytes > AUTH_BYTES_MAX)
		return false;
	ipc_add_auth_ask(&one, ask);
	len = buf_len(&one.bytes);
	a = mem_zalloc(1, sizeof(*a) + len);
	a->conn = ask->conn;
	a->len = len;
	memcpy(a->item, buf_data(&one.bytes), len);
	explicit_bzero(one.bytes.p, one.bytes.cap);
	buf_fini(&one.bytes);
	a->prev = asking.last;
	*asking.last = a;
	asking.last = &a->next;
	a->chain = asking.buckets[a->conn % BUCKETS];
	asking.buckets[a->conn % BUCKETS] = a;
	if (asking.unsent == NULL)
		asking.unsent = a;
	asking.count++;
	asking.bytes += len;
	return true;
}

void
auth_link_cancel(uint64_t conn)
{
	asked_remove(conn);
	if (asking.link != NULL)
		link_put_auth_cancel(asking.link,
		    &(struct ipc_auth_cancel){conn});
}

void
auth_link_prepare(void)
{
	struct ipc_batch batch = {0};
	struct ipc_auth_check m;
	struct asked *a;

	if (asking.link == NULL || asking.unsent == NULL)
		return;
	for (a = asking.unsent; a != NULL && asking.sent < AUTH_UNDER_WAY &&
	    buf_len(&batch.bytes) < IPC_BATCH_MAX; a = a->next) {
		buf_add(&batch.bytes, a->item, a->len);
		batch.count++;
		a->is_sent = true;
		asking.sent++;
	}
	asking.unsent = a;
	if (batch.count > 0) {
		m.items = ipc_batch_list(&batch);
		link_put_auth_check(asking.link, &m);
		explicit_bzero(batch.bytes.p, batch.bytes.cap);
	}
	buf_fini(&batch.bytes);
}

/* ---- the link ------------------------------------------------------------- */

static bool
on_result(struct link *l, struct frame *f)
{
	struct ipc_list items = f->u.auth_result.items;
	struct ipc_auth_answer a;
	int more;

	(void)l;
	while ((more = ipc_next_auth_answer(&items, &a)) > 0)
		if (asked_remove(a.conn))
			asking.ops->on_answer(&a);
	return more == 0;
}

static bool
on_policy(struct link *l, struct frame *f)
{
	(void)l;
	if (access_policy(&f->u.auth_policy) && access_state.is_known)
		asking.ops->on_change();
	return true;
}

static bool
on_bans(struct link *l, struct frame *f)
{
	(void)l;
	if (access_bans(&f->u.auth_bans) && access_state.is_known)
		asking.ops->on_change();
	return true;
}

static bool
on_gone(struct link *l, struct frame *f)
{
	(void)l;
	asking.ops->on_gone(f->u.auth_gone.username);
	return true;
}

static void link_begin(const char *name, int fd);

static void
on_close(struct link *l, const char *reason)
{
	struct asked *a;

	(void)reason;
	link_free(l);
	access_link_closed();
	asking.link = NULL;
	for (a = asking.first; a != NULL; a = a->next)
		a->is_sent = false;
	asking.unsent = asking.first;
	asking.sent = 0;
	if (asking.next_fd == -1)
		return;
	link_begin(asking.next_name, asking.next_fd);
	free(asking.next_name);
	asking.next_name = NULL;
	asking.next_fd = -1;
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
    [IPC_AUTH_RESULT] = on_result,
    [IPC_AUTH_POLICY] = on_policy,
    [IPC_AUTH_BANS] = on_bans,
    [IPC_AUTH_GONE] = on_gone,
};

static const struct link_ops link_ops = {.on = handlers,
    .on_close = on_close};

static void
link_begin(const char *name, int fd)
{
	asking.link = link_new(proc_loop(), fd, KIND_ACCEPTOR, KIND_AUTH, name,
	    proc_incarnation(), &link_ops, NULL);
}

/* What the dead one wrote is read to its end first. */
void
auth_link(const char *name, int fd)
{
	if (asking.link == NULL) {
		link_begin(name, fd);
		return;
	}
	if (asking.next_fd != -1)
		close(asking.next_fd);
	free(asking.next_name);
	asking.next_name = mem_strdup(name);
	asking.next_fd = fd;
}
