/*
 * host - what stands behind an open sink: the worker, or a test of it.
 */
#ifndef CONNECTOR_WORKER_HOST_H
#define CONNECTOR_WORKER_HOST_H

#include "connector-worker/sink.h"

/* Any may be NULL but rejected. text is a loan for the call. */
struct sink_host {
	void (*probed)(void *arg, bool is_up, const char *reason);
	void (*found)(void *arg, const char *what, const char *text);
	void (*tested)(void *arg, bool is_good, const char *reason);
	void (*rejected)(void *arg, const char *reason);
	void (*position)(void *arg, struct buf *out);
	bool (*rewind)(void *arg, struct slice position);
	bool (*keep_now)(void *arg, struct slice key, struct slice value);
	void (*kept)(void *arg, void (*cb)(struct slice key,
	    struct slice value, void *cb_arg), void *cb_arg);
};

struct sink {
	const struct sink_type *type;
	void *self;
	struct ev_loop *loop;
	const struct sink_options *options;
	const char *connector;
	const char *stream;
	bool is_test;
	const struct sink_host *host;
	void *arg;
};

#endif
