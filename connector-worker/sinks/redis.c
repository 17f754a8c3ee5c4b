/* links: hiredis */
/*
 * redis - commands on a Redis server, its Sentinel-guarded master, or a
 * cluster.
 *
 * hiredis is the codec; the connections are ours (connector-worker/conn.h),
 * for its 0.14 has no TLS. Commands are pipelined, replies come in order: a
 * lane is a connection and the records whose replies it owes.
 *
 * A lost connection answers for its records with SINK_UNAVAILABLE: what was
 * executed and not answered comes again, as at least once allows. EO is the
 * user's command (SET, or XADD with an id made of ${offset}).
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/sink.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DEFAULT_PORT 6379
#define SENTINEL_PORT 26379
#define SERVERS_MAX 64
#define SLOTS 16384
#define ARGS_MAX 256
#define REDIRECTS_MAX 5

enum mode { MODE_SINGLE, MODE_SENTINEL, MODE_CLUSTER };

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
	{"command", OPTION_LIST, NULL, 1, ARGS_MAX, NULL,
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

/* What a reply is owed to. */
enum owed_kind {
	OWED_RECORD,
	OWED_HELLO,	/* AUTH, SELECT: must succeed */
	OWED_ASKING,	/* before a redirected command: nothing to tell */
	OWED_MASTER,	/* SENTINEL get-master-addr-by-name */
	OWED_ROLE,	/* whether it is a master */
	OWED_SLOTS,	/* CLUSTER SLOTS */
	OWED_PING,
};

struct owed {
	enum owed_kind kind;
	unsigned redirects;
	struct sink_record *record;
};

struct server {
	char host[256];
	uint16_t port;
};

struct lane {
	struct redis *redis;
	struct server server;
	struct conn *conn;
	redisReader *reader;
	struct owed *owed;	/* a ring, cap a power of two */
	size_t head, count, cap;
	ev_tstamp oldest;	/* since when the first reply is owed */
	bool is_sentinel;
	bool is_ready;		/* greeted: records may go */
	struct lane *next;
};

struct redis {
	struct sink *sink;
	struct conn_tls *tls;
	enum mode mode;
	uint32_t timeout_ms;
	struct server servers[SERVERS_MAX];
	size_t server_count, server_next;
	const struct template **args;
	size_t arg_count;
	const char *username, *password, *master_name, *server_name;
	int64_t database;
	struct lane *lanes;
	struct lane *main;		/* single, sentinel: where records go */
	struct lane *slots[SLOTS];	/* cluster: whose slot it is */
	bool has_slots;
	struct sink_batch **waiting;	/* for the connection */
	size_t waiting_count;
	struct template_input input;
	struct buf text;
	ev_timer tick;
	ev_prepare flush;
	char why[640];			/* why there is no connection */
	bool is_probing, is_testing;
};

/* ---- what an error means ----------------------------------------------- */

/* By the first word of the reply, then by what else it says. */
static const struct {
	const char *prefix;
	enum sink_outcome outcome;
} errors[] = {
    {"ERR value is not", SINK_REFUSED},
    {"ERR syntax", SINK_REFUSED},
    {"ERR unknown command", SINK_REFUSED},
    {"ERR wrong number of arguments", SINK_REFUSED},
    {"ERR Protocol error", SINK_REFUSED},
    {"ERR The ID specified", SINK_DELIVERED},	/* XADD: it is there */
    {"ERR increment", SINK_REFUSED},
    {"ERR string exceeds", SINK_REFUSED},
    {"ERR max number of clients", SINK_UNAVAILABLE},
    {"WRONGTYPE", SINK_REFUSED},
    {"NOSCRIPT", SINK_REFUSED},
    {"CROSSSLOT", SINK_REFUSED},
    {"EXECABORT", SINK_REFUSED},
    {"NOPERM", SINK_REFUSED},
    {"NOAUTH", SINK_UNAVAILABLE},
    {"WRONGPASS", SINK_UNAVAILABLE},
    {"LOADING", SINK_UNAVAILABLE},
    {"BUSY", SINK_UNAVAILABLE},
    {"MASTERDOWN", SINK_UNAVAILABLE},
    {"CLUSTERDOWN", SINK_UNAVAILABLE},
    {"TRYAGAIN", SINK_UNAVAILABLE},
    {"READONLY", SINK_UNAVAILABLE},
    {"NOREPLICAS", SINK_UNAVAILABLE},
    {"MISCONF", SINK_UNAVAILABLE},
    {"OOM", SINK_UNAVAILABLE},
};

static enum sink_outcome
error_outcome(const char *text)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (strncmp(text, errors[i].prefix,
			strlen(errors[i].prefix)) == 0)
			return errors[i].outcome;
	return SINK_RETRYABLE;
}

/* ---- servers ----------------------------------------------------------- */

/* "host:port", "[v6]:port", "host". */
static bool
server_parse(struct slice text, uint16_t port, struct server *s)
{
	const uint8_t *p = text.p, *end = text.p + text.len, *colon = NULL;
	size_t n = text.len;
	unsigned long v = port;

	if (n > 0 && *p == '[') {
		const uint8_t *close = memchr(p, ']', n);

		if (close == NULL)
			return false;
		colon = close + 1 < end ? close + 1 : NULL;
		if (colon != NULL && *colon != ':')
			return false;
		p++;
		n = (size_t)(close - p);
	} else {
		colon = memchr(p, ':', n);
		if (colon != NULL)
			n = (size_t)(colon - p);
	}
	if (n == 0 || n >= sizeof(s->host))
		return false;
	if (colon != NULL) {
		v = 0;
		if (colon + 1 == end || end - colon > 6)
			return false;
		for (const uint8_t *q = colon + 1; q < end; q++) {
			if (*q < '0' || *q > '9')
				return false;
			v = v * 10 + (unsigned long)(*q - '0');
		}
	}
	memcpy(s->host, p, n);
	s->host[n] = '\0';
	s->port = (uint16_t)v;
	return v > 0 && v <= 65535;
}

static size_t
servers_parse(const char *text, uint16_t port, struct server *servers)
{
	struct slice rest = slice_str(text), item;
	const uint8_t *comma;
	size_t count = 0;

	while (rest.len > 0) {
		comma = memchr(rest.p, ',', rest.len);
		item = slice_of(rest.p,
		    comma == NULL ? rest.len : (size_t)(comma - rest.p));
		rest = slice_of(rest.p + item.len + (comma != NULL),
		    rest.len - item.len - (comma != NULL));
		while (item.len > 0 && *item.p == ' ')
			item = slice_of(item.p + 1, item.len - 1);
		while (item.len > 0 && item.p[item.len - 1] == ' ')
			item.len--;
		if (count == SERVERS_MAX ||
		    !server_parse(item, port, &servers[count]))
			return 0;
		count++;
	}
	return count;
}

static void
redis_validate(const struct sink_options *o, struct faults *faults)
{
	enum mode mode = (enum mode)opt_choice(o, "mode");
	const char *server = opt_string(o, "server");
	struct server *servers =
	    mem_zalloc(SERVERS_MAX, sizeof(*servers));

	if (server != NULL &&
	    servers_parse(server, DEFAULT_PORT, servers) == 0)
		sink_fault(o, faults, "server",
		    "expected host:port, at most %d with commas", SERVERS_MAX);
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
	if (opt_count(o, "command") > 0 &&
	    !template_is_constant(opt_value_template(o, "command", 0)))
		sink_fault(o, faults, "command",
		    "the name of the command must be fixed");
	conn_tls_validate(o, faults);
}

/* ---- lanes ------------------------------------------------------------- */

static void redis_pump(struct redis *r);
static void redis_connect(struct redis *r);

static void
lane_owe(struct lane *l, struct owed owed)
{
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct owed *ring = mem_alloc(cap * sizeof(*ring));

		for (size_t i = 0; i < l->count; i++)
			ring[i] = l->owed[(l->head + i) & (l->cap - 1)];
		free(l->owed);
		l->owed = ring;
		l->head = 0;
		l->cap = cap;
	}
	if (l->count == 0)
		l->oldest = ev_now(sink_loop(l->redis->sink));
	l->owed[(l->head + l->count++) & (l->cap - 1)] = owed;
}

static struct owed
lane_settle(struct lane *l)
{
	struct owed o = l->owed[l->head];

	l->head = (l->head + 1) & (l->cap - 1);
	l->count--;
	l->oldest = ev_now(sink_loop(l->redis->sink));
	return o;
}

static void
lane_send(struct lane *l, struct owed owed, int argc, const char **argv,
    const size_t *lens)
{
	char *text = NULL;
	long long n = redisFormatCommandArgv(&text, argc, argv, lens);

	if (n > 0)
		buf_add(conn_out(l->conn), text, (size_t)n);
	redisFreeCommand(text);
	lane_owe(l, owed);
}

#define LANE_SAY(l, kind_, ...)                                              \
	do {                                                                 \
		const char *argv_[] = {__VA_ARGS__};                         \
									     \
		lane_send(l, (struct owed){.kind = (kind_)},                 \
		    (int)(sizeof(argv_) / sizeof(*argv_)), argv_, NULL);     \
	} while (0)

static void
lane_unlink(struct lane *l)
{
	struct redis *r = l->redis;
	struct lane **p = &r->lanes;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	if (r->main == l)
		r->main = NULL;
	for (size_t i = 0; r->mode == MODE_CLUSTER && i < SLOTS; i++)
		if (r->slots[i] == l) {
			r->slots[i] = NULL;
			r->has_slots = false;
		}
}

/* Ends a lane: what it owes is answered with the outcome. */
static void
lane_end(struct lane *l, enum sink_outcome outcome, const char *why)
{
	struct redis *r = l->redis;
	struct owed o;

	lane_unlink(l);
	snprintf(r->why, sizeof(r->why), "%s:%u: %s", l->server.host,
	    l->server.port, why);
	while (l->count > 0) {
		o = lane_settle(l);
		if (o.kind == OWED_RECORD)
			sink_answer(o.record, outcome, r->why);
	}
	conn_free(l->conn);
	redisReaderFree(l->reader);
	free(l->owed);
	free(l);
}

static void
probe_done(struct redis *r, bool is_up, const char *why)
{
	if (r->is_probing) {
		r->is_probing = false;
		sink_probed(r->sink, is_up, why);
	}
	if (r->is_testing) {
		r->is_testing = false;
		sink_tested(r->sink, is_up, why);
	}
}

static void
waiting_fail(struct redis *r, const char *why)
{
	size_t n = r->waiting_count;

	r->waiting_count = 0;
	for (size_t i = 0; i < n; i++)
		sink_answer_rest(r->waiting[i], SINK_UNAVAILABLE, why);
}

/* There is no way to the target now. */
static void
redis_down(struct redis *r)
{
	probe_done(r, false, r->why);
	waiting_fail(r, r->why);
}

static void
lane_down(struct lane *l, enum sink_outcome outcome, const char *why)
{
	struct redis *r = l->redis;
	bool was_main = l == r->main || l->is_sentinel ||
	    r->mode == MODE_CLUSTER;

	lane_end(l, outcome, why);
	if (was_main) {
		r->server_next = (r->server_next + 1) % r->server_count;
		redis_down(r);
	}
}

static void
on_down(struct conn *c, const char *reason)
{
	lane_down(conn_arg(c), SINK_UNAVAILABLE, reason);
}

static void
on_up(struct conn *c)
{
	struct lane *l = conn_arg(c);
	struct redis *r = l->redis;
	char number[24];

	if (r->password != NULL && !l->is_sentinel) {
		if (r->username != NULL)
			LANE_SAY(l, OWED_HELLO, "AUTH", r->username,
			    r->password);
		else
			LANE_SAY(l, OWED_HELLO, "AUTH", r->password);
	}
	if (r->database != 0 && !l->is_sentinel) {
		snprintf(number, sizeof(number), "%lld",
		    (long long)r->database);
		LANE_SAY(l, OWED_HELLO, "SELECT", number);
	}
	if (l->is_sentinel)
		LANE_SAY(l, OWED_MASTER, "SENTINEL",
		    "get-master-addr-by-name", r->master_name);
	else if (r->mode == MODE_CLUSTER && !r->has_slots)
		LANE_SAY(l, OWED_SLOTS, "CLUSTER", "SLOTS");
	else if (r->mode == MODE_SENTINEL)
		LANE_SAY(l, OWED_ROLE, "ROLE");
	else
		LANE_SAY(l, OWED_PING, "PING");
	conn_flush(c);
}

static void on_data(struct conn *c, struct buf *in);

static const struct conn_ops lane_ops = {on_up, on_data, on_down};

static struct lane *
lane_open(struct redis *r, const struct server *s, bool is_sentinel)
{
	struct lane *l = mem_zalloc(1, sizeof(*l));

	l->redis = r;
	l->server = *s;
	l->is_sentinel = is_sentinel;
	l->reader = redisReaderCreate();
	l->next = r->lanes;
	r->lanes = l;
	l->conn = conn_open(sink_loop(r->sink),
	    &(struct conn_options){.host = l->server.host,
		.port = l->server.port,
		.tls = r->tls,
		.server_name = r->server_name,
		.timeout_ms = r->timeout_ms},
	    &lane_ops, l);
	return l;
}

static struct lane *
lane_find(struct redis *r, const struct server *s)
{
	for (struct lane *l = r->lanes; l != NULL; l = l->next)
		if (!l->is_sentinel && l->server.port == s->port &&
		    strcmp(l->server.host, s->host) == 0)
			return l;
	return lane_open(r, s, false);
}

static void
redis_connect(struct redis *r)
{
	const struct server *s = &r->servers[r->server_next % r->server_count];

	if (r->mode == MODE_CLUSTER) {
		if (r->has_slots)
			return;
		for (struct lane *l = r->lanes; l != NULL; l = l->next)
			if (!l->is_ready)
				return;
		if (r->lanes != NULL && r->lanes->is_ready) {
			LANE_SAY(r->lanes, OWED_SLOTS, "CLUSTER", "SLOTS");
			conn_flush(r->lanes->conn);
			return;
		}
		lane_find(r, s);
		return;
	}
	if (r->main != NULL || r->lanes != NULL)
		return;
	if (r->mode == MODE_SENTINEL)
		lane_open(r, s, true);
	else
		r->main = lane_open(r, s, false);
}

/* ---- records ----------------------------------------------------------- */

/* CRC-16/XMODEM, as the cluster specification has it. */
static uint16_t
crc16(const uint8_t *p, size_t n)
{
	uint16_t crc = 0;

	while (n-- > 0) {
		crc ^= (uint16_t)(*p++ << 8);
		for (int i = 0; i < 8; i++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021
						      : crc << 1);
	}
	return crc;
}

/* Of a key, or of what stands in its first {...} that is not empty. */
static unsigned
key_slot(const char *key, size_t n)
{
	const char *open = memchr(key, '{', n), *close = NULL;

	if (open != NULL)
		close = memchr(open, '}', n - (size_t)(open - key));
	if (close != NULL && close > open + 1)
		return crc16((const uint8_t *)open + 1,
			   (size_t)(close - open - 1)) %
		    SLOTS;
	return crc16((const uint8_t *)key, n) % SLOTS;
}

/* Which argument is the key: the first, but for these. */
static size_t
key_index(const char *command, size_t n)
{
	static const struct {
		const char *name;
		size_t index;
	} odd[] = {{"EVAL", 3}, {"EVALSHA", 3}, {"FCALL", 3}, {"BITOP", 2},
	    {"XGROUP", 2}, {"OBJECT", 2}};

	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		if (strlen(odd[i].name) == n &&
		    strncasecmp(odd[i].name, command, n) == 0)
			return odd[i].index;
	return 1;
}

static struct lane *
record_lane(struct redis *r, const char **argv, const size_t *lens)
{
	size_t at = key_index(argv[0], lens[0]);

	if (r->mode != MODE_CLUSTER)
		return r->main;
	if (at >= r->arg_count)
		return r->lanes;
	return r->slots[key_slot(argv[at], lens[at])];
}

/* Renders the command into r->text; offsets, for the text may move. */
static bool
record_render(struct redis *r, const struct record *rec, size_t *ends,
    const char **why)
{
	template_input_set(&r->input, rec);
	buf_clear(&r->text);
	for (size_t i = 0; i < r->arg_count; i++) {
		if (!template_render(r->args[i], &r->input, &r->text, NULL, why))
			return false;
		ends[i] = buf_len(&r->text);
	}
	return true;
}

static void
record_send(struct redis *r, struct sink_record *record, struct lane *to,
    unsigned redirects)
{
	size_t ends[ARGS_MAX], lens[ARGS_MAX];
	const char *argv[ARGS_MAX], *why = NULL;
	const char *base;

	if (!record_render(r, record->rec, ends, &why)) {
		sink_answer(record, SINK_REFUSED, why);
		return;
	}
	base = (const char *)buf_data(&r->text);
	for (size_t i = 0; i < r->arg_count; i++) {
		size_t start = i == 0 ? 0 : ends[i - 1];

		argv[i] = base + start;
		lens[i] = ends[i] - start;
	}
	if (to == NULL)
		to = record_lane(r, argv, lens);
	if (to == NULL || !conn_is_up(to->conn)) {
		/* The node of its slot is being connected, or unknown. */
		sink_answer(record, SINK_UNAVAILABLE,
		    r->why[0] == '\0' ? "its cluster node is not connected"
				      : r->why);
		return;
	}
	lane_send(to,
	    (struct owed){OWED_RECORD, redirects, record},
	    (int)r->arg_count, argv, lens);
}

static bool
redis_is_ready(const struct redis *r)
{
	if (r->mode == MODE_CLUSTER) {
		if (!r->has_slots)
			return false;
		for (const struct lane *l = r->lanes; l != NULL; l = l->next)
			if (!l->is_ready)
				return false;
		return true;
	}
	return r->main != NULL && r->main->is_ready;
}

/* Sends what waits, once there is somebody to send it to. */
static void
redis_pump(struct redis *r)
{
	size_t n = r->waiting_count;

	if (!redis_is_ready(r))
		return;
	probe_done(r, true, NULL);
	r->waiting_count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r->waiting[i]->count; k++)
			record_send(r, r->waiting[i]->records[k], NULL, 0);
}

/* ---- replies ----------------------------------------------------------- */

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381" */
static bool
redirect_parse(const char *text, size_t skip, unsigned *slot,
    struct server *s)
{
	char *end;
	unsigned long v = strtoul(text + skip, &end, 10);

	if (*end != ' ' || v >= SLOTS)
		return false;
	*slot = (unsigned)v;
	return server_parse(slice_str(end + 1), DEFAULT_PORT, s);
}

/* True: it was a redirection, and the record is on its way again. */
static bool
record_redirect(struct redis *r, struct owed o, const char *text)
{
	bool is_ask = strncmp(text, "ASK ", 4) == 0;
	struct server s;
	struct lane *to;
	unsigned slot;

	if (r->mode != MODE_CLUSTER || o.redirects >= REDIRECTS_MAX ||
	    (!is_ask && strncmp(text, "MOVED ", 6) != 0) ||
	    !redirect_parse(text, is_ask ? 4 : 6, &slot, &s))
		return false;
	to = lane_find(r, &s);
	if (!is_ask)
		r->slots[slot] = to;
	if (!conn_is_up(to->conn)) {
		sink_answer(o.record, SINK_UNAVAILABLE,
		    "its slot has moved to a node not yet connected");
		return true;
	}
	if (is_ask)
		LANE_SAY(to, OWED_ASKING, "ASKING");
	record_send(r, o.record, to, o.redirects + 1);
	return true;
}

static void
on_record_reply(struct lane *l, struct owed o, const redisReply *reply)
{
	enum sink_outcome outcome;
	char text[200];

	if (reply->type != REDIS_REPLY_ERROR) {
		sink_answer(o.record, SINK_DELIVERED, NULL);
		return;
	}
	if (record_redirect(l->redis, o, reply->str))
		return;
	snprintf(text, sizeof(text), "%s", reply->str);
	outcome = error_outcome(reply->str);
	sink_answer(
	    o.record, outcome, outcome == SINK_DELIVERED ? NULL : text);
}

static const redisReply *
element(const redisReply *r, size_t i)
{
	return r->type == REDIS_REPLY_ARRAY && i < r->elements ? r->element[i]
							       : NULL;
}

static bool
reply_server(const redisReply *host, const redisReply *port, struct server *s)
{
	long long v;

	if (host == NULL || host->type != REDIS_REPLY_STRING ||
	    (size_t)host->len >= sizeof(s->host) || host->len == 0)
		return false;
	if (port == NULL)
		return false;
	v = port->type == REDIS_REPLY_INTEGER ? port->integer
	    : port->type == REDIS_REPLY_STRING
	    ? strtoll(port->str, NULL, 10)
	    : 0;
	if (v <= 0 || v > 65535)
		return false;
	memcpy(s->host, host->str, (size_t)host->len + 1);
	s->port = (uint16_t)v;
	return true;
}

/* NULL, or why the lane cannot be used. */
static const char *
on_slots(struct lane *l, const redisReply *reply)
{
	struct redis *r = l->redis;
	struct server s;

	if (reply->type != REDIS_REPLY_ARRAY)
		return "it is not a cluster node";
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *range = reply->element[i];
		const redisReply *from = element(range, 0);
		const redisReply *to = element(range, 1);
		const redisReply *node = element(range, 2);
		struct lane *owner;

		if (from == NULL || to == NULL || node == NULL ||
		    from->type != REDIS_REPLY_INTEGER ||
		    to->type != REDIS_REPLY_INTEGER || from->integer < 0 ||
		    to->integer >= SLOTS ||
		    !reply_server(element(node, 0), element(node, 1), &s))
			return "its answer to CLUSTER SLOTS makes no sense";
		owner = lane_find(r, &s);
		for (long long k = from->integer; k <= to->integer; k++)
			r->slots[k] = owner;
	}
	if (reply->elements == 0)
		return "the cluster has no slots yet";
	r->has_slots = true;
	l->is_ready = true;
	return NULL;
}

static const char *
on_master(struct lane *l, const redisReply *reply)
{
	struct redis *r = l->redis;
	struct server s;

	if (!reply_server(element(reply, 0), element(reply, 1), &s))
		return "the sentinel knows no such master";
	r->main = lane_open(r, &s, false);
	return NULL;
}

/* The sentinels' word may be old: ask the server itself. */
static const char *
on_role(struct lane *l, const redisReply *reply)
{
	const redisReply *role = element(reply, 0);

	if (role == NULL || role->type != REDIS_REPLY_STRING ||
	    strcmp(role->str, "master") != 0)
		return "it is not the master (any more)";
	l->is_ready = true;
	return NULL;
}

/* NULL, or why the lane must end. It may not free the lane itself. */
static const char *
on_reply(struct lane *l, struct owed o, const redisReply *reply)
{
	bool is_error = reply->type == REDIS_REPLY_ERROR;

	switch (o.kind) {
	case OWED_RECORD:
		on_record_reply(l, o, reply);
		return NULL;
	case OWED_ASKING:
		return NULL;
	case OWED_HELLO:
	case OWED_PING:
		if (is_error)
			return reply->str;
		if (o.kind == OWED_PING)
			l->is_ready = true;
		return NULL;
	case OWED_MASTER:
		return is_error ? reply->str : on_master(l, reply);
	case OWED_ROLE:
		return is_error ? reply->str : on_role(l, reply);
	case OWED_SLOTS:
		return is_error ? reply->str : on_slots(l, reply);
	}
	return NULL;
}

static void
on_data(struct conn *c, struct buf *in)
{
	struct lane *l = conn_arg(c);
	struct redis *r = l->redis;
	const char *why;
	char text[256];
	void *reply;
	bool is_sentinel_done = false;

	redisReaderFeed(
	    l->reader, (const char *)buf_data(in), buf_len(in));
	buf_clear(in);
	for (;;) {
		if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
			lane_down(l, SINK_UNSURE, "it does not speak RESP");
			return;
		}
		if (reply == NULL)
			break;
		if (l->count == 0) {
			freeReplyObject(reply);
			lane_down(l, SINK_UNSURE, "a reply nobody asked for");
			return;
		}
		is_sentinel_done |= l->is_sentinel;
		why = on_reply(l, lane_settle(l), reply);
		if (why != NULL)
			snprintf(text, sizeof(text), "%s", why);
		freeReplyObject(reply);
		if (why != NULL) {
			lane_down(l, SINK_UNAVAILABLE, text);
			return;
		}
	}
	if (is_sentinel_done)
		lane_end(l, SINK_UNAVAILABLE, "asked");
	redis_pump(r);
}

/* ---- the type ---------------------------------------------------------- */

static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct redis *r = w->data;
	struct lane *l, *next;

	(void)events;
	for (l = r->lanes; l != NULL; l = next) {
		next = l->next;
		if (l->count > 0 &&
		    ev_now(loop) - l->oldest > r->timeout_ms / 1000.0) {
			/* Ends it and, in a cluster, what hangs by it. */
			lane_down(l, SINK_UNSURE, "time-out");
			next = r->lanes;
		}
	}
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct redis *r = w->data;
	struct lane *l, *next;

	(void)loop;
	(void)events;
	for (l = r->lanes; l != NULL; l = next) {
		next = l->next;
		if (conn_is_up(l->conn) && buf_len(conn_out(l->conn)) > 0) {
			conn_flush(l->conn);
			/* A failed write ends lanes: begin again. */
			next = r->lanes == l ? l->next : next;
		}
	}
}

static void *
redis_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct redis *r = mem_zalloc(1, sizeof(*r));
	const char *why;

	r->sink = sink;
	r->mode = (enum mode)opt_choice(o, "mode");
	r->timeout_ms = (uint32_t)opt_int(o, "timeout_ms");
	r->username = opt_string(o, "username");
	r->password = opt_string(o, "password");
	r->master_name = opt_string(o, "sentinel_master_name");
	r->server_name = opt_string(o, "tls.server_name");
	r->database = opt_int(o, "database");
	r->server_count = servers_parse(opt_string(o, "server"),
	    r->mode == MODE_SENTINEL ? SENTINEL_PORT : DEFAULT_PORT,
	    r->servers);
	r->arg_count = opt_count(o, "command");
	r->args = mem_zalloc(r->arg_count, sizeof(*r->args));
	for (size_t i = 0; i < r->arg_count; i++)
		r->args[i] = opt_value_template(o, "command", i);
	r->tls = conn_tls_new(o, &why);
	if (why != NULL)
		sink_reject(sink, "%s", why);
	template_input_init(&r->input);
	ev_timer_init(&r->tick, on_tick, .1, .1);
	r->tick.data = r;
	ev_timer_start(sink_loop(sink), &r->tick);
	ev_prepare_init(&r->flush, on_prepare);
	r->flush.data = r;
	ev_prepare_start(sink_loop(sink), &r->flush);
	return r;
}

static void
redis_send_batch(void *self, struct sink_batch *batch)
{
	struct redis *r = self;

	r->waiting = mem_realloc(
	    r->waiting, (r->waiting_count + 1) * sizeof(*r->waiting));
	r->waiting[r->waiting_count++] = batch;
	redis_connect(r);
	redis_pump(r);
}

static void
redis_probe(void *self)
{
	struct redis *r = self;

	r->is_probing = true;
	if (!redis_is_ready(r)) {
		redis_connect(r);
		return;
	}
	for (struct lane *l = r->lanes; l != NULL; l = l->next)
		LANE_SAY(l, OWED_PING, "PING");
}

static void
redis_test(void *self)
{
	struct redis *r = self;

	r->is_testing = true;
	sink_found(r->sink, "server", "%s:%u", r->servers[0].host,
	    r->servers[0].port);
	redis_connect(r);
}

static void
redis_close(void *self)
{
	struct redis *r = self;
	struct lane *l;

	ev_timer_stop(sink_loop(r->sink), &r->tick);
	ev_prepare_stop(sink_loop(r->sink), &r->flush);
	while ((l = r->lanes) != NULL) {
		l->count = 0;
		lane_end(l, SINK_UNAVAILABLE, "closed");
	}
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
