/*
 * The listening sockets: opened once, before anything is started, and kept,
 * so that a restarted acceptor takes up the same queue.
 */
#include "base/config_bind.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "supervisor/listener_options.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define ADMIN_SOCKET "admin.sock"

static char problem[4600];

/* A listener of a new configuration, before it takes the old ones' place. */
struct proposal {
	struct listener *old;	/* whose socket it keeps, or NULL */
	struct listener made;
};

static struct {
	struct proposal *v;
	size_t n;
} proposed;

static const char *
listener_failed(const char *bind, const char *why)
{
	snprintf(problem, sizeof(problem), "cannot listen on %s: %s", bind,
	    why);
	return problem;
}

static struct listener
listener_make(const char *protocol, const char *transport, const char *bind,
    const char *options, int fd)
{
	return (struct listener){.protocol = mem_strdup(protocol),
	    .transport = mem_strdup(transport), .bind = mem_strdup(bind),
	    .options = mem_strdup(options), .fd = fd};
}

static void
listener_fini(struct listener *l)
{
	const char *path = bind_unix_path(l->bind);

	if (l->fd != -1)
		close(l->fd);
	if (l->fd != -1 && path != NULL)
		unlink(path);
	explicit_bzero(l->options, strlen(l->options));
	free(l->options);
	free(l->protocol);
	free(l->transport);
	free(l->bind);
}

static void
listener_add(struct listener made)
{
	tree.listeners = mem_realloc(tree.listeners,
	    (tree.listener_count + 1) * sizeof(made));
	made.id = tree.listener_ids++ & 0xffff;
	tree.listeners[tree.listener_count++] = made;
}

static int
socket_listen(const struct addrinfo *a, bool is_any)
{
	int one = 1, off = 0, saved;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, is_any ? &off : &one,
		    sizeof(one));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* A host with several addresses is listened on at the first that works. */
static int
inet_open(const char *text)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *all, *a;
	struct bind_address b;
	const char *wrong = bind_parse(text, &b);
	bool is_any;
	char port[8];
	int fd = -1, rc;

	if (wrong != NULL) {
		listener_failed(text, wrong);
		return -1;
	}
	is_any = strcmp(b.host, "*") == 0;
	snprintf(port, sizeof(port), "%u", b.port);
	rc = getaddrinfo(is_any ? "::" : b.host, port, &hints, &all);
	if (rc != 0) {
		listener_failed(text, gai_strerror(rc));
		return -1;
	}
	for (a = all; a != NULL && fd == -1; a = a->ai_next)
		fd = socket_listen(a, is_any);
	rc = errno;
	freeaddrinfo(all);
	if (fd == -1)
		listener_failed(text, strerror(rc));
	return fd;
}

/*
 * Whoever may enter its folder may connect, as with a port on loopback. What
 * a dead broker left is taken away; another file is not.
 */
static int
unix_open(const char *text)
{
	const char *path = bind_unix_path(text);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int fd, rc;

	if (strlen(path) >= sizeof(a.sun_path)) {
		listener_failed(text, "the path is longer than 107 bytes");
		return -1;
	}
	memcpy(a.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 &&
	    errno == ECONNREFUSED)
		unlink(path);
	mask = umask(0111);
	rc = fd == -1 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (rc == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	listener_failed(text, strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

static int
bind_open(const char *text)
{
	return bind_unix_path(text) != NULL ? unix_open(text) :
	    inet_open(text);
}

/*
 * A path longer than an address takes goes by the folder's descriptor.
 * Whoever may use the socket may do anything: it is 0600.
 */
static const char *
admin_open(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[4200];
	mode_t mask;
	int fd, rc;

	snprintf(path, sizeof(path), "%s/" ADMIN_SOCKET, tree.data);
	if (strlen(path) < sizeof(a.sun_path))
		memcpy(a.sun_path, path, strlen(path));
	else
		snprintf(a.sun_path, sizeof(a.sun_path),
		    "/proc/self/fd/%d/" ADMIN_SOCKET, tree.data_fd);
	/* We hold the folder's lock: what is there is a dead one's. */
	unlinkat(tree.data_fd, ADMIN_SOCKET, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	rc = fd == -1 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof(a));
	umask(mask);
	if (rc == -1 || listen(fd, 128) == -1)
		return listener_failed(path, strerror(errno));
	listener_add(listener_make("admin", "unix", path, "{}", fd));
	return NULL;
}

/* ---- those of the configuration ----------------------------------------- */

static struct listener *
listener_find(const char *protocol, const char *bind)
{
	size_t i;

	for (i = 0; i < tree.listener_count; i++)
		if (strcmp(tree.listeners[i].protocol, protocol) == 0 &&
		    strcmp(tree.listeners[i].bind, bind) == 0)
			return &tree.listeners[i];
	return NULL;
}

static const char *
propose(struct json_object *config)
{
	const char *bind = json_get_str(config, "bind", "");
	const char *protocol = json_get_str(config, "protocol", "");
	const char *transport = json_get_str(config, "transport", "");
	struct proposal *p;
	char *options = listener_options(config, problem, sizeof(problem));
	int fd = -1;

	if (options == NULL)
		return problem;
	proposed.v = mem_realloc(proposed.v,
	    (proposed.n + 1) * sizeof(*proposed.v));
	p = &proposed.v[proposed.n];
	p->old = listener_find(protocol, bind);
	if (p->old == NULL)
		fd = bind_open(bind);
	if (p->old == NULL && fd == -1) {
		free(options);
		return problem;
	}
	p->made = listener_make(protocol, transport, bind, options, fd);
	free(options);
	proposed.n++;
	return NULL;
}

static void
proposed_drop(void)
{
	size_t i;

	for (i = 0; i < proposed.n; i++)
		listener_fini(&proposed.v[i].made);
	free(proposed.v);
	proposed.v = NULL;
	proposed.n = 0;
}

const char *
listeners_prepare(struct json_object *config)
{
	struct json_object *list = json_member(config, "listeners");
	const char *why = NULL;
	size_t i;

	tickets_turn();
	for (i = 0; why == NULL && i < json_object_array_length(list); i++)
		why = propose(json_object_array_get_idx(list, i));
	if (why != NULL)
		proposed_drop();
	return why;
}

static bool
is_proposed(const struct listener *l)
{
	size_t i;

	for (i = 0; i < proposed.n; i++)
		if (proposed.v[i].old == l)
			return true;
	return false;
}

/* The socket and the id stay, what is said about it is the new. */
static void
listener_change(struct listener *l, struct listener *made)
{
	struct listener old = *l;

	*l = *made;
	l->id = old.id;
	l->fd = old.fd;
	old.fd = -1;
	listener_fini(&old);
	wire_listener(l, false);
}

/* Those of the admin-server are none of the configuration's list. */
static void
listeners_sweep(void)
{
	struct listener *l = tree.listeners, *to = l;
	size_t i, n = tree.listener_count;

	for (i = 0; i < n; i++, l++) {
		if (strcmp(l->protocol, "admin") != 0 && !is_proposed(l)) {
			log_info("no more listening on %s", l->bind);
			wire_listener(l, true);
			listener_fini(l);
			tree.listener_count--;
			continue;
		}
		for (size_t k = 0; k < proposed.n; k++)
			if (proposed.v[k].old == l)
				proposed.v[k].old = to;
		*to++ = *l;
	}
}

void
listeners_commit(void)
{
	struct proposal *p;

	listeners_sweep();
	for (p = proposed.v; p < proposed.v + proposed.n; p++)
		if (p->old != NULL)
			listener_change(p->old, &p->made);
	for (p = proposed.v; p < proposed.v + proposed.n; p++) {
		if (p->old != NULL)
			continue;
		listener_add(p->made);
		wire_listener(&tree.listeners[tree.listener_count - 1], false);
	}
	free(proposed.v);
	proposed.v = NULL;
	proposed.n = 0;
}

const char *
listeners_open(void)
{
	const char *http = json_get_str(json_member(tree.config->resolved,
	    "admin"), "http", "");
	const char *why = admin_open();
	int fd;

	if (why == NULL)
		why = listeners_prepare(tree.config->resolved);
	if (why != NULL)
		return why;
	listeners_commit();
	if (http[0] == '\0')
		return NULL;
	fd = bind_open(http);
	if (fd == -1)
		return problem;
	listener_add(listener_make("admin", "http", http, "{}", fd));
	return NULL;
}

void
listeners_close(void)
{
	bool had_any = tree.listener_count > 0;

	while (tree.listener_count > 0)
		listener_fini(&tree.listeners[--tree.listener_count]);
	if (had_any)
		unlinkat(tree.data_fd, ADMIN_SOCKET, 0);
}
