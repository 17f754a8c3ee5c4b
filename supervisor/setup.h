/*
 * setup - what each kind of process is told of the configuration. Pure.
 *
 * The caller puts what these return.
 */
#ifndef SUPERVISOR_SETUP_H
#define SUPERVISOR_SETUP_H

#include "supervisor/connector.h"
#include "supervisor/supervisor.h"

struct json_object *setup_router(struct json_object *config);
struct json_object *setup_acceptor(struct json_object *config,
    const char *protocol,
    unsigned instance);
struct json_object *setup_auth(struct json_object *config);
struct json_object *setup_admin(struct json_object *config, const char *data,
    const char *types);
struct json_object *setup_worker(struct json_object *config,
    const struct connector *, const struct last_exit *);
/* Of any child, by its kind. */
struct json_object *setup_child(const struct child *);

#endif
