/* What no single option shows: names, addresses, references, pairs. */
#include "base/config_private.h"

#include "base/config_bind.h"
#include "base/mem.h"
#include "base/topic.h"
#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
config_fault(const struct config_doc *doc, const char *path, const char *fmt,
    ...)
{
	size_t n = strlen(doc->prefix);
	const char *below = path;
	char message[1024];
	va_list ap;

	if (n > 0 && strncmp(path, doc->prefix, n) == 0)
		below = path + n;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	fault_add(doc->faults, doc_place_of(doc->root, below), path, "%s",
	    message);
}

static bool
name_is(const char *name, const char *first, const char *rest, size_t max)
{
	size_t n = strlen(name);

	return n > 0 && n <= max && strchr(first, name[0]) != NULL &&
	    strspn(name + 1, rest) == n - 1;
}

bool
connector_name_check(const char *name)
{
	return name_is(name, "abcdefghijklmnopqrstuvwxyz0123456789",
	    "abcdefghijklmnopqrstuvwxyz0123456789-", 63);
}

bool
stream_name_check(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789._-";

	return name_is(name, letters, all, 249);
}

static void
listener_check(const struct config_doc *doc, const char *path,
    const char *bind, bool is_guarded)
{
	struct bind_address b;
	const char *wrong;

	/* A local socket has its folder's rights. */
	if (bind_unix_path(bind) != NULL)
		return;
	wrong = bind_parse(bind, &b);
	if (wrong != NULL) {
		config_fault(doc, path, "`%.100s` %s", bind, wrong);
		return;
	}
	if (!bind_is_loopback(&b) && !is_guarded)
		config_fault(doc, path, "%s is a public address and no "
		    "authentication is configured: name auth.users_file, or "
		    "auth.required for users made by command; "
		    "auth.allow_anonymous: true lets anybody in", b.host);
}

bool
auth_is_configured(struct json_object *auth)
{
	return json_get_bool(auth, "required", false) ||
	    json_get_str(auth, "users_file", NULL) != NULL ||
	    json_get_str(json_member(auth, "jwt"), "algorithm", NULL) !=
		NULL ||
	    json_get_str(json_member(auth, "http"), "url", NULL) != NULL;
}

static void
methods_check(const struct config_doc *doc, struct json_object *list)
{
	size_t n = list == NULL ? 0 : json_object_array_length(list);
	const char *name;
	char path[64];

	for (size_t i = 0; i < n; i++) {
		name = json_object_get_string(
		    json_object_array_get_idx(list, i));
		snprintf(path, sizeof(path), "auth.methods[%zu]", i);
		if (strcmp(name, "jwt") != 0 && strcmp(name, "users") != 0 &&
		    strcmp(name, "http") != 0)
			config_fault(doc, path,
			    "`%.40s` is not jwt, users or http", name);
	}
}

void
auth_check(const struct config_doc *doc, struct json_object *config)
{
	struct json_object *auth = json_object_object_get(config, "auth");
	struct json_object *jwt = json_member(auth, "jwt");
	const char *algorithm = json_get_str(jwt, "algorithm", NULL);
	const char *url = json_get_str(json_member(auth, "http"), "url", NULL);
	bool has_secret = json_get_str(jwt, "secret", NULL) != NULL;
	bool has_key = json_get_str(jwt, "key_file", NULL) != NULL;

	methods_check(doc, json_member(auth, "methods"));
	if (url != NULL && strncmp(url, "http://", 7) != 0 &&
	    strncmp(url, "https://", 8) != 0)
		config_fault(doc, "auth.http.url",
		    "begins with http:// or https://");
	if (algorithm == NULL && (has_secret || has_key))
		config_fault(doc, "auth.jwt.algorithm", "is required");
	if (algorithm == NULL)
		return;
	if (algorithm[0] == 'H' ? !has_secret || has_key :
	    !has_key || has_secret)
		config_fault(doc, "auth.jwt.algorithm", "%s goes with %s",
		    algorithm, algorithm[0] == 'H' ? "`secret`" :
		    "`key_file`");
}

/* What goes with what in `tls`; *option names what the fault is about. */
static const char *
tls_wrong(struct json_object *o, const char **option)
{
	bool has_cert = json_get_str(o, "cert_file", NULL) != NULL;
	bool has_key = json_get_str(o, "key_file", NULL) != NULL;
	bool has_psk = json_get_str(o, "psk_file", NULL) != NULL;
	bool verifies = strcmp(json_get_str(o, "verify", "none"), "none") != 0;
	const char *identity = json_get_str(o, "identity", "none");

	*option = has_cert ? "key_file" : "cert_file";
	if (has_cert != has_key)
		return "is required: certificate and key go together";
	if (!has_cert && !has_psk)
		return "is required";
	*option = "ca_file";
	if (verifies && json_get_str(o, "ca_file", NULL) == NULL)
		return "is required where clients' certificates are verified";
	*option = "identity";
	if (strcmp(identity, "psk") == 0 && !has_psk)
		return "is psk and there is no psk_file";
	if ((strcmp(identity, "cn") == 0 || strcmp(identity, "san") == 0) &&
	    !verifies)
		return "is taken from certificates, and tls.verify is none";
	return NULL;
}

static void
transport_check(const struct config_doc *doc, size_t i, struct json_object *l)
{
	const char *transport = json_get_str(l, "transport", "tcp"), *wrong;
	struct json_object *tls = json_object_object_get(l, "tls");
	bool has_tls = strcmp(transport, "tls") == 0 ||
	    strcmp(transport, "wss") == 0;
	const char *option = "cert_file";
	char path[96];

	if (has_tls)
		wrong = tls_wrong(tls, &option);
	else
		wrong = json_get_str(tls, option, NULL) == NULL ? NULL :
		    "goes with transport tls or wss";
	snprintf(path, sizeof(path), "listeners[%zu].tls.%s", i, option);
	if (wrong != NULL)
		config_fault(doc, path, "%s", wrong);
	snprintf(path, sizeof(path), "listeners[%zu].path", i);
	if (json_get_str(l, "path", "/")[0] != '/')
		config_fault(doc, path, "does not begin with /");
}

void
listeners_check(const struct config_doc *doc, struct json_object *config)
{
	struct json_object *list = json_object_object_get(config, "listeners");
	struct json_object *auth = json_object_object_get(config, "auth");
	const char *bind, *other;
	char path[64];
	size_t i, j, n = list == NULL ? 0 : json_object_array_length(list);

	for (i = 0; i < n; i++) {
		bind = json_get_str(json_object_array_get_idx(list, i), "bind", NULL);
		transport_check(doc, i, json_object_array_get_idx(list, i));
		if (bind == NULL)
			continue;
		snprintf(path, sizeof(path), "listeners[%zu].bind", i);
		listener_check(doc, path, bind, auth_is_configured(auth) ||
		    json_get_bool(auth, "allow_anonymous", false));
		for (j = 0; j < i; j++) {
			other = json_get_str(json_object_array_get_idx(list, j),
			    "bind", NULL);
			if (other != NULL && strcmp(bind, other) == 0)
				config_fault(doc, path,
				    "%s is taken by listeners[%zu]", bind, j);
		}
	}
}

void
admin_check(const struct config_doc *doc, struct json_object *config)
{
	const char *http = json_get_str(json_object_object_get(config, "admin"),
	    "http", NULL);
	struct json_object *tokens = json_member(
	    json_object_object_get(config, "admin"), "tokens");
	const char *wrong;
	struct bind_address b;

	if (http == NULL || http[0] == '\0')
		return;
	wrong = bind_parse(http, &b);
	if (wrong != NULL)
		config_fault(doc, "admin.http", "`%.100s` %s", http, wrong);
	else if (!bind_is_loopback(&b) && (tokens == NULL ||
	    json_object_object_length(tokens) == 0))
		config_fault(doc, "admin.http", "%s is a public address: the "
		    "HTTP API beyond loopback needs admin.tokens", b.host);
}

static void
filters_check(const struct config_doc *doc, const char *path,
    struct json_object *list)
{
	size_t i, n = list == NULL ? 0 : json_object_array_length(list);
	struct slice filter, group, rest;
	const char *wrong;
	char at[CONFIG_PATH_MAX];

	for (i = 0; i < n; i++) {
		filter = slice_str(json_object_get_string(
		    json_object_array_get_idx(list, i)));
		wrong = filter_check(filter);
		if (wrong == NULL && filter_share(filter, &group, &rest))
			wrong = "a shared subscription is no filter here";
		snprintf(at, sizeof(at), "%s[%zu]", path, i);
		if (wrong != NULL)
			config_fault(doc, at, "`%.*s` is no topic filter: %s",
			    filter.len > 60 ? 60 : (int)filter.len,
			    (const char *)filter.p, wrong);
	}
}

void
streams_check(const struct config_doc *doc, struct json_object *streams)
{
	char path[CONFIG_PATH_MAX];

	json_object_object_foreach(streams, name, stream) {
		snprintf(path, sizeof(path), "streams.%.300s", name);
		if (!stream_name_check(name))
			config_fault(doc, path, "a stream's name has letters, "
			    "digits, `.`, `_` and `-`, begins with a letter or "
			    "digit, and has at most 249 characters");
		snprintf(path, sizeof(path), "streams.%.300s.topics", name);
		filters_check(doc, path,
		    json_object_object_get(stream, "topics"));
	}
}

static bool
stream_covers(struct json_object *stream, struct json_object *topics)
{
	struct json_object *filters = json_object_object_get(stream, "topics");
	size_t i, j, n = filters == NULL ? 0 :
	    json_object_array_length(filters);
	struct slice topic;
	bool is_covered;

	for (i = 0; i < json_object_array_length(topics); i++) {
		topic = slice_str(json_object_get_string(
		    json_object_array_get_idx(topics, i)));
		is_covered = false;
		for (j = 0; j < n && !is_covered; j++)
			is_covered = filter_covers(slice_str(
			    json_object_get_string(json_object_array_get_idx(
			    filters, j))), topic);
		if (!is_covered)
			return false;
	}
	return true;
}

/* Without `stream`, at most one stream may cover the topics. */
static void
stream_choose_check(const struct config_doc *doc, const char *path,
    struct json_object *topics, struct json_object *streams)
{
	struct buf names;
	unsigned count = 0;

	buf_init(&names);
	json_object_object_foreach(streams, name, stream) {
		if (!stream_covers(stream, topics))
			continue;
		buf_addf(&names, "%s%s", count == 0 ? "" : ", ", name);
		count++;
	}
	if (count > 1)
		config_fault(doc, path, "several streams cover the topics "
		    "(%.400s): name one", buf_cstr(&names));
	buf_fini(&names);
}

static void
stream_reference_check(const struct config_doc *doc, const char *base,
    struct json_object *d, struct json_object *streams)
{
	struct json_object *topics = json_object_object_get(d, "topics");
	const char *stream = json_get_str(d, "stream", NULL);
	char path[CONFIG_PATH_MAX];

	snprintf(path, sizeof(path), "%.400s.stream", base);
	if (stream == NULL && topics == NULL) {
		config_fault(doc, path, "is required where there are no "
		    "`topics`");
		return;
	}
	if (stream == NULL && streams != NULL)
		stream_choose_check(doc, path, topics, streams);
	if (stream != NULL && !stream_name_check(stream))
		config_fault(doc, path, "`%.60s` is no name of a stream",
		    stream);
	else if (stream != NULL && streams != NULL &&
	    json_object_object_get(streams, stream) == NULL)
		config_fault(doc, path, "no stream is named `%.60s`", stream);
}

static void
failure_check(const struct config_doc *doc, const char *base,
    struct json_object *d)
{
	struct json_object *f = json_object_object_get(d, "failure_strategy");
	int64_t wait = json_object_get_int64(
	    json_object_object_get(f, "wait_time_ms"));
	int64_t max = json_object_get_int64(
	    json_object_object_get(f, "max_wait_ms"));
	const char *topic = json_get_str(f, "topic_name", NULL), *wrong;
	const char *strategy = json_get_str(f, "strategy", NULL);
	char path[CONFIG_PATH_MAX];

	snprintf(path, sizeof(path), "%.400s.failure_strategy.max_wait_ms",
	    base);
	if (wait > max)
		config_fault(doc, path, "%lld is below wait_time_ms, %lld",
		    (long long)max, (long long)wait);
	snprintf(path, sizeof(path), "%.400s.failure_strategy.topic_name",
	    base);
	if (topic == NULL || topic[0] == '\0')
		return;
	wrong = topic_check(slice_str(topic));
	if (wrong != NULL)
		config_fault(doc, path, "`%.60s` is no topic: %s", topic,
		    wrong);
	if (strategy != NULL && strcmp(strategy, "dead_message_queue") != 0)
		config_fault(doc, path, "goes with strategy "
		    "dead_message_queue only");
}

void
connector_check(const struct config_doc *doc, const char *name,
    struct json_object *d, struct json_object *streams)
{
	const char *start = json_get_str(d, "start", NULL), *own = json_get_str(d, "name", NULL);
	char base[CONFIG_PATH_MAX - 64], path[CONFIG_PATH_MAX];
	int64_t ms;

	snprintf(base, sizeof(base), "connectors.%.100s", name);
	if (!connector_name_check(name))
		config_fault(doc, base, "a connector's name has small "
		    "letters, digits and `-`, begins with a letter or digit, "
		    "and has at most 63 characters");
	snprintf(path, sizeof(path), "%s.name", base);
	if (own != NULL && strcmp(own, name) != 0)
		config_fault(doc, path, "`%.63s` is not the name it stands "
		    "under", own);
	snprintf(path, sizeof(path), "%s.start", base);
	if (start != NULL && strcmp(start, "earliest") != 0 &&
	    strcmp(start, "latest") != 0 && !time_parse(start, &ms))
		config_fault(doc, path, "`%.60s` is not earliest, latest or a "
		    "time such as 2026-01-31T12:00:00Z", start);
	snprintf(path, sizeof(path), "%s.topics", base);
	filters_check(doc, path, json_object_object_get(d, "topics"));
	stream_reference_check(doc, base, d, streams);
	failure_check(doc, base, d);
}

bool
definitions_collide(const struct connector_type *type, struct json_object *a,
    struct json_object *b, const char **option)
{
	struct json_object *caps = json_member(type->description,
	    "capabilities");
	struct json_object *paths = json_member(caps, "paths");
	size_t i, n = json_object_is_type(paths, json_type_array) ?
	    json_object_array_length(paths) : 0;
	const char *x, *y;

	if (!json_get_bool(caps, "writes_files", false) ||
	    strcmp(json_get_str(a, "type", ""), json_get_str(b, "type", "")))
		return false;
	for (i = 0; i < n; i++) {
		*option = json_object_get_string(
		    json_object_array_get_idx(paths, i));
		x = json_get_str(json_member(a, "config"), *option, NULL);
		y = json_get_str(json_member(b, "config"), *option, NULL);
		if (x != NULL && y != NULL && strcmp(x, y) == 0)
			return true;
	}
	return false;
}

void
files_check(const struct config_doc *doc, struct json_object *connectors,
    const struct connector_types *types)
{
	const struct connector_type *t;
	const char *option;
	char path[CONFIG_PATH_MAX];

	if (types == NULL)
		return;
	json_object_object_foreach(connectors, name, d) {
		t = types_find(types, json_get_str(d, "type", ""));
		if (t == NULL)
			continue;
		json_object_object_foreach(connectors, other, e) {
			if (e == d)
				break;
			if (!definitions_collide(t, d, e, &option))
				continue;
			snprintf(path, sizeof(path),
			    "connectors.%.100s.config.%.100s", name, option);
			config_fault(doc, path, "connectors.%s writes the "
			    "same file", other);
		}
	}
}
