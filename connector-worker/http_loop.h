/*
 * http_loop - libcurl's transfers on the worker's event loop.
 *
 * The owner makes easy handles and sets them up with http_loop_setup; it may
 * keep and add one again as often as it likes, each is under way at most
 * once. Nothing blocks, name look-ups are made in threads of libcurl's.
 */
#ifndef CONNECTOR_WORKER_HTTP_LOOP_H
#define CONNECTOR_WORKER_HTTP_LOOP_H

#include <curl/curl.h>
#include <ev.h>

struct http_loop;

/* The transfer is over; the handle is free to be added again. */
typedef void http_loop_done(CURL *easy, CURLcode result, void *arg);

/* At most so many connections are open at once. */
struct http_loop *http_loop_new(struct ev_loop *, long connections);
/* The handles that were added are removed first and not freed. */
void http_loop_free(struct http_loop *);

/* What every transfer of ours needs: no signals, no proxy, no redirects. */
CURL *http_loop_setup(void);
void http_loop_add(struct http_loop *, CURL *easy, http_loop_done *, void *arg);
/* Ends a transfer without a callback; nothing if it is not under way. */
void http_loop_remove(struct http_loop *, CURL *easy);

#endif
