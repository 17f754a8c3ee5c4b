#include "supervisor/setup.h"

#include "base/json.h"
#include "supervisor/auth.h"

#include <stdio.h>

static struct json_object *
setup_new(struct json_object *config)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "log",
	    json_object_get(json_member(config, "log")));
	json_add_str(o, "version", BULKHEAD_VERSION);
	return o;
}

static void
setup_copy(struct json_object *to, struct json_object *config,
    const char *name)
{
	json_object_object_add(to, name,
	    json_object_get(json_member(config, name)));
}

/* Names say their unit where processes read them. */
static struct json_object *
setup_stream(struct json_object *stream)
{
	struct json_object *to = json_object_new_object();
	struct json_object *r = json_member(stream, "retention");
	struct json_object *retention = json_object_new_object();

	setup_copy(to, stream, "topics");
	setup_copy(to, stream, "partitions");
	json_add_u64(retention, "time_ms", json_get_u64(r, "time", 0));
	json_add_u64(retention, "size", json_get_u64(r, "size", 0));
	json_object_object_add(to, "retention", retention);
	return to;
}

struct json_object *
setup_router(struct json_object *config)
{
	struct json_object *o = setup_new(config);
	struct json_object *streams = json_object_new_object();
	struct json_object *from = json_member(config, "streams");

	setup_copy(o, config, "store");
	setup_copy(o, config, "limits");
	json_object_object_foreach(from, name, stream)
		json_object_object_add(streams, name, setup_stream(stream));
	json_object_object_add(o, "streams", streams);
	return o;
}

struct json_object *
setup_acceptor(struct json_object *config, const char *protocol,
    unsigned instance)
{
	struct json_object *o = setup_new(config);
	struct json_object *auth = json_object_new_object();

	setup_copy(o, config, "limits");
	/* Of the rest of `auth` it needs nothing, and some of it is secret. */
	json_add_bool(auth, "required", auth_is_needed(config));
	json_object_object_add(o, "auth", auth);
	setup_copy(o, config, "mqtt");
	json_add_u64(o, "instances", json_get_u64(json_member(config,
	    "acceptors"), protocol, 1));
	json_add_u64(o, "instance", instance);
	return o;
}

struct json_object *
setup_auth(struct json_object *config)
{
	struct json_object *o = setup_new(config);

	setup_copy(o, config, "auth");
	json_object_object_add(o, "files",
	    json_object_get(auth_files()));
	return o;
}

struct json_object *
setup_admin(struct json_object *config, const char *data, const char *types)
{
	struct json_object *o = setup_new(config);

	json_add_str(o, "data", data);
	json_add_str(o, "types", types);
	json_object_object_add(o, "tokens", json_object_get(
	    json_member(json_member(config, "admin"), "tokens")));
	return o;
}

static struct json_object *
setup_last_exit(const struct last_exit *e)
{
	struct json_object *o;

	if (e == NULL || !e->is_set)
		return NULL;
	o = json_object_new_object();
	json_add_u64(o, "signal", (uint64_t)e->signal);
	json_add_u64(o, "status", (uint64_t)e->status);
	json_add_bool(o, "own_crash", e->is_own_crash);
	return o;
}

struct json_object *
setup_worker(struct json_object *config, const struct connector *c,
    const struct last_exit *last)
{
	struct json_object *o = setup_new(config), *definition, *topics;
	struct json_object *start = json_object_new_object();

	definition = json_object_new_object();
	json_add_str(definition, "name", c->name);
	json_object_object_foreach(c->resolved, name, v)
		json_object_object_add(definition, name, json_object_get(v));
	topics = json_member(c->resolved, "topics");
	json_object_object_add(o, "connector", definition);
	json_add_u64(o, "version", c->version);
	json_add_str(o, "stream", c->stream == NULL ? "" : c->stream);
	json_object_object_add(o, "topics", topics == NULL ?
	    json_object_new_array() : json_object_get(topics));
	json_object_object_add(start, "incarnation",
	    json_object_get(json_member(c->start, "incarnation")));
	json_object_object_add(start, "partitions",
	    json_object_get(json_member(c->start, "partitions")));
	json_object_object_add(o, "start", start);
	json_add_bool(o, "paused", c->is_paused);
	json_object_object_add(o, "last_exit", setup_last_exit(last));
	return o;
}

struct json_object *
setup_child(const struct child *c)
{
	struct json_object *config = tree.config->resolved;
	char types[4096];

	switch (c->kind) {
	case KIND_ROUTER:
		return setup_router(config);
	case KIND_ACCEPTOR:
		return setup_acceptor(config, c->protocol, c->instance);
	case KIND_WORKER:
		return setup_worker(config, c->connector, &c->last_exit);
	case KIND_ADMIN:
		snprintf(types, sizeof(types), "%s/types.json", tree.libexec);
		return setup_admin(config, tree.data, types);
	case KIND_AUTH:
		return setup_auth(config);
	case KIND_SUPERVISOR:
	case KIND_COUNT:
		break;
	}
	return setup_new(config);
}
