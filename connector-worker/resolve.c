#include "connector-worker/resolve.h"

#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RESOLVE_MAX 8

/* Shared by the loop and one thread; whoever is last frees it. */
struct resolve {
	pthread_mutex_t lock;
	bool is_done; /* the thread has left its result */
	bool is_cancelled;
	struct ev_async async;
	struct ev_loop *loop;
	char *host;
	resolve_cb *cb;
	void *arg;
	struct buf addresses;
	const char *error; /* static text */
};

bool
resolve_is_literal(const char *host)
{
	struct in6_addr addr;

	return host[0] == '/' || inet_pton(AF_INET, host, &addr) == 1 ||
	       inet_pton(AF_INET6, host, &addr) == 1;
}

static void
resolve_free(struct resolve *r)
{
	pthread_mutex_destroy(&r->lock);
	buf_fini(&r->addresses);
	free(r->host);
	free(r);
}

static void
resolve_look_up(struct resolve *r)
{
	struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	int rc = getaddrinfo(r->host, NULL, &hints, &found);
	size_t n = 0;

	if (rc != 0) {
		r->error =
		    rc == EAI_SYSTEM ? "the look-up failed" : gai_strerror(rc);
		return;
	}
	for (struct addrinfo *a = found; a != NULL && n < RESOLVE_MAX;
	     a = a->ai_next) {
		char text[INET6_ADDRSTRLEN + 16];

		if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text),
			NULL, 0, NI_NUMERICHOST) != 0)
			continue;
		if (n++ > 0)
			buf_add_u8(&r->addresses, ',');
		buf_add_str(&r->addresses, text);
	}
	freeaddrinfo(found);
	if (n == 0)
		r->error = "the name has no address";
}

static void *
resolve_run(void *arg)
{
	struct resolve *r = arg;
	bool is_cancelled;

	resolve_look_up(r);
	pthread_mutex_lock(&r->lock);
	r->is_done = true;
	is_cancelled = r->is_cancelled;
	if (!is_cancelled)
		ev_async_send(r->loop, &r->async);
	pthread_mutex_unlock(&r->lock);
	if (is_cancelled)
		resolve_free(r);
	return NULL;
}

static void
on_resolved(struct ev_loop *loop, struct ev_async *w, int revents)
{
	struct resolve *r = w->data;
	const char *addresses;
	bool is_done;

	(void)revents;
	pthread_mutex_lock(&r->lock);
	is_done = r->is_done;
	pthread_mutex_unlock(&r->lock);
	if (!is_done)
		return;
	ev_async_stop(loop, w);
	addresses = r->error == NULL ? buf_cstr(&r->addresses) : NULL;
	r->cb(addresses, r->error, r->arg);
	resolve_free(r);
}

/* The thread takes no signals: they are the loop's. */
static bool
resolve_spawn(struct resolve *r)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, &attr, resolve_run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

struct resolve *
resolve_start(struct ev_loop *loop, const char *host, resolve_cb *cb, void *arg)
{
	struct resolve *r = mem_zalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	buf_init(&r->addresses);
	r->loop = loop;
	r->host = mem_strdup(host);
	r->cb = cb;
	r->arg = arg;
	ev_async_init(&r->async, on_resolved);
	r->async.data = r;
	ev_async_start(loop, &r->async);
	if (!resolve_spawn(r)) {
		r->error = "no thread for the look-up";
		r->is_done = true;
		ev_async_send(loop, &r->async);
	}
	return r;
}

void
resolve_cancel(struct resolve *r)
{
	bool is_done;

	if (r == NULL)
		return;
	ev_async_stop(r->loop, &r->async);
	pthread_mutex_lock(&r->lock);
	r->is_cancelled = true;
	is_done = r->is_done;
	pthread_mutex_unlock(&r->lock);
	if (is_done)
		resolve_free(r);
}
