/*
 * sink_peer - in place of the network: whoever connects in this program is
 * connected to a peer that says the next part of the fuzzer's bytes each time
 * that it hears something or has heard nothing for a while, and hangs up after
 * the last. Parts end with ~~~~.
 */
#ifndef TESTS_FUZZ_SINK_PEER_H
#define TESTS_FUZZ_SINK_PEER_H

#include "../unit/sink_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEERS_MAX 64

struct peer {
	struct ev_io io;
	struct ev_timer patience;
	struct slice left; /* of the script */
};

static struct {
	struct rig rig;
	struct slice script;
	struct peer peers[PEERS_MAX];
	size_t len;
} net;

static void
peer_say(struct peer *p)
{
	const uint8_t *end =
	    p->left.len > 0 ? memmem(p->left.p, p->left.len, "~~~~", 4) : NULL;
	size_t n = end != NULL ? (size_t)(end - p->left.p) : p->left.len;
	size_t skip = end != NULL ? 4 : 0;

	(void)!send(p->io.fd, p->left.p, n, MSG_NOSIGNAL);
	p->left = slice_of(p->left.p + n + skip, p->left.len - n - skip);
	if (end == NULL) {
		shutdown(p->io.fd, SHUT_WR);
		ev_timer_stop(net.rig.loop, &p->patience);
	} else
		ev_timer_again(net.rig.loop, &p->patience);
}

static void
on_heard(struct ev_loop *loop, struct ev_io *w, int revents)
{
	static char in[65536];

	(void)revents;
	if (recv(w->fd, in, sizeof(in), 0) > 0)
		peer_say(w->data);
	else
		ev_io_stop(loop, w);
}

static void
on_silence(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	peer_say(w->data);
}

/* Takes the place of libc's for the client libraries too. */
int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct peer *p = &net.peers[net.len];
	int pair[2];

	(void)addr;
	(void)len;
	if (net.len == PEERS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		pair) != 0) {
		errno = ECONNREFUSED;
		return -1;
	}
	dup3(pair[0], fd, O_CLOEXEC);
	close(pair[0]);
	p->left = net.script;
	ev_io_init(&p->io, on_heard, pair[1], EV_READ);
	p->io.data = p;
	ev_io_start(net.rig.loop, &p->io);
	ev_timer_init(&p->patience, on_silence, 0., 0.002);
	p->patience.data = p;
	net.len++;
	return 0;
}

/* A batch, and if need be a probe, against this script. */
static void
peer_try(const char *definition, const uint8_t *data, size_t size)
{
	net.script = slice_of(data, size < 65536 ? size : 65536);
	rig_open(&net.rig, definition);
	rig_add(&net.rig, 3);
	rig_run(&net.rig, 2000);
	while (net.len > 0) {
		struct peer *p = &net.peers[--net.len];

		ev_io_stop(net.rig.loop, &p->io);
		ev_timer_stop(net.rig.loop, &p->patience);
		close(p->io.fd);
	}
	rig_close(&net.rig);
}

#endif
