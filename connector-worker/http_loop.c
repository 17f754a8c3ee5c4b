#include "connector-worker/http_loop.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

/* A transfer under way; hangs at its easy handle. */
struct transfer {
	struct transfer *next, **prev;
	http_loop_done *done;
	void *arg;
	CURL *easy;
};

struct http_loop {
	struct ev_loop *loop;
	CURLM *multi;
	struct ev_timer timer;
	struct transfer *transfers;
	struct transfer *spare;
};

struct watch {
	struct ev_io io;
	struct http_loop *http;
};

static void
transfer_end(struct http_loop *h, struct transfer *t)
{
	*t->prev = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	curl_multi_remove_handle(h->multi, t->easy);
	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, NULL);
	t->next = h->spare;
	h->spare = t;
}

static struct transfer *
transfer_of(CURL *easy)
{
	char *p = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
	return (struct transfer *)(void *)p;
}

static void
take_done(struct http_loop *h)
{
	struct CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {
		CURL *easy = msg->easy_handle;
		CURLcode result = msg->data.result;
		struct transfer *t = transfer_of(easy);
		http_loop_done *done;
		void *arg;

		if (msg->msg != CURLMSG_DONE || t == NULL)
			continue;
		done = t->done;
		arg = t->arg;
		transfer_end(h, t);
		done(easy, result, arg);
	}
}

static void
on_io(struct ev_loop *loop, struct ev_io *w, int revents)
{
	struct http_loop *h = ((struct watch *)w->data)->http;
	int running;
	int what = (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		   (revents & EV_WRITE ? CURL_CSELECT_OUT : 0);

	(void)loop;
	curl_multi_socket_action(h->multi, w->fd, what, &running);
	take_done(h);
}

static void
on_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
	struct http_loop *h = w->data;
	int running;

	(void)loop;
	(void)revents;
	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_done(h);
}

static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct http_loop *h = arg;
	struct watch *w = known;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			ev_io_stop(h->loop, &w->io);
		curl_multi_assign(h->multi, fd, NULL);
		free(w);
		return 0;
	}
	if (w == NULL) {
		w = mem_zalloc(1, sizeof(*w));
		w->http = h;
		ev_init(&w->io, on_io);
		w->io.data = w;
		curl_multi_assign(h->multi, fd, w);
	}
	ev_io_stop(h->loop, &w->io);
	ev_io_set(&w->io, fd,
	    (what & CURL_POLL_IN ? EV_READ : 0) |
		(what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(h->loop, &w->io);
	return 0;
}

static int
want_timer(CURLM *multi, long ms, void *arg)
{
	struct http_loop *h = arg;

	(void)multi;
	ev_timer_stop(h->loop, &h->timer);
	if (ms >= 0) {
		ev_timer_set(&h->timer, (double)ms / 1000., 0.);
		ev_timer_start(h->loop, &h->timer);
	}
	return 0;
}

struct http_loop *
http_loop_new(struct ev_loop *loop, long connections)
{
	struct http_loop *h = mem_zalloc(1, sizeof(*h));

	h->loop = loop;
	curl_global_init(CURL_GLOBAL_ALL);
	h->multi = curl_multi_init();
	bug_on(h->multi == NULL);
	ev_init(&h->timer, on_timer);
	h->timer.data = h;
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(
	    h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, connections);
	return h;
}

void
http_loop_free(struct http_loop *h)
{
	struct transfer *t;

	while (h->transfers != NULL)
		transfer_end(h, h->transfers);
	curl_multi_cleanup(h->multi);
	ev_timer_stop(h->loop, &h->timer);
	while ((t = h->spare) != NULL) {
		h->spare = t->next;
		free(t);
	}
	free(h);
	curl_global_cleanup();
}

CURL *
http_loop_setup(void)
{
	CURL *easy = curl_easy_init();

	bug_on(easy == NULL);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	/* Else a time-out would wait for the thread of its look-up. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	return easy;
}

void
http_loop_add(struct http_loop *h, CURL *easy, http_loop_done *done, void *arg)
{
	struct transfer *t = h->spare;

	bug_on(transfer_of(easy) != NULL);
	if (t != NULL)
		h->spare = t->next;
	else
		t = mem_alloc(sizeof(*t));
	*t = (struct transfer){.done = done, .arg = arg, .easy = easy};
	t->next = h->transfers;
	t->prev = &h->transfers;
	if (t->next != NULL)
		t->next->prev = &t->next;
	h->transfers = t;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	curl_multi_add_handle(h->multi, easy);
}

void
http_loop_remove(struct http_loop *h, CURL *easy)
{
	struct transfer *t = transfer_of(easy);

	if (t != NULL)
		transfer_end(h, t);
}
