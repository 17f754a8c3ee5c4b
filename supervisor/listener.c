/*
 * The listening sockets: opened once, before anything is started, and kept,
 * so that a restarted acceptor takes up the same queue.
 */
#include "base/config_bind.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
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

static const char *
listener_failed(const char *bind, const char *why)
{
	snprintf(problem, sizeof(problem), "cannot listen on %s: %s", bind,
	    why);
	return problem;
}

static struct listener *
listener_add(const char *protocol, const char *transport, const char *bind,
    const char *options, int fd)
{
	struct listener *l;

	tree.listeners = mem_realloc(tree.listeners,
	    (tree.listener_count + 1) * sizeof(*l));
	l = &tree.listeners[tree.listener_count];
	*l = (struct listener){
	    .id = (uint32_t)tree.listener_count++,
	    .protocol = mem_strdup(protocol),
	    .transport = mem_strdup(transport),
	    .bind = mem_strdup(bind),
	    .options = mem_strdup(options),
	    .fd = fd};
	return l;
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
static const char *
listener_open(const char *protocol, const char *transport, const char *text,
    const char *options)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *all, *a;
	struct bind_address b;
	const char *wrong = bind_parse(text, &b);
	bool is_any;
	char port[8];
	int fd = -1, rc;

	if (wrong != NULL)
		return listener_failed(text, wrong);
	is_any = strcmp(b.host, "*") == 0;
	snprintf(port, sizeof(port), "%u", b.port);
	rc = getaddrinfo(is_any ? "::" : b.host, port, &hints, &all);
	if (rc != 0)
		return listener_failed(text, gai_strerror(rc));
	for (a = all; a != NULL && fd == -1; a = a->ai_next)
		fd = socket_listen(a, is_any);
	rc = errno;
	freeaddrinfo(all);
	if (fd == -1)
		return listener_failed(text, strerror(rc));
	listener_add(protocol, transport, text, options, fd);
	return NULL;
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
	listener_add("admin", "unix", path, "{}", fd);
	return NULL;
}

const char *
listeners_open(void)
{
	struct json_object *list = json_member(tree.config->resolved,
	    "listeners"), *l;
	const char *http = json_get_str(json_member(tree.config->resolved,
	    "admin"), "http", "");
	const char *why = admin_open();
	size_t i;

	for (i = 0; why == NULL && i < json_object_array_length(list); i++) {
		l = json_object_array_get_idx(list, i);
		why = listener_open(json_get_str(l, "protocol", ""),
		    json_get_str(l, "transport", ""),
		    json_get_str(l, "bind", ""),
		    json_object_to_json_string(l));
	}
	if (why == NULL && http[0] != '\0')
		why = listener_open("admin", "http", http, "{}");
	return why;
}

void
listeners_close(void)
{
	struct listener *l;

	for (l = tree.listeners; l < tree.listeners + tree.listener_count;
	    l++)
		if (l->fd != -1) {
			close(l->fd);
			l->fd = -1;
		}
	if (tree.listener_count > 0)
		unlinkat(tree.data_fd, ADMIN_SOCKET, 0);
}
