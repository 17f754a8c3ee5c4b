/*
 * http_drain - an HTTP/1.1 server that reads requests, counts them and
 * answers 204: the target of the webhook's measurements, cheap enough not
 * to be the limit.
 *
 *	http_drain PORT		until SIGTERM; then prints what it took
 *
 * Requests need a Content-Length.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 16384

struct client {
	int fd;
	size_t head_len;
	size_t body_left;
	bool is_body;
	char head[HEAD_MAX];
};

static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
static volatile sig_atomic_t stopping;
static unsigned long long requests, bytes;

static void
on_term(int signo)
{
	(void)signo;
	stopping = 1;
}

static int
listen_on(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(fd, 256) != 0) {
		perror("http_drain");
		exit(1);
	}
	return fd;
}

static void
client_add(int ep, int listener)
{
	struct client *c;
	struct epoll_event ev = {.events = EPOLLIN};
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c = calloc(1, sizeof(*c));
	c->fd = fd;
	ev.data.ptr = c;
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static void
client_free(struct client *c)
{
	close(c->fd);
	free(c);
}

/* The head is whole and NUL-terminated. */
static size_t
content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at != NULL ? strtoul(at + 17, NULL, 10) : 0;
}

static bool
request_done(struct client *c)
{
	requests++;
	c->is_body = false;
	c->head_len = 0;
	return send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) > 0;
}

/* Takes what it can of p; the number of bytes, 0 when the client is bad. */
static size_t
client_take(struct client *c, const char *p, size_t n)
{
	size_t room = HEAD_MAX - 1 - c->head_len, had = c->head_len;
	char *end;

	if (c->is_body) {
		size_t take = n < c->body_left ? n : c->body_left;

		c->body_left -= take;
		if (c->body_left == 0 && !request_done(c))
			return 0;
		return take;
	}
	if (room == 0)
		return 0;
	n = n < room ? n : room;
	memcpy(c->head + had, p, n);
	c->head[had + n] = '\0';
	c->head_len += n;
	end = strstr(c->head + (had > 3 ? had - 3 : 0), "\r\n\r\n");
	if (end == NULL)
		return n;
	end += 4;
	n = (size_t)(end - c->head) - had;
	*end = '\0';
	c->body_left = content_length(c->head);
	c->is_body = true;
	if (c->body_left == 0 && !request_done(c))
		return 0;
	return n;
}

static bool
client_read(struct client *c)
{
	static char in[1 << 18];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n < 0)
		return errno == EAGAIN;
	if (n == 0)
		return false;
	bytes += (unsigned long long)n;
	for (size_t at = 0; at < (size_t)n;) {
		size_t took = client_take(c, in + at, (size_t)n - at);

		if (took == 0)
			return false;
		at += took;
	}
	return true;
}

int
main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN}, got[64];
	int listener, ep;

	if (argc != 2) {
		fprintf(stderr, "usage: http_drain PORT\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	signal(SIGINT, on_term);
	listener = listen_on((int)strtol(argv[1], NULL, 10));
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	while (!stopping) {
		int n = epoll_wait(ep, got, 64, 1000);

		for (int i = 0; i < n; i++) {
			if (got[i].data.ptr == NULL)
				client_add(ep, listener);
			else if (!client_read(got[i].data.ptr))
				client_free(got[i].data.ptr);
		}
	}
	printf("{\"requests\":%llu,\"bytes\":%llu}\n", requests, bytes);
	return 0;
}
