/* links: libnats */
/*
 * nats - messages to NATS: to a JetStream stream with acknowledgements, or
 * plain, where the server has taken them when it answers a PING.
 *
 * A thread beside the loop has the connection (nats_link.c). Nats-Msg-Id is
 * the record's id, so that JetStream drops what comes twice within its
 * stream's duplicate window.
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/held.h"
#include "connector-worker/resolve.h"
#include "connector-worker/sinks/nats_link.h"
#include "connector-worker/sinks/nats_text.h"

#include <stdlib.h>

static const struct option options[] = {
	{"url", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_REQUIRED,
	    "nats://host:4222 or tls://host:4222, several with commas",
	    "nats://host:4222 或 tls://host:4222，多个以逗号分隔"},
	{"subject", OPTION_STRING, "${topic}", 1, 4096, NULL, OPTION_TEMPLATE,
	    "the subject to publish to, as plant.${topic[1]}",
	    "发布的主题，如 plant.${topic[1]}"},
	{"jetstream", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "wait for a stream's acknowledgement; without it a message that "
	    "nobody listens for is lost",
	    "等待流的确认；关闭后无人订阅的消息会丢失"},
	{"credentials", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	    "file with a user's JWT and seed (.creds)",
	    "包含用户 JWT 和种子的文件（.creds）"},
	{"username", OPTION_STRING, NULL, 1, 255, NULL, 0, "user name",
	    "用户名"},
	{"password", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	    "its password", "密码"},
	{"token", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	    "token, in place of a user", "令牌，代替用户"},
	{"headers", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "send the record's headers, and its topic as Bulkhead-Topic",
	    "发送记录的头，并以 Bulkhead-Topic 发送其主题"},
	{"timeout_ms", OPTION_INT, "5000", 100, 60000, NULL, 0,
	    "how long to wait for a connection or an acknowledgement, in "
	    "milliseconds",
	    "等待连接或确认的时间（毫秒）"},
	CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "credentials", "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

struct nats {
	struct sink *sink;
	struct aside *aside;
	bool jetstream;
};

/* ---- the definition ------------------------------------------------------ */

/* Calls cb for each URL of a text with commas; false: one is wrong. */
static bool
urls_each(const char *text, bool (*cb)(struct slice url, void *arg), void *arg)
{
	size_t n;

	for (;; text += n + 1) {
		while (*text == ' ')
			text++;
		n = strcspn(text, ",");
		if (!cb(slice_of(text, n), arg))
			return false;
		if (text[n] == '\0')
			return true;
	}
}

struct url_look {
	size_t count;
	bool has_address;	/* in place of a name that TLS can verify */
};

static bool
url_look(struct slice url, void *arg)
{
	struct url_look *look = arg;
	struct slice host;
	char *text;

	if (++look->count > NATS_URLS_MAX || !nats_url_host(url, &host))
		return false;
	text = slice_dup(host);
	look->has_address |= resolve_is_literal(text);
	free(text);
	return true;
}

static void
nats_validate(const struct sink_options *o, struct faults *faults)
{
	const char *url = opt_string(o, "url");
	struct url_look look = {0};
	int logins = opt_is_set(o, "credentials") + opt_is_set(o, "username") +
	    opt_is_set(o, "token");

	if (url != NULL && !urls_each(url, url_look, &look))
		sink_fault(o, faults, "url",
		    "expected nats://host:port, at most %d with commas and "
		    "without a login", NATS_URLS_MAX);
	if (opt_is_set(o, "username") != opt_is_set(o, "password"))
		sink_fault(o, faults,
		    opt_is_set(o, "username") ? "username" : "password",
		    "username and password go together");
	if (logins > 1)
		sink_fault(o, faults, "username",
		    "only one of credentials, username and token");
	if (opt_bool(o, "tls.enable") && opt_bool(o, "tls.verify") &&
	    look.has_address && !opt_is_set(o, "tls.server_name"))
		sink_fault(o, faults, "tls.server_name",
		    "is required where the url has an address and no name");
	conn_tls_validate(o, faults);
}

static bool
url_add(struct slice url, void *arg)
{
	struct nats_options *to = arg;

	to->urls[to->url_count++] = slice_dup(url);
	return to->url_count < NATS_URLS_MAX;
}

static void
nats_read(const struct sink_options *o, struct nats_options *to)
{
	*to = (struct nats_options){
	    .subject = opt_template(o, "subject"),
	    .username = opt_string(o, "username"),
	    .password = opt_string(o, "password"),
	    .token = opt_string(o, "token"),
	    .credentials = opt_string(o, "credentials"),
	    .timeout_ms = (unsigned)opt_int(o, "timeout_ms"),
	    .jetstream = opt_bool(o, "jetstream"),
	    .headers = opt_bool(o, "headers"),
	    .is_tls = opt_bool(o, "tls.enable"),
	    .verifies = opt_bool(o, "tls.verify"),
	    .ca_file = opt_string(o, "tls.ca_file"),
	    .cert_file = opt_string(o, "tls.cert_file"),
	    .key_file = opt_string(o, "tls.key_file"),
	    .server_name = opt_string(o, "tls.server_name"),
	};
	urls_each(opt_string(o, "url"), url_add, to);
}

/* ---- life ---------------------------------------------------------------- */

static void
on_answered(struct job *job, void *arg)
{
	struct nats *n = arg;
	bool is_up = job->outcome == SINK_DELIVERED;

	switch (job->kind) {
	case JOB_RECORD:
		held_answer(job->record, job->outcome, job->why);
		return;
	case JOB_PROBE:
		sink_probed(n->sink, is_up, job->why);
		return;
	case JOB_TEST:
		if (job->note != NULL)
			sink_found(n->sink, "connected", "%s", job->note);
		if (is_up)
			sink_found(n->sink, "jetstream", "%s",
			    n->jetstream ? "yes" : "not used");
		sink_tested(n->sink, is_up, job->why);
		return;
	}
}

static void *
nats_open(struct sink *sink)
{
	struct nats *n = mem_zalloc(1, sizeof(*n));
	struct nats_options o;

	n->sink = sink;
	nats_read(sink_opts(sink), &o);
	o.connector = sink_connector(sink);
	n->jetstream = o.jetstream;
	n->aside = aside_new(sink_loop(sink), nats_link_run,
	    nats_link_new(&o), on_answered, n);
	if (n->aside == NULL)
		sink_reject(sink, "there is no thread to be had");
	return n;
}

static void
nats_send_batch(void *self, struct sink_batch *batch)
{
	struct nats *n = self;

	held_begin(batch);
	for (size_t i = 0; i < batch->count; i++)
		aside_give(n->aside, JOB_RECORD, batch->records[i]);
}

static void
nats_probe(void *self)
{
	struct nats *n = self;

	aside_give(n->aside, JOB_PROBE, NULL);
}

static void
nats_test(void *self)
{
	struct nats *n = self;

	aside_give(n->aside, JOB_TEST, NULL);
}

static void
nats_shut(void *self)
{
	struct nats *n = self;

	aside_end(n->aside);
	free(n);
}

const struct sink_type sink_type = {
	.name = "nats",
	.help_en = "publishes records to NATS, with JetStream or without",
	.help_zh = "将记录发布到 NATS，可使用 JetStream",
	.options = options,
	.option_count = sizeof(options) / sizeof(*options),
	.caps = {.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		SINK_ORDER_NONE,
	    .paths = path_options,
	    .ports = "any"},
	.validate = nats_validate,
	.open = nats_open,
	.send_batch = nats_send_batch,
	.probe = nats_probe,
	.test = nats_test,
	.close = nats_shut,
};
