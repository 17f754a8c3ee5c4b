/* links: librabbitmq */
/*
 * rabbitmq - messages to an exchange of RabbitMQ, with publisher confirms.
 *
 * A thread beside the loop has the connection (rabbitmq_link.c). A record is
 * delivered when the server has confirmed it and did not return it; a nack
 * or a return is tried again.
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/conn.h"
#include "connector-worker/held.h"
#include "connector-worker/sinks/rabbitmq_link.h"

#include <stdlib.h>

#define WATCH_SECONDS .5

static const struct option options[] = {
	{"server", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED,
	    "host name or address", "主机名或地址"},
	{"port", OPTION_INT, "5672", 1, 65535, NULL, 0,
	    "port; 5671 is the usual one with TLS",
	    "端口；启用 TLS 时通常为 5671"},
	{"username", OPTION_STRING, NULL, 1, 255, NULL, OPTION_REQUIRED,
	    "user name", "用户名"},
	{"password", OPTION_STRING, NULL, 0, 4096, NULL,
	    OPTION_REQUIRED | OPTION_SECRET, "its password", "密码"},
	{"virtual_host", OPTION_STRING, "/", 1, 255, NULL, 0, "virtual host",
	    "虚拟主机"},
	{"exchange", OPTION_STRING, "", 0, 255, NULL, 0,
	    "the exchange; empty: the routing key is a queue's name",
	    "交换机；为空时路由键即队列名"},
	{"routing_key", OPTION_STRING, "${topic}", 0, 1024, NULL,
	    OPTION_TEMPLATE, "routing key, at most 255 bytes",
	    "路由键，最多 255 字节"},
	{"mandatory", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "a message that reaches no queue is a failure",
	    "未到达任何队列的消息视为失败"},
	{"delivery_mode", OPTION_INT, "2", 1, 2, NULL, 0,
	    "2: kept over a restart of the server, 1: not",
	    "2：服务器重启后保留；1：不保留"},
	{"publisher_confirms", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "wait for the server's word that it has a message; without it "
	    "messages can be lost",
	    "等待服务器确认；关闭后消息可能丢失"},
	{"heartbeat_s", OPTION_INT, "30", 0, 3600, NULL, 0,
	    "seconds between heartbeats, 0: none", "心跳间隔（秒），0 为不使用"},
	{"headers", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "send the record's headers, and its topic as bulkhead-topic",
	    "发送记录的头，并以 bulkhead-topic 发送其主题"},
	{"content_type", OPTION_STRING, "${content_type}", 0, 1024, NULL,
	    OPTION_TEMPLATE, "the content type", "内容类型"},
	{"timeout_ms", OPTION_INT, "10000", 100, 60000, NULL, 0,
	    "how long to wait for a connection or a confirm, in milliseconds",
	    "等待连接或确认的时间（毫秒）"},
	CONN_TLS_OPTIONS,
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

struct rabbitmq {
	struct sink *sink;
	struct rabbitmq_options options;
	struct rabbitmq_link *link;
	struct aside *aside;
	size_t under_way;		/* jobs */
	ev_tstamp last_answer;
	ev_timer watch;
};

static void
rabbitmq_validate(const struct sink_options *o, struct faults *faults)
{
	if (!opt_bool(o, "publisher_confirms") && opt_bool(o, "mandatory"))
		sink_fault(o, faults, "mandatory",
		    "needs publisher_confirms: true; or write mandatory: false");
	conn_tls_validate(o, faults);
}

static void
on_answered(struct job *job, void *arg)
{
	struct rabbitmq *r = arg;
	bool is_up = job->outcome == SINK_DELIVERED;

	r->under_way--;
	r->last_answer = ev_now(sink_loop(r->sink));
	switch (job->kind) {
	case JOB_RECORD:
		held_answer(job->record, job->outcome, job->why);
		return;
	case JOB_PROBE:
		sink_probed(r->sink, is_up, job->why);
		return;
	case JOB_TEST:
		if (is_up && r->options.exchange[0] != '\0')
			sink_found(r->sink, "exchange", "%s",
			    r->options.exchange);
		sink_tested(r->sink, is_up, job->why);
		return;
	}
}

static void
give(struct rabbitmq *r, enum job_kind kind, struct sink_record *record)
{
	if (r->under_way++ == 0)
		r->last_answer = ev_now(sink_loop(r->sink));
	aside_give(r->aside, kind, record);
}

/* The thread hangs in a call: the library has no time limit for sending. */
static void
on_watch(struct ev_loop *loop, ev_timer *w, int events)
{
	struct rabbitmq *r = w->data;
	double limit = r->options.timeout_ms / 1000. * 2 + 1;

	(void)events;
	if (r->under_way > 0 && ev_now(loop) - r->last_answer > limit)
		rabbitmq_link_cut(r->link);
}

static void
rabbitmq_read(const struct sink_options *o, struct rabbitmq_options *to)
{
	*to = (struct rabbitmq_options){
	    .host = opt_string(o, "server"),
	    .port = (int)opt_int(o, "port"),
	    .username = opt_string(o, "username"),
	    .password = opt_string(o, "password"),
	    .virtual_host = opt_string(o, "virtual_host"),
	    .exchange = opt_string(o, "exchange"),
	    .routing_key = opt_template(o, "routing_key"),
	    .content_type = opt_template(o, "content_type"),
	    .mandatory = opt_bool(o, "mandatory"),
	    .confirms = opt_bool(o, "publisher_confirms"),
	    .headers = opt_bool(o, "headers"),
	    .is_persistent = opt_int(o, "delivery_mode") == 2,
	    .heartbeat_s = (int)opt_int(o, "heartbeat_s"),
	    .timeout_ms = (unsigned)opt_int(o, "timeout_ms"),
	    .is_tls = opt_bool(o, "tls.enable"),
	    .verifies = opt_bool(o, "tls.verify"),
	    .ca_file = opt_string(o, "tls.ca_file"),
	    .cert_file = opt_string(o, "tls.cert_file"),
	    .key_file = opt_string(o, "tls.key_file"),
	    .server_name = opt_string(o, "tls.server_name"),
	};
}

static void *
rabbitmq_open(struct sink *sink)
{
	struct rabbitmq *r = mem_zalloc(1, sizeof(*r));

	r->sink = sink;
	rabbitmq_read(sink_opts(sink), &r->options);
	r->options.connector = sink_connector(sink);
	r->link = rabbitmq_link_new(&r->options);
	r->aside = aside_new(
	    sink_loop(sink), rabbitmq_link_run, r->link, on_answered, r);
	if (r->aside == NULL)
		sink_reject(sink, "there is no thread to be had");
	ev_timer_init(&r->watch, on_watch, WATCH_SECONDS, WATCH_SECONDS);
	r->watch.data = r;
	ev_timer_start(sink_loop(sink), &r->watch);
	return r;
}

static void
rabbitmq_send_batch(void *self, struct sink_batch *batch)
{
	held_begin(batch);
	for (size_t i = 0; i < batch->count; i++)
		give(self, JOB_RECORD, batch->records[i]);
}

static void
rabbitmq_probe(void *self)
{
	give(self, JOB_PROBE, NULL);
}

static void
rabbitmq_test(void *self)
{
	struct rabbitmq *r = self;

	sink_found(r->sink, "server", "%s:%d", r->options.host,
	    r->options.port);
	give(r, JOB_TEST, NULL);
}

static void
rabbitmq_close(void *self)
{
	struct rabbitmq *r = self;

	ev_timer_stop(sink_loop(r->sink), &r->watch);
	if (r->aside != NULL) {
		rabbitmq_link_cut(r->link);
		aside_end(r->aside);
	}
	free(r);
}

const struct sink_type sink_type = {
	.name = "rabbitmq",
	.help_en = "publishes records to an exchange of RabbitMQ (AMQP 0-9-1)",
	.help_zh = "将记录发布到 RabbitMQ 的交换机（AMQP 0-9-1）",
	.options = options,
	.option_count = sizeof(options) / sizeof(*options),
	.caps = {.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		SINK_ORDER_NONE,
	    .paths = path_options,
	    .ports = "any"},
	.validate = rabbitmq_validate,
	.open = rabbitmq_open,
	.send_batch = rabbitmq_send_batch,
	.probe = rabbitmq_probe,
	.test = rabbitmq_test,
	.close = rabbitmq_close,
};
