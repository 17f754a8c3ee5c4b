/*
 * resolve - names to addresses without blocking the loop, for client
 * libraries that would look the name up in the call that connects.
 *
 * Each look-up is one short-lived thread around getaddrinfo. A look-up that
 * was cancelled ends by itself later and touches nothing of the caller's.
 */
#ifndef CONNECTOR_WORKER_RESOLVE_H
#define CONNECTOR_WORKER_RESOLVE_H

#include <ev.h>
#include <stdbool.h>

struct resolve;

/* Needs no look-up: an IPv4 or IPv6 literal, or the path of a socket. */
bool resolve_is_literal(const char *host);

/*
 * addresses: at most 8 numeric ones, separated by commas; NULL when there
 * are none, then error says why. Both are loans for the call. The look-up
 * is over and freed when the callback is called.
 */
typedef void resolve_cb(const char *addresses, const char *error, void *arg);

struct resolve *resolve_start(
    struct ev_loop *, const char *host, resolve_cb *, void *arg);
void resolve_cancel(struct resolve *);

#endif
