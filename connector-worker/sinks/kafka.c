/* links: rdkafka */
/*
 * kafka - records to a Kafka cluster (or Event Hubs, Confluent, Redpanda).
 *
 * librdkafka owns its threads; its events come to the loop through a
 * pipe (rd_kafka_queue_io_event_enable), and nothing of ours runs on a
 * thread of its. Every delivery report is an answer of its own: a record is
 * delivered when the broker said so, with the acks that were asked for.
 *
 * A batch that was given to librdkafka stays with it until it reports, at
 * most message_timeout_ms; the library itself retries what may be retried,
 * idempotently where `idempotence` is on.
 *
 * Connectors, section 5.
 */
#include "base/log_layout.h"
#include "base/mem.h"
#include "connector-worker/held.h"
#include "connector-worker/sinks/kafka_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EVENTS_PER_TURN 2000
#define PROBE_TIMEOUT_MS 2000

static const struct option options[] = {
	{"bootstrap_servers", OPTION_STRING, NULL, 1, 4096, NULL,
	    OPTION_REQUIRED, "host:port of some brokers, with commas",
	    "部分 broker 的 host:port，以逗号分隔"},
	{"topic", OPTION_STRING, NULL, 1, 1024, NULL,
	    OPTION_REQUIRED | OPTION_TEMPLATE, "the topic to produce to",
	    "目标主题"},
	{"key", OPTION_STRING, "${topic}", 0, 4096, NULL, OPTION_TEMPLATE,
	    "the record's key, which chooses its partition",
	    "记录的键，决定分区"},
	{"compression", OPTION_ENUM, "none", 0, 0, "none|gzip|snappy|lz4|zstd",
	    0, "compression of the batches", "批次压缩方式"},
	{"acks", OPTION_ENUM, "all", 0, 0, "0|1|all", 0,
	    "which replicas must have it", "需要确认的副本"},
	{"idempotence", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "let the broker drop what a retry of the client library doubles",
	    "由 broker 去除客户端库重试造成的重复"},
	{"linger_ms", OPTION_INT, "5", 0, 60000, NULL, 0,
	    "how long the library waits to fill a batch, in milliseconds",
	    "客户端库等待填满批次的时间"},
	{"batch_size", OPTION_SIZE, "1MiB", 1, 1000000000, NULL, 0,
	    "bytes of a batch at most", "批次最大字节数"},
	{"message_timeout_ms", OPTION_INT, "30000", 1000, 900000, NULL, 0,
	    "how long a record may be on its way, in milliseconds",
	    "一条记录最长的发送时间"},
	{"security", OPTION_ENUM, "plaintext", 0, 0,
	    "plaintext|ssl|sasl_plaintext|sasl_ssl", 0,
	    "how to talk to the brokers", "与 broker 的通信方式"},
	{"sasl", OPTION_OBJECT, NULL, 0, 0, NULL, 0, "login", "登录"},
	{"sasl.mechanism", OPTION_ENUM, "PLAIN", 0, 0,
	    "PLAIN|SCRAM-SHA-256|SCRAM-SHA-512", 0, "kind of login",
	    "登录机制"},
	{"sasl.username", OPTION_STRING, NULL, 1, 1024, NULL, 0, "user name",
	    "用户名"},
	{"sasl.password", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	    "its password", "密码"},
	{"tls", OPTION_OBJECT, NULL, 0, 0, NULL, 0,
	    "for security ssl and sasl_ssl", "用于 ssl 与 sasl_ssl"},
	{"tls.ca_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	    "PEM file of the authorities to trust; absent: the system's",
	    "受信任 CA 的 PEM 文件；缺省使用系统的"},
	{"tls.cert_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	    "PEM file of our certificate", "客户端证书的 PEM 文件"},
	{"tls.key_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,
	    "PEM file of our private key", "客户端私钥的 PEM 文件"},
	{"tls.verify", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "verify the broker's certificate and name",
	    "校验 broker 的证书和名称"},
	{"headers", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "send the record's headers, and its id as bulkhead-id",
	    "发送记录的头，并以 bulkhead-id 发送其 id"},
	{"properties", OPTION_MAP, NULL, 0, 200, NULL, 0,
	    "any further property of librdkafka",
	    "librdkafka 的其他任意属性"},
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

struct kafka {
	struct sink *sink;
	rd_kafka_t *rk;
	rd_kafka_queue_t *events;
	int wake[2];			/* librdkafka writes, we read */
	ev_io io;
	const struct template *topic, *key;
	bool has_headers;
	struct template_input input;
	struct buf topic_text, key_text;
	char fatal[256];		/* the library's own end, or "" */
	char error[256];		/* its last word on the brokers, or "" */
	/* One metadata call at a time, on a thread: it blocks. */
	pthread_t prober;
	ev_async probed;
	bool is_probing, is_testing;
	rd_kafka_resp_err_t probe_error;
	int probe_brokers;
};

/* ---- events ------------------------------------------------------------- */

/* One topic for all that does not exist is not the record's fault. */
static enum sink_outcome
report_outcome(const struct kafka *k, rd_kafka_resp_err_t e)
{
	if ((e == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		e == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		e == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) &&
	    template_is_constant(k->topic))
		return SINK_UNAVAILABLE;
	return kafka_error_outcome(e);
}

static void
on_reports(struct kafka *k, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *m;
	enum sink_outcome outcome;
	char why[400];

	while ((m = rd_kafka_event_message_next(event)) != NULL) {
		outcome = report_outcome(k, m->err);
		snprintf(why, sizeof(why), "%s%s%s", rd_kafka_err2str(m->err),
		    k->error[0] == '\0' ? "" : ": ", k->error);
		/* With acks 0 nobody says more than that it was sent. */
		if (outcome == SINK_DELIVERED)
			k->error[0] = '\0';
		held_answer(m->_private, outcome,
		    outcome == SINK_DELIVERED ? NULL : why);
	}
}

static void
on_error(struct kafka *k, rd_kafka_event_t *event)
{
	char text[200];

	/* "All are down" says less than why the last of them is. */
	if (k->error[0] == '\0' ||
	    rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(k->error, sizeof(k->error), "%s",
		    rd_kafka_event_error_string(event));
	if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__FATAL &&
	    rd_kafka_fatal_error(k->rk, text, sizeof(text)) !=
		RD_KAFKA_RESP_ERR_NO_ERROR)
		snprintf(k->fatal, sizeof(k->fatal),
		    "the client library gave up: %s", text);
}

static void kafka_renew(struct kafka *k);

static void
on_wake(struct ev_loop *loop, ev_io *w, int events)
{
	struct kafka *k = w->data;
	rd_kafka_event_t *event;
	char drain[256];

	(void)loop;
	(void)events;
	while (read(k->wake[0], drain, sizeof(drain)) == sizeof(drain))
		;
	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		if ((event = rd_kafka_queue_poll(k->events, 0)) == NULL)
			break;
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
			on_reports(k, event);
		else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
			on_error(k, event);
		rd_kafka_event_destroy(event);
		if (i == EVENTS_PER_TURN - 1 &&
		    write(k->wake[1], "1", 1) == -1)
			break;
	}
	/* A fatal error ends the producer: all that it had was reported. */
	if (k->fatal[0] != '\0' && rd_kafka_outq_len(k->rk) == 0)
		kafka_renew(k);
}

/* ---- sending ------------------------------------------------------------ */

static rd_kafka_headers_t *
record_headers(struct kafka *k, const struct record *rec)
{
	rd_kafka_headers_t *h;
	char id[LOG_ID_MAX];
	size_t n;

	if (!k->has_headers)
		return NULL;
	h = rd_kafka_headers_new(rec->headers_len + 1);
	for (size_t i = 0; i < rec->headers_len; i++)
		rd_kafka_header_add(h, (const char *)rec->headers[i].name.p,
		    (ssize_t)rec->headers[i].name.len,
		    rec->headers[i].value.p,
		    (ssize_t)rec->headers[i].value.len);
	n = log_id_put(&(struct log_id){.stream = rec->stream,
			   .incarnation = rec->incarnation,
			   .partition = rec->partition,
			   .offset = rec->offset},
	    id);
	rd_kafka_header_add(h, "bulkhead-id", -1, id, (ssize_t)n);
	return h;
}

static void
record_send(struct kafka *k, struct sink_record *record)
{
	const struct record *rec = record->rec;
	rd_kafka_headers_t *headers;
	const char *why = NULL;
	rd_kafka_resp_err_t e;
	enum sink_outcome outcome;

	template_input_set(&k->input, rec);
	buf_clear(&k->topic_text);
	buf_clear(&k->key_text);
	if (!template_render(k->topic, &k->input, &k->topic_text, NULL, &why) ||
	    !template_render(k->key, &k->input, &k->key_text, NULL, &why)) {
		held_answer(record, SINK_REFUSED, why);
		return;
	}
	if (!kafka_topic_is_valid(buf_slice(&k->topic_text))) {
		held_answer(record, SINK_REFUSED,
		    "it makes no topic that Kafka takes");
		return;
	}
	headers = record_headers(k, rec);
	e = rd_kafka_producev(k->rk, RD_KAFKA_V_TOPIC(buf_cstr(&k->topic_text)),
	    RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
	    RD_KAFKA_V_KEY(buf_data(&k->key_text), buf_len(&k->key_text)),
	    RD_KAFKA_V_VALUE((void *)(uintptr_t)rec->payload.p,
		rec->payload.len),
	    RD_KAFKA_V_TIMESTAMP(rec->timestamp_ms),
	    RD_KAFKA_V_OPAQUE(record),
	    headers == NULL ? (int)RD_KAFKA_VTYPE_END
			    : (int)RD_KAFKA_VTYPE_HEADERS,
	    headers, RD_KAFKA_V_END);
	if (e == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	if (headers != NULL)
		rd_kafka_headers_destroy(headers);
	outcome = report_outcome(k, e);
	held_answer(record, outcome, rd_kafka_err2str(e));
}

static void
kafka_send_batch(void *self, struct sink_batch *batch)
{
	struct kafka *k = self;

	if (k->rk == NULL || k->fatal[0] != '\0') {
		sink_answer_rest(batch, SINK_UNAVAILABLE,
		    k->fatal[0] == '\0' ? "no producer" : k->fatal);
		return;
	}
	held_begin(batch);
	for (size_t i = 0; i < batch->count; i++)
		record_send(k, batch->records[i]);
}

/* ---- life --------------------------------------------------------------- */

static bool
kafka_start(struct kafka *k)
{
	rd_kafka_conf_t *conf;
	const char *option;
	char text[256] = "";

	conf = kafka_conf_make(sink_opts(k->sink), text, sizeof(text), &option);
	if (conf == NULL) {
		sink_reject(k->sink, "config.%s: %s", option, text);
		return false;
	}
	rd_kafka_conf_set_events(
	    conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
	k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
	if (k->rk == NULL) {
		rd_kafka_conf_destroy(conf);
		sink_reject(k->sink, "%s", text);
		return false;
	}
	k->events = rd_kafka_queue_get_main(k->rk);
	rd_kafka_queue_io_event_enable(k->events, k->wake[1], "1", 1);
	/*
	 * It writes when an empty queue gets its first event: one that came
	 * before this line would keep all later ones unheard. A full pipe
	 * wakes us as well.
	 */
	return write(k->wake[1], "1", 1) == 1 || errno == EAGAIN;
}

static void
kafka_end(struct kafka *k)
{
	if (k->rk == NULL)
		return;
	rd_kafka_queue_io_event_enable(k->events, -1, NULL, 0);
	rd_kafka_queue_destroy(k->events);
	rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE |
		RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_destroy_flags(k->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	k->rk = NULL;
}

/* After a fatal error of the idempotent producer: a new one. */
static void
kafka_renew(struct kafka *k)
{
	if (k->is_probing || k->is_testing)
		return;
	kafka_end(k);
	k->fatal[0] = '\0';
	kafka_start(k);
}

static void *
probe_run(void *arg)
{
	struct kafka *k = arg;
	const struct rd_kafka_metadata *metadata = NULL;

	k->probe_error =
	    rd_kafka_metadata(k->rk, 0, NULL, &metadata, PROBE_TIMEOUT_MS);
	k->probe_brokers = metadata == NULL ? 0 : metadata->broker_cnt;
	rd_kafka_metadata_destroy(metadata);
	ev_async_send(sink_loop(k->sink), &k->probed);
	return NULL;
}

static void
on_probed(struct ev_loop *loop, ev_async *w, int events)
{
	struct kafka *k = w->data;
	bool was_test = k->is_testing, is_up;

	(void)loop;
	(void)events;
	if (!k->is_probing && !k->is_testing)
		return;
	pthread_join(k->prober, NULL);
	k->is_probing = k->is_testing = false;
	is_up = k->probe_error == RD_KAFKA_RESP_ERR_NO_ERROR &&
	    k->probe_brokers > 0;
	if (was_test) {
		sink_found(k->sink, "brokers", "%d", k->probe_brokers);
		sink_tested(k->sink, is_up,
		    k->error[0] == '\0' ? rd_kafka_err2str(k->probe_error)
				       : k->error);
	} else {
		sink_probed(k->sink, is_up, rd_kafka_err2str(k->probe_error));
	}
	if (k->fatal[0] != '\0' && rd_kafka_outq_len(k->rk) == 0)
		kafka_renew(k);
}

static void
probe_start(struct kafka *k)
{
	if (pthread_create(&k->prober, NULL, probe_run, k) == 0)
		return;
	if (k->is_testing)
		sink_tested(k->sink, false, "no thread for the probe");
	else
		sink_probed(k->sink, false, "no thread for the probe");
	k->is_probing = k->is_testing = false;
}

static void
kafka_probe(void *self)
{
	struct kafka *k = self;

	k->is_probing = true;
	probe_start(k);
}

static void
kafka_test(void *self)
{
	struct kafka *k = self;

	k->is_testing = true;
	probe_start(k);
}

static void *
kafka_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct kafka *k = mem_zalloc(1, sizeof(*k));

	k->sink = sink;
	k->topic = opt_template(o, "topic");
	k->key = opt_template(o, "key");
	k->has_headers = opt_bool(o, "headers");
	template_input_init(&k->input);
	if (pipe2(k->wake, O_NONBLOCK | O_CLOEXEC) == -1)
		sink_reject(sink, "no pipe: %s", strerror(errno));
	ev_io_init(&k->io, on_wake, k->wake[0], EV_READ);
	k->io.data = k;
	ev_io_start(sink_loop(sink), &k->io);
	ev_async_init(&k->probed, on_probed);
	k->probed.data = k;
	ev_async_start(sink_loop(sink), &k->probed);
	kafka_start(k);
	return k;
}

static void
kafka_flush(void *self)
{
	struct kafka *k = self;

	/* linger_ms is the library's; it ends by itself. */
	if (k->rk != NULL)
		rd_kafka_poll(k->rk, 0);
}

static void
kafka_close(void *self)
{
	struct kafka *k = self;

	if (k->is_probing || k->is_testing)
		pthread_join(k->prober, NULL);
	ev_io_stop(sink_loop(k->sink), &k->io);
	ev_async_stop(sink_loop(k->sink), &k->probed);
	kafka_end(k);
	close(k->wake[0]);
	close(k->wake[1]);
	template_input_fini(&k->input);
	buf_fini(&k->topic_text);
	buf_fini(&k->key_text);
	free(k);
}

const struct sink_type sink_type = {
	.name = "kafka",
	.help_en = "produces records to Kafka (or Event Hubs, Confluent, "
		   "Redpanda)",
	.help_zh = "将记录写入 Kafka（或 Event Hubs、Confluent、Redpanda）",
	.options = options,
	.option_count = sizeof(options) / sizeof(*options),
	.caps = {.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		SINK_ORDER_NONE,
	    .paths = path_options,
	    .ports = "any"},
	.validate = kafka_conf_validate,
	.open = kafka_open,
	.send_batch = kafka_send_batch,
	.probe = kafka_probe,
	.test = kafka_test,
	.flush = kafka_flush,
	.close = kafka_close,
};
