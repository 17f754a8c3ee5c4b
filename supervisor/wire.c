/*
 * What a new process gets: its setup, its listening sockets, and an end of
 * a new link to everybody it speaks with (who get the other ends).
 */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTER_FILES 65536
#define ADMIN_FILES 4096
/* Beyond a client's own: listeners, links, segments, the loop. */
#define ACCEPTOR_FILES_MORE 1024

static uint32_t
files_of(const struct child *c)
{
	struct json_object *config = tree.config->resolved;

	switch (c->kind) {
	case KIND_ACCEPTOR:
		return (uint32_t)json_get_u64(json_member(config, "limits"),
		    "max_connections", 1024) + ACCEPTOR_FILES_MORE;
	case KIND_WORKER:
		return (uint32_t)json_get_u64(json_member(
		    c->connector->resolved, "limits"), "open_files", 256);
	case KIND_ADMIN:
	case KIND_AUTH:
		return ADMIN_FILES;
	case KIND_ROUTER:
	case KIND_SUPERVISOR:
	case KIND_COUNT:
		break;
	}
	return ROUTER_FILES;
}

static uint64_t
memory_of(const struct child *c)
{
	struct json_object *limits = json_member(c->kind == KIND_WORKER ?
	    c->connector->resolved : tree.config->resolved, "limits");

	return c->kind == KIND_ADMIN || c->kind == KIND_AUTH ? 0 : json_get_u64(limits, "memory", 0);
}

static void
wire_setup(struct child *c, struct json_object *config)
{
	struct json_object *limits = json_member(tree.config->resolved,
	    "limits");
	uint32_t files = files_of(c);
	union ipc_any m = {.setup = {
	    .name = slice_str(c->name),
	    .config = json_text(config),
	    .uid = c->uid,
	    .gid = c->uid,
	    .memory = memory_of(c),
	    .files = files > 1048576 ? 1048576 : files,
	    .watchdog_ms = (uint32_t)json_get_u64(limits, "watchdog_ms",
	    5000)}};
	int fds[3] = {tree.data_fd, c->ring, c->marker};

	link_put_fds(c->link, IPC_SETUP, &m, fds, c->marker == -1 ? 2 : 3);
}

static bool
is_served_by(const struct listener *l, const struct child *c)
{
	const char *protocol = c->kind == KIND_ADMIN ? "admin" : c->protocol;

	return protocol != NULL && strcmp(l->protocol, protocol) == 0;
}

static void
wire_listener_to(struct child *c, const struct listener *l)
{
	union ipc_any m = {.listener = {
	    .id = l->id,
	    .protocol = slice_str(l->protocol),
	    .transport = slice_str(l->transport),
	    .bind = slice_str(l->bind),
	    .options = slice_str(l->options)}};

	link_put_fds(c->link, IPC_LISTENER, &m, &l->fd, 1);
}

static void
wire_listeners(struct child *c)
{
	const struct listener *l;

	for (l = tree.listeners; l < tree.listeners + tree.listener_count;
	    l++)
		if (is_served_by(l, c))
			wire_listener_to(c, l);
}

void
wire_listener(const struct listener *l, bool is_gone)
{
	struct child *c;

	for (c = tree.children; c != NULL; c = c->next) {
		if (!child_is_linked(c) || !is_served_by(l, c))
			continue;
		if (is_gone)
			link_put_listener_gone(c->link,
			    &(struct ipc_listener_gone){.id = l->id});
		else
			wire_listener_to(c, l);
	}
}

static void
wire_put_link(struct child *to, const struct child *peer, int fd)
{
	union ipc_any m = {.link = {
	    .kind = (uint8_t)peer->kind,
	    .name = slice_str(peer->name),
	    .incarnation = peer->incarnation}};

	link_put_fds(to->link, IPC_LINK, &m, &fd, 1);
}

static void
wire_link(struct child *a, struct child *b)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
	    ends) == -1) {
		log_error("no link between %s and %s: %s", a->name, b->name,
		    strerror(errno));
		return;
	}
	wire_put_link(a, b, ends[0]);
	wire_put_link(b, a, ends[1]);
	close(ends[0]);
	close(ends[1]);
}

/*
 * The router speaks with everybody but the auth process, that one with the
 * acceptors; the rest only with the router and us.
 */
static bool
kinds_speak(enum ipc_kind a, enum ipc_kind b)
{
	if (a == KIND_AUTH || b == KIND_AUTH)
		return a == KIND_ACCEPTOR || b == KIND_ACCEPTOR;
	return a == KIND_ROUTER || b == KIND_ROUTER;
}

static uint32_t
wire_links(struct child *c)
{
	struct child *other;
	uint32_t acceptors = 0;

	for (other = tree.children; other != NULL; other = other->next) {
		if (other == c || !child_is_linked(other) ||
		    !kinds_speak(c->kind, other->kind))
			continue;
		wire_link(c, other);
		acceptors += other->kind == KIND_ACCEPTOR;
	}
	return c->kind == KIND_ROUTER ? acceptors : 0;
}

void
wire_child(struct child *c, struct json_object *config)
{
	uint32_t acceptors;

	wire_setup(c, config);
	wire_listeners(c);
	acceptors = wire_links(c);
	link_put_links_done(c->link,
	    &(struct ipc_links_done){.acceptors = acceptors});
}
