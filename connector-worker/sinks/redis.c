/* links: hiredis */
/*
 * redis - commands on a Redis server, its Sentinel-guarded master, or a
 * cluster.
 *
 * hiredis reads the replies; the connections are ours (conn.h), for its
 * 0.14 has no TLS. Commands are pipelined, replies come in order.
 *
 * A lost connection answers for its records with SINK_UNAVAILABLE: what was
 * executed and not answered comes again, as at least once allows. EO is the
 * user's command (SET, or XADD with an id made of ${offset}).
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/held.h"
#include "connector-worker/sinks/redis_sink.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_PORT 6379
#define SENTINEL_PORT 26379
#define TICK_SECONDS .1

static const struct option options[] = {
	{"server", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_REQUIRED,
	    "host:port, several with commas; of the sentinels in mode sentinel",
	    "host:port，多个以逗号分隔；sentinel 模式下为哨兵地址"},
	{"mode", OPTION_ENUM, "single", 0, 0, "single|sentinel|cluster", 0,
	    "what the servers are; single: the first that answers",
	    "服务器类型；single 使用第一个可用的服务器"},
	{"sentinel_master_name", OPTION_STRING, NULL, 1, 255, NULL, 0,
	    "name of the master that the sentinels watch",
	    "哨兵监视的主节点名称"},
	{"database", OPTION_INT, "0", 0, 1023, NULL, 0,
	    "number of the database; 0 in a cluster",
	    "数据库编号；集群中只能为 0"},
	{"username", OPTION_STRING, NULL, 1, 255, NULL, 0,
	    "user of the server's access list (Redis 6)", "ACL 用户名（Redis 6）"},
	{"password", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	    "its password, or the server's requirepass", "密码"},
	{"command", OPTION_LIST, NULL, 1, REDIS_ARGS_MAX, NULL,
	    OPTION_REQUIRED | OPTION_TEMPLATE,
	    "the command, one template for each argument: "
	    "[\"SET\", \"${topic}\", \"${payload}\"]",
	    "命令，每个参数一个模板：[\"SET\", \"${topic}\", \"${payload}\"]"},
	{"timeout_ms", OPTION_INT, "5000", 100, 60000, NULL, 0,
	    "how long to wait for a connection or a reply, in milliseconds",
	    "等待连接或应答的时间（毫秒）"},
	CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
redis_validate(const struct sink_options *o, struct faults *faults)
{
	enum redis_mode mode = (enum redis_mode)opt_choice(o, "mode");
	const char *server = opt_string(o, "server");
	const char *command = opt_count(o, "command") > 0
	    ? opt_value(o, "command", 0)
	    : NULL;
	struct redis_server *servers =
	    mem_zalloc(REDIS_SERVERS_MAX, sizeof(*servers));

	if (server != NULL &&
	    redis_servers_parse(
		server, DEFAULT_PORT, servers, REDIS_SERVERS_MAX) == 0)
		sink_fault(o, faults, "server",
		    "expected host:port, at most %d with commas",
		    REDIS_SERVERS_MAX);
	free(servers);
	if (mode == MODE_SENTINEL && !opt_is_set(o, "sentinel_master_name"))
		sink_fault(o, faults, "sentinel_master_name",
		    "is required in mode sentinel");
	if (mode != MODE_SENTINEL && opt_is_set(o, "sentinel_master_name"))
		sink_fault(o, faults, "sentinel_master_name",
		    "has no effect outside mode sentinel");
	if (mode == MODE_CLUSTER && opt_int(o, "database") != 0)
		sink_fault(o, faults, "database", "a cluster has only 0");
	if (opt_is_set(o, "username") && !opt_is_set(o, "password"))
		sink_fault(o, faults, "username", "needs a password beside it");
	if (command != NULL &&
	    !template_is_constant(opt_value_template(o, "command", 0)))
		sink_fault(o, faults, "command",
		    "the name of the command must be fixed");
	else if (command != NULL && redis_command_is_barred(slice_str(command)))
		sink_fault(o, faults, "command",
		    "%s cannot stand for a record: it changes the connection "
		    "or waits", command);
	conn_tls_validate(o, faults);
}

/* ---- probe and test ---------------------------------------------------- */

void
redis_probe_done(struct redis *r, bool is_up, const char *why)
{
	r->probes_owed = 0;
	if (r->is_probing) {
		r->is_probing = false;
		sink_probed(r->sink, is_up, why);
	}
	if (r->is_testing) {
		r->is_testing = false;
		sink_tested(r->sink, is_up, why);
	}
}

/* A round trip with every server that records may go to. */
static void
probe_send(struct redis *r)
{
	for (struct lane *l = r->lanes; l != NULL; l = l->next)
		if (l->is_ready && (l == r->main || l->slots > 0)) {
			LANE_SAY(l, OWED_PROBE, "PING");
			r->probes_owed++;
		}
}

void
redis_probe_ready(struct redis *r)
{
	const char *command = opt_value(sink_opts(r->sink), "command", 0);
	struct lane *l = r->mode == MODE_CLUSTER ? r->slots[0] : r->main;
	size_t nodes = 0;

	if (r->probes_owed > 0 || (!r->is_probing && !r->is_testing))
		return;
	if (r->is_testing && l != NULL) {
		sink_found(r->sink, "connected", "%s:%u", l->server.host,
		    l->server.port);
		for (const struct lane *k = r->lanes; k != NULL; k = k->next)
			nodes += k->slots > 0;
		if (r->mode == MODE_CLUSTER)
			sink_found(r->sink, "masters", "%zu", nodes);
		LANE_SAY(l, OWED_VERSION, "INFO", "server");
		LANE_SAY(l, OWED_COMMAND, "COMMAND", "INFO", command);
	}
	probe_send(r);
}

static void
test_version(struct redis *r, const redisReply *reply)
{
	const char *at = reply->type == REDIS_REPLY_STRING
	    ? strstr(reply->str, "redis_version:")
	    : NULL;

	if (at != NULL)
		sink_found(r->sink, "version", "%.*s",
		    (int)strcspn(at + 14, "\r\n"), at + 14);
}

/* Of an unknown command the reply has a null. */
static void
test_command(struct redis *r, const redisReply *reply)
{
	const redisReply *row, *arity;
	long long n = (long long)r->arg_count;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1)
		return;
	row = reply->element[0];
	if (row->type != REDIS_REPLY_ARRAY) {
		redis_probe_done(r, false, "the server has no such command");
		return;
	}
	arity = row->elements > 1 ? row->element[1] : NULL;
	if (arity == NULL || arity->type != REDIS_REPLY_INTEGER)
		return;
	if (arity->integer > 0 ? n != arity->integer : n < -arity->integer)
		redis_probe_done(
		    r, false, "the command takes another number of arguments");
}

void
redis_test_reply(struct redis *r, enum owed_kind kind, const redisReply *reply)
{
	if (r->is_testing && kind == OWED_VERSION)
		test_version(r, reply);
	else if (r->is_testing)
		test_command(r, reply);
}

static void
probe_begin(struct redis *r)
{
	if (redis_is_ready(r))
		redis_probe_ready(r);
	else
		redis_connect(r);
	redis_flush(r);
}

static void
redis_probe(void *self)
{
	struct redis *r = self;

	r->is_probing = true;
	probe_begin(r);
}

static void
redis_test(void *self)
{
	struct redis *r = self;

	r->is_testing = true;
	probe_begin(r);
}

/* ---- life -------------------------------------------------------------- */

static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	redis_tick(w->data);
}

static void *
redis_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct redis *r = mem_zalloc(1, sizeof(*r));
	const char *why;

	r->sink = sink;
	r->mode = (enum redis_mode)opt_choice(o, "mode");
	r->timeout_ms = (uint32_t)opt_int(o, "timeout_ms");
	r->username = opt_string(o, "username");
	r->password = opt_string(o, "password");
	r->master_name = opt_string(o, "sentinel_master_name");
	r->server_name = opt_string(o, "tls.server_name");
	r->database = opt_int(o, "database");
	r->server_count = redis_servers_parse(opt_string(o, "server"),
	    r->mode == MODE_SENTINEL ? SENTINEL_PORT : DEFAULT_PORT,
	    r->servers, REDIS_SERVERS_MAX);
	r->arg_count = opt_count(o, "command");
	r->args = mem_zalloc(r->arg_count, sizeof(*r->args));
	for (size_t i = 0; i < r->arg_count; i++)
		r->args[i] = opt_value_template(o, "command", i);
	r->tls = conn_tls_new(o, &why);
	if (why != NULL)
		sink_reject(sink, "%s", why);
	template_input_init(&r->input);
	ev_timer_init(&r->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
	r->tick.data = r;
	ev_timer_start(sink_loop(sink), &r->tick);
	return r;
}

static void
redis_send_batch(void *self, struct sink_batch *batch)
{
	struct redis *r = self;

	redis_take_batch(r, batch);
	redis_connect(r);
	redis_pump(r);
	redis_flush(r);
}

/* Records that were not answered: their tallies go with them. */
static void
tallies_drop(struct redis *r)
{
	struct lane *l;
	struct owed o;

	redis_fail_waiting(r, "closed");
	for (l = r->lanes; l != NULL; l = l->next)
		while (l->count > 0) {
			o = lane_settle(l);
			if (o.record != NULL)
				held_answer(
				    o.record, SINK_UNAVAILABLE, "closed");
		}
}

static void
redis_close(void *self)
{
	struct redis *r = self;

	ev_timer_stop(sink_loop(r->sink), &r->tick);
	tallies_drop(r);
	while (r->lanes != NULL)
		lane_free(r->lanes);
	conn_tls_free(r->tls);
	template_input_fini(&r->input);
	buf_fini(&r->text);
	free(r->args);
	free(r->waiting);
	free(r);
}

const struct sink_type sink_type = {
	.name = "redis",
	.help_en = "runs a command on Redis (or Valkey, KeyDB) for each record",
	.help_zh = "为每条记录在 Redis（或 Valkey、KeyDB）上执行一条命令",
	.options = options,
	.option_count = sizeof(options) / sizeof(*options),
	.caps = {.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		SINK_ORDER_NONE,
	    .paths = path_options,
	    .ports = "any"},
	.validate = redis_validate,
	.open = redis_open,
	.send_batch = redis_send_batch,
	.probe = redis_probe,
	.test = redis_test,
	.close = redis_close,
};
