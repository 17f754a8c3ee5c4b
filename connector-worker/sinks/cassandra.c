/*
 * cassandra - rows in a table of Apache Cassandra, or of what speaks its
 * native protocol (ScyllaDB).
 *
 * The client is our own, version 4 of the protocol, over one connection to
 * one of the nodes, which passes on what belongs to others. The INSERT is
 * prepared once for each connection; many are under way on its streams.
 *
 * An INSERT writes over the row of its primary key, with the same values at
 * each try: it is effectively once whatever the key is made of.
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/sinks/cassandra_sink.h"

#include <stdlib.h>

#define TICK_SECONDS .1
#define LOCAL_ONE 0x0a

static const struct option options[] = {
    {"nodes", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_REQUIRED,
	"host or host:port of the nodes to begin with, several with commas",
	"起始节点的 host 或 host:port，多个以逗号分隔"},
    {"port", OPTION_INT, "9042", 1, 65535, NULL, 0,
	"port of the nodes that are given without one",
	"未指定端口的节点所用端口"},
    {"keyspace", OPTION_STRING, NULL, 1, 48, NULL, OPTION_REQUIRED,
	"keyspace of the table, its exact name",
	"表所在的 keyspace，区分大小写"},
    {"table", OPTION_STRING, NULL, 1, 48, NULL, OPTION_REQUIRED,
	"table, its exact name", "表名，区分大小写"},
    {"columns", OPTION_MAP, NULL, 1, COLUMNS_MAX, NULL,
	OPTION_REQUIRED | OPTION_TEMPLATE,
	"column names to templates of their values, typed as the table says; "
	"a value that is absent leaves its column as it is",
	"列名到取值模板的映射，按表中的类型转换；缺失的值不改动该列"},
    {"username", OPTION_STRING, NULL, 1, 255, NULL, 0,
	"user of the cluster's password login", "登录用户名"},
    {"password", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	"its password", "密码"},
    {"consistency", OPTION_ENUM, "LOCAL_QUORUM", 0, 0,
	"ANY|ONE|TWO|THREE|QUORUM|ALL|LOCAL_QUORUM|EACH_QUORUM|LOCAL_ONE", 0,
	"replicas that must have a row before it counts as delivered",
	"写入视为成功所需的副本"},
    {"batch", OPTION_ENUM, "none", 0, 0, "none|unlogged", 0,
	"unlogged: rows of one partition go together, up to 100",
	"unlogged：同一分区的行合并发送，最多 100 行"},
    {"in_flight", OPTION_INT, "128", 1, 32767, NULL, 0,
	"requests under way at once", "同时进行的请求数"},
    {"timeout_ms", OPTION_INT, "5000", 100, 60000, NULL, 0,
	"how long to wait for a connection or an answer, in milliseconds",
	"等待连接或应答的时间（毫秒）"},
    CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

static void
cassandra_validate(const struct sink_options *o, struct faults *faults)
{
	struct cql_node *nodes = mem_zalloc(NODES_MAX, sizeof(*nodes));
	const char *text = opt_string(o, "nodes");

	if (text != NULL && cql_nodes_parse(text, 1, nodes, NODES_MAX) == 0)
		sink_fault(o, faults, "nodes",
		    "expected host or host:port, at most %d with commas",
		    NODES_MAX);
	free(nodes);
	if (opt_is_set(o, "username") && !opt_is_set(o, "password"))
		sink_fault(o, faults, "username", "needs a password beside it");
	if (opt_is_set(o, "password") && !opt_is_set(o, "username"))
		sink_fault(o, faults, "password", "needs a username beside it");
	conn_tls_validate(o, faults);
}

/* ---- probe and test ------------------------------------------------------ */

void
cassandra_probed(struct cassandra *c, bool is_up, const char *why)
{
	if (c->is_probing) {
		c->is_probing = false;
		sink_probed(c->sink, is_up, why);
	}
	if (c->is_testing) {
		c->is_testing = false;
		sink_tested(c->sink, is_up, why);
	}
}

static void
cassandra_go(struct cassandra *c)
{
	link_connect(c);
	if (c->is_probing || c->is_testing)
		link_probe(c);
	rows_pump(c);
	if (c->link.conn != NULL && conn_is_up(c->link.conn))
		conn_flush(c->link.conn);
}

static void
cassandra_probe(void *self)
{
	struct cassandra *c = self;

	c->is_probing = true;
	cassandra_go(c);
}

static void
cassandra_test(void *self)
{
	struct cassandra *c = self;

	c->is_testing = true;
	cassandra_go(c);
}

/* ---- life ---------------------------------------------------------------- */

static void
on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	link_tick(w->data);
}

/* The last parameter is the row's write time: see cassandra_rows.c. */
static void
statement_make(struct buf *out, const struct sink_options *o)
{
	size_t n = opt_count(o, "columns");

	buf_add_str(out, "INSERT INTO ");
	cql_identifier(out, opt_string(o, "keyspace"));
	buf_add_str(out, ".");
	cql_identifier(out, opt_string(o, "table"));
	for (size_t i = 0; i < n; i++) {
		buf_add_str(out, i == 0 ? " (" : ", ");
		cql_identifier(out, opt_key(o, "columns", i));
	}
	buf_add_str(out, ") VALUES (");
	for (size_t i = 0; i < n; i++)
		buf_add_str(out, i == 0 ? "?" : ", ?");
	buf_add_str(out, ") USING TIMESTAMP ?");
}

static void
streams_make(struct cassandra *c, size_t count)
{
	c->stream_count = c->free_count = count;
	c->streams = mem_zalloc(count, sizeof(*c->streams));
	c->free_streams = mem_zalloc(count, sizeof(*c->free_streams));
	for (size_t i = 0; i < count; i++)
		c->free_streams[i] = (uint16_t)(count - i);
}

static void *
cassandra_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct cassandra *c = mem_zalloc(1, sizeof(*c));
	const char *why;

	c->sink = sink;
	c->jobs_tail = &c->jobs;
	c->username = opt_string(o, "username");
	c->password = opt_string(o, "password");
	c->server_name = opt_string(o, "tls.server_name");
	c->timeout_ms = (uint32_t)opt_int(o, "timeout_ms");
	/* The choices stand in the order of the protocol's numbers. */
	c->consistency = (uint16_t)opt_choice(o, "consistency");
	if (c->consistency == 8)
		c->consistency = LOCAL_ONE;
	c->is_batched = opt_choice(o, "batch") == 1;
	c->node_count = cql_nodes_parse(opt_string(o, "nodes"),
	    (uint16_t)opt_int(o, "port"), c->nodes, NODES_MAX);
	c->column_count = opt_count(o, "columns");
	c->values = mem_zalloc(c->column_count, sizeof(*c->values));
	for (size_t i = 0; i < c->column_count; i++)
		c->values[i] = opt_value_template(o, "columns", i);
	statement_make(&c->statement, o);
	streams_make(c, (size_t)opt_int(o, "in_flight"));
	c->tls = conn_tls_new(o, &why);
	if (why != NULL)
		sink_reject(sink, "%s", why);
	template_input_init(&c->input);
	ev_timer_init(&c->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
	c->tick.data = c;
	ev_timer_start(sink_loop(sink), &c->tick);
	return c;
}

static void
cassandra_send_batch(void *self, struct sink_batch *batch)
{
	struct cassandra *c = self;

	rows_take(c, batch);
	cassandra_go(c);
}

static void
cassandra_close(void *self)
{
	struct cassandra *c = self;

	ev_timer_stop(sink_loop(c->sink), &c->tick);
	if (c->link.conn != NULL)
		conn_free(c->link.conn);
	rows_free(c);
	conn_tls_free(c->tls);
	template_input_fini(&c->input);
	buf_fini(&c->value);
	buf_fini(&c->statement);
	buf_fini(&c->id);
	free(c->values);
	free(c->streams);
	free(c->free_streams);
	free(c);
}

const struct sink_type sink_type = {
    .name = "cassandra",
    .help_en = "writes rows to a table of Apache Cassandra (or ScyllaDB)",
    .help_zh = "将记录写入 Apache Cassandra（或 ScyllaDB）的表",
    .options = options,
    .option_count = sizeof(options) / sizeof(*options),
    .caps = {.effectively_once = true,
	.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION | SINK_ORDER_NONE,
	.paths = path_options,
	.ports = "any"},
    .validate = cassandra_validate,
    .open = cassandra_open,
    .send_batch = cassandra_send_batch,
    .probe = cassandra_probe,
    .test = cassandra_test,
    .close = cassandra_close,
};
