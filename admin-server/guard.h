/*
 * guard - keeps web pages of others away from an API without a password.
 *
 * A browser on this machine reaches loopback for any page it shows. A page
 * that talks to us under a name of its own (DNS rebinding) is known by its
 * Host, one that posts across sites by its Origin. Pure.
 */
#ifndef ADMIN_SERVER_GUARD_H
#define ADMIN_SERVER_GUARD_H

#include "proto/http/request.h"

/* What is wrong, or NULL. */
const char *guard_check(const struct http_request *r, bool is_public);

#endif
