#include "acceptor/endpoint.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX (16u << 20)

static struct endpoint *endpoints;

struct endpoint *
endpoint_find(uint32_t id)
{
	struct endpoint *e = endpoints;

	while (e != NULL && e->id != id)
		e = e->next;
	return e;
}

static enum tls_identity
identity_parse(const char *name)
{
	return strcmp(name, "cn") == 0 ? IDENTITY_CN :
	    strcmp(name, "san") == 0 ? IDENTITY_SAN :
	    strcmp(name, "psk") == 0 ? IDENTITY_PSK : IDENTITY_NONE;
}

static struct endpoint *
endpoint_get(uint32_t id)
{
	struct endpoint *e = endpoint_find(id);

	if (e != NULL)
		return e;
	e = mem_zalloc(1, sizeof(*e));
	e->id = id;
	e->next = endpoints;
	endpoints = e;
	return e;
}

/* Upgrades that are under way look at the rules: they change in place. */
static void
endpoint_fill(struct endpoint *e, struct json_object *o)
{
	struct json_object *tls = json_member(o, "tls");

	json_object_put(e->options);
	e->options = o;
	e->has_proxy = json_get_bool(o, "proxy_protocol", false);
	e->identity = identity_parse(json_get_str(tls, "identity", "none"));
	free(e->ws.path);
	e->ws.path = mem_strdup(json_get_str(o, "path", "/mqtt"));
	e->ws.origins = json_member(o, "origins");
	e->ws.message_max = json_get_u64(o, "max_message_size", MESSAGE_MAX);
}

/* False with the reason; *tls stays NULL where there is none. */
static bool
context_make(uint32_t id, bool has_tls, bool has_ws, struct json_object *o,
    struct tls_context **tls, char *why, size_t size)
{
	char scope[32];

	if (o == NULL)
		snprintf(why, size, "its options are no JSON");
	if (o == NULL || !has_tls)
		return o != NULL;
	snprintf(scope, sizeof(scope), "listener %u", id);
	*tls = tls_context_new(json_member(o, "tls"),
	    has_ws ? "http/1.1" : "mqtt", scope, why, size);
	return *tls != NULL;
}

struct endpoint *
endpoint_set(uint32_t id, const char *transport, struct slice options,
    char *why, size_t size)
{
	bool has_tls = strcmp(transport, "tls") == 0 ||
	    strcmp(transport, "wss") == 0;
	bool has_ws = strcmp(transport, "ws") == 0 ||
	    strcmp(transport, "wss") == 0;
	struct json_object *o = json_parse(options);
	struct endpoint *e = endpoint_get(id);
	struct tls_context *tls = NULL;

	if (!context_make(id, has_tls, has_ws, o, &tls, why, size)) {
		json_object_put(o);
		return e;
	}
	endpoint_fill(e, o);
	e->is_good = true;
	e->has_ws = has_ws;
	tls_context_free(e->tls);
	e->tls = tls;
	return e;
}
