/* links: libmosquitto */
/*
 * mqtt - records to another MQTT broker: a bridge that reconnects.
 *
 * libmosquitto on our loop: its socket is watched here, mosquitto_loop_misc
 * runs on a timer. QoS 1 and 2 publishes are answered by the broker's
 * acknowledgement (of MQTT 5 with its reason code), QoS 0 by the write.
 *
 * A lost connection answers for what was under way with SINK_UNAVAILABLE;
 * the library's own resending is avoided by a new client for each
 * connection, so that a record is never in two hands.
 *
 * Connectors, section 5.
 */
#include "base/mem.h"
#include "connector-worker/held.h"
#include "connector-worker/resolve.h"
#include "connector-worker/sinks/mqtt_message.h"

#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MISC_SECONDS 1.0
#define CONNACK_HEAD 0x20
#define IDS 65536

static const struct option options[] = {
	{"server", OPTION_STRING, NULL, 1, 1024, NULL, OPTION_REQUIRED,
	    "mqtt://host:1883 or mqtts://host:8883",
	    "mqtt://host:1883 或 mqtts://host:8883"},
	{"client_id", OPTION_STRING, NULL, 1, 256, NULL, 0,
	    "client identifier; absent: bulkhead-CONNECTOR",
	    "客户端标识；缺省为 bulkhead-连接器名"},
	{"username", OPTION_STRING, NULL, 1, 1024, NULL, 0, "user name",
	    "用户名"},
	{"password", OPTION_STRING, NULL, 1, 4096, NULL, OPTION_SECRET,
	    "its password", "密码"},
	{"protocol_version", OPTION_ENUM, "5", 0, 0, "3.1.1|5", 0,
	    "version of the protocol; 3.1.1 carries no properties",
	    "协议版本；3.1.1 不携带属性"},
	{"qos", OPTION_INT, "1", 0, 2, NULL, 0, "quality of service",
	    "服务质量"},
	{"retain", OPTION_ENUM, "keep", 0, 0, "keep|true|false", 0,
	    "the retain flag; keep: as it was published",
	    "保留标志；keep 为保持发布时的值"},
	{"topic", OPTION_STRING, "${topic}", 1, 4096, NULL, OPTION_TEMPLATE,
	    "the topic to publish to", "发布的主题"},
	{"keepalive_s", OPTION_INT, "30", 5, 65535, NULL, 0,
	    "keep alive, in seconds", "保活时间（秒）"},
	{"clean_start", OPTION_BOOL, "true", 0, 0, NULL, 0,
	    "begin without an old session of the client identifier",
	    "不沿用旧会话"},
	{"in_flight", OPTION_INT, "100", 1, 65535, NULL, 0,
	    "publishes that may wait for an acknowledgement",
	    "可同时等待确认的发布数"},
	{"timeout_ms", OPTION_INT, "10000", 100, 60000, NULL, 0,
	    "how long to wait for a connection or an acknowledgement, in "
	    "milliseconds",
	    "等待连接或确认的时间（毫秒）"},
	{"tls", OPTION_OBJECT, NULL, 0, 0, NULL, 0, "for mqtts", "用于 mqtts"},
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
};

static const char *const path_options[] = {
    "tls.ca_file", "tls.cert_file", "tls.key_file", NULL};

/* Records of batches that have no place in the window yet. */
struct pending {
	struct sink_record **records;	/* a ring, cap a power of two */
	size_t head, count, cap;
};

struct bridge {
	struct sink *sink;
	struct mosquitto *client;	/* of the connection under way */
	struct resolve *resolve;
	ev_io reader, writer;
	ev_timer misc, deadline;
	ev_prepare flush;
	struct mqtt_server server;
	size_t attempts;		/* chooses the address */
	bool is_v5, is_up, is_connecting;
	bool has_answer;		/* its first byte was looked at */
	int qos, retain;
	const struct template *topic;
	size_t window, in_flight;
	ev_tstamp timeout;
	struct sink_record *by_id[IDS];	/* what the identifier stands for */
	ev_tstamp last_answer;
	bool is_written;	/* the publish under way, at QoS 0 */
	struct pending pending;
	struct template_input input;
	struct buf text, scratch;
	char why[512];
	bool is_probing, is_testing;
};

static void
bridge_validate(const struct sink_options *o, struct faults *faults)
{
	const char *server = opt_string(o, "server");
	struct mqtt_server s = {.is_tls = false};

	if (server != NULL && !mqtt_server_parse(server, &s))
		sink_fault(o, faults, "server",
		    "expected mqtt://host:port or mqtts://host:port");
	else if (server != NULL && !s.is_tls &&
	    (opt_is_set(o, "tls.ca_file") || opt_is_set(o, "tls.cert_file")))
		sink_fault(o, faults, "tls", "has no effect without mqtts://");
	if (opt_is_set(o, "tls.cert_file") != opt_is_set(o, "tls.key_file"))
		sink_fault(o, faults, "tls.cert_file",
		    "tls.cert_file and tls.key_file go together");
	if (opt_is_set(o, "password") && !opt_is_set(o, "username"))
		sink_fault(o, faults, "password", "needs a username beside it");
	/* Identifiers begin anew: an old session may hold the same ones. */
	if (opt_int(o, "qos") == 2 && !opt_bool(o, "clean_start"))
		sink_fault(o, faults, "clean_start",
		    "must be true with qos 2: messages could be lost");
}

/* ---- the connection ------------------------------------------------------ */

static void bridge_connect(struct bridge *b);
static void bridge_pump(struct bridge *b);

static void
probe_done(struct bridge *b, bool is_up, const char *why)
{
	if (b->is_probing) {
		b->is_probing = false;
		sink_probed(b->sink, is_up, why);
	}
	if (b->is_testing) {
		b->is_testing = false;
		sink_tested(b->sink, is_up, why);
	}
}

static struct sink_record *
pending_take(struct pending *p)
{
	struct sink_record *r = p->records[p->head];

	p->head = (p->head + 1) & (p->cap - 1);
	p->count--;
	return r;
}

static void
pending_add(struct pending *p, struct sink_record *r)
{
	if (p->count == p->cap) {
		size_t cap = p->cap == 0 ? 1024 : p->cap * 2;
		struct sink_record **ring = mem_alloc(cap * sizeof(*ring));

		for (size_t i = 0; i < p->count; i++)
			ring[i] = p->records[(p->head + i) & (p->cap - 1)];
		free(p->records);
		p->records = ring;
		p->head = 0;
		p->cap = cap;
	}
	p->records[(p->head + p->count++) & (p->cap - 1)] = r;
}

/* Ends the connection; all that was given to it or waits for it is told. */
static void
bridge_down(struct bridge *b, enum sink_outcome outcome, const char *why)
{
	struct ev_loop *loop = sink_loop(b->sink);
	size_t left = b->pending.count;

	snprintf(b->why, sizeof(b->why), "%s:%u: %.200s", b->server.host,
	    b->server.port, why);
	ev_io_stop(loop, &b->reader);
	ev_io_stop(loop, &b->writer);
	ev_timer_stop(loop, &b->misc);
	ev_timer_stop(loop, &b->deadline);
	if (b->resolve != NULL)
		resolve_cancel(b->resolve);
	b->resolve = NULL;
	b->is_up = b->is_connecting = b->has_answer = false;
	mosquitto_destroy(b->client);
	b->client = NULL;
	for (size_t i = 0; b->in_flight > 0 && i < IDS; i++)
		if (b->by_id[i] != NULL) {
			struct sink_record *r = b->by_id[i];

			b->by_id[i] = NULL;
			b->in_flight--;
			held_answer(r, outcome, b->why);
		}
	while (left-- > 0)
		held_answer(
		    pending_take(&b->pending), SINK_UNAVAILABLE, b->why);
	probe_done(b, false, b->why);
}

static void
watch(struct bridge *b)
{
	struct ev_loop *loop = sink_loop(b->sink);

	if (b->client == NULL)
		return;
	if (mosquitto_want_write(b->client))
		ev_io_start(loop, &b->writer);
	else
		ev_io_stop(loop, &b->writer);
}

static void
check(struct bridge *b, int rc)
{
	if (rc == MOSQ_ERR_SUCCESS || b->client == NULL)
		watch(b);
	else
		bridge_down(b, SINK_UNAVAILABLE, mosquitto_strerror(rc));
}

static void
on_connect(struct mosquitto *client, void *arg, int rc, int flags,
    const mosquitto_property *props)
{
	struct bridge *b = arg;
	uint16_t receive_max;

	(void)client;
	(void)flags;
	b->is_connecting = false;
	if (rc != 0) {
		/* The library ends the connection; on_io sees that. */
		snprintf(b->why, sizeof(b->why), "refused: %s",
		    b->is_v5 ? mosquitto_reason_string(rc)
			     : mosquitto_connack_string(rc));
		return;
	}
	b->window = (size_t)opt_int(sink_opts(b->sink), "in_flight");
	if (mosquitto_property_read_int16(
		props, MQTT_PROP_RECEIVE_MAXIMUM, &receive_max, false) !=
		NULL &&
	    receive_max < b->window)
		b->window = receive_max;
	b->is_up = true;
	ev_timer_stop(sink_loop(b->sink), &b->deadline);
}

static void
on_publish(struct mosquitto *client, void *arg, int id, int reason,
    const mosquitto_property *props)
{
	struct bridge *b = arg;
	struct sink_record *r;
	enum sink_outcome outcome = mqtt_reason_outcome(reason);

	(void)client;
	(void)props;
	/* QoS 0 is written, and said to be, within the call. */
	b->is_written = true;
	if (id <= 0 || id >= IDS || (r = b->by_id[id]) == NULL)
		return;
	b->by_id[id] = NULL;
	b->in_flight--;
	b->last_answer = ev_now(sink_loop(b->sink));
	held_answer(r, outcome,
	    outcome == SINK_DELIVERED ? NULL : mosquitto_reason_string(reason));
}

/*
 * Whether the broker's first byte is a CONNACK's, or not there yet. What
 * else a stranger may send first is not shown to the library: its 2.0.11
 * ends the process by an assertion on some of it. Behind TLS we cannot look.
 */
static bool
answer_is_fit(struct bridge *b)
{
	uint8_t head;

	if (b->has_answer || b->server.is_tls)
		return true;
	if (recv(mosquitto_socket(b->client), &head, 1,
		MSG_PEEK | MSG_DONTWAIT) != 1)
		return true;
	b->has_answer = true;
	return head == CONNACK_HEAD;
}

static void
on_io(struct ev_loop *loop, ev_io *w, int events)
{
	struct bridge *b = w->data;
	int rc = MOSQ_ERR_SUCCESS;
	bool was_up = b->is_up;

	(void)loop;
	if ((events & EV_READ) && !answer_is_fit(b)) {
		bridge_down(b, SINK_UNAVAILABLE, "it does not speak MQTT");
		return;
	}
	b->why[0] = '\0';
	if (events & EV_READ)
		rc = mosquitto_loop_read(b->client, 100);
	if (rc == MOSQ_ERR_SUCCESS && (events & EV_WRITE))
		rc = mosquitto_loop_write(b->client, 100);
	if (rc != MOSQ_ERR_SUCCESS && b->why[0] != '\0') {
		char text[200];

		snprintf(text, sizeof(text), "%.150s", b->why);
		bridge_down(b, SINK_UNAVAILABLE, text);
		return;
	}
	check(b, rc);
	if (b->is_up && !was_up)
		probe_done(b, true, NULL);
	bridge_pump(b);
}

static void
on_misc(struct ev_loop *loop, ev_timer *w, int events)
{
	struct bridge *b = w->data;

	(void)events;
	if (b->in_flight > 0 && ev_now(loop) - b->last_answer > b->timeout) {
		bridge_down(b, SINK_UNSURE, "no acknowledgement in time");
		return;
	}
	check(b, mosquitto_loop_misc(b->client));
}

static void
on_deadline(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	bridge_down(w->data, SINK_UNAVAILABLE, "time-out while connecting");
}

/* A client for one connection; NULL, and why. */
static const char *
client_make(struct bridge *b)
{
	const struct sink_options *o = sink_opts(b->sink);
	const char *id = opt_string(o, "client_id");
	const char *ca = opt_string(o, "tls.ca_file");
	const char *cert = opt_string(o, "tls.cert_file");
	const char *key = opt_string(o, "tls.key_file");
	bool verify = opt_bool(o, "tls.verify");
	char made[300];
	int rc;

	snprintf(made, sizeof(made), "bulkhead-%s", sink_connector(b->sink));
	b->client = mosquitto_new(
	    id == NULL ? made : id, opt_bool(o, "clean_start"), b);
	if (b->client == NULL)
		return "the client cannot be made";
	mosquitto_int_option(b->client, MOSQ_OPT_PROTOCOL_VERSION,
	    b->is_v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	mosquitto_int_option(b->client, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(b->client, MOSQ_OPT_SEND_MAXIMUM, 65535);
	mosquitto_connect_v5_callback_set(b->client, on_connect);
	mosquitto_publish_v5_callback_set(b->client, on_publish);
	if (opt_is_set(o, "username"))
		mosquitto_username_pw_set(b->client, opt_string(o, "username"),
		    opt_string(o, "password"));
	if (!b->server.is_tls)
		return NULL;
	rc = mosquitto_tls_set(b->client, ca,
	    ca == NULL ? "/etc/ssl/certs" : NULL, cert, key, NULL);
	if (rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_tls_insecure_set(b->client, !verify);
	if (rc == MOSQ_ERR_SUCCESS && !verify)
		rc = mosquitto_tls_opts_set(b->client, 0, NULL, NULL);
	return rc == MOSQ_ERR_SUCCESS ? NULL : mosquitto_strerror(rc);
}

/* Each attempt takes the next of the addresses. */
static void
address_choose(const char *addresses, size_t attempt, char *to, size_t size)
{
	const char *at = addresses;
	size_t count = 1;

	for (const char *p = addresses; *p != '\0'; p++)
		count += *p == ',';
	for (attempt %= count; attempt > 0; attempt--)
		at = strchr(at, ',') + 1;
	snprintf(to, size, "%.*s", (int)strcspn(at, ","), at);
}

static void
on_resolved(const char *addresses, const char *error, void *arg)
{
	struct bridge *b = arg;
	const struct sink_options *o = sink_opts(b->sink);
	struct ev_loop *loop = sink_loop(b->sink);
	char address[64];
	const char *why;
	int rc, fd;

	b->resolve = NULL;
	if (addresses == NULL) {
		bridge_down(b, SINK_UNAVAILABLE, error);
		return;
	}
	address_choose(addresses, b->attempts++, address, sizeof(address));
	if ((why = client_make(b)) != NULL) {
		bridge_down(b, SINK_UNAVAILABLE, why);
		return;
	}
	/*
	 * By name where TLS checks it: the resolver has it by now; else by
	 * address, so that nothing is looked up on the loop.
	 */
	rc = mosquitto_connect_async(b->client, b->server.is_tls ? b->server.host : address,
	    b->server.port, (int)opt_int(o, "keepalive_s"));
	fd = mosquitto_socket(b->client);
	if (rc != MOSQ_ERR_SUCCESS || fd == -1) {
		bridge_down(b, SINK_UNAVAILABLE,
		    rc == MOSQ_ERR_SUCCESS ? "no socket"
					   : mosquitto_strerror(rc));
		return;
	}
	ev_io_set(&b->reader, fd, EV_READ);
	ev_io_set(&b->writer, fd, EV_WRITE);
	ev_io_start(loop, &b->reader);
	ev_io_start(loop, &b->writer);
	ev_timer_again(loop, &b->misc);
}

static void
bridge_connect(struct bridge *b)
{
	struct ev_loop *loop = sink_loop(b->sink);

	if (b->is_up || b->is_connecting)
		return;
	b->is_connecting = true;
	b->resolve = resolve_start(loop, b->server.host, on_resolved, b);
	ev_timer_set(&b->deadline, b->timeout, 0.);
	ev_timer_start(loop, &b->deadline);
}

/* ---- records ------------------------------------------------------------- */

static void
record_send(struct bridge *b, struct sink_record *record)
{
	const struct record *rec = record->rec;
	mosquitto_property *props = NULL;
	const char *why = NULL;
	bool retain = b->retain == 0 ? rec->retain : b->retain == 1;
	int id = 0, rc;

	template_input_set(&b->input, rec);
	buf_clear(&b->text);
	if (!template_render(b->topic, &b->input, &b->text, NULL, &why)) {
		held_answer(record, SINK_REFUSED, why);
		return;
	}
	if (b->is_v5 && !mqtt_props_make(rec, &b->scratch, &props)) {
		mosquitto_property_free_all(&props);
		held_answer(record, SINK_REFUSED,
		    "a property has a form that MQTT does not carry");
		return;
	}
	b->is_written = false;
	rc = mosquitto_publish_v5(b->client, &id, buf_cstr(&b->text),
	    (int)rec->payload.len, rec->payload.p, b->qos, retain, props);
	mosquitto_property_free_all(&props);
	if (rc != MOSQ_ERR_SUCCESS) {
		held_answer(
		    record, mqtt_publish_outcome(rc), mosquitto_strerror(rc));
		return;
	}
	if (b->qos == 0 && b->is_written) {
		held_answer(record, SINK_DELIVERED, NULL);
		return;
	}
	if (b->in_flight++ == 0)
		b->last_answer = ev_now(sink_loop(b->sink));
	b->by_id[id & (IDS - 1)] = record;
}

static void
bridge_pump(struct bridge *b)
{
	while (b->is_up && b->pending.count > 0 && b->in_flight < b->window)
		record_send(b, pending_take(&b->pending));
	watch(b);
}

static void
bridge_send_batch(void *self, struct sink_batch *batch)
{
	struct bridge *b = self;

	held_begin(batch);
	for (size_t i = 0; i < batch->count; i++)
		pending_add(&b->pending, batch->records[i]);
	bridge_connect(b);
	bridge_pump(b);
}

/* ---- life ---------------------------------------------------------------- */

static void
bridge_probe(void *self)
{
	struct bridge *b = self;

	b->is_probing = true;
	if (b->is_up)
		/* Acknowledgements came in time, else it were down. */
		probe_done(b, true, NULL);
	else
		bridge_connect(b);
}

static void
bridge_test(void *self)
{
	struct bridge *b = self;

	b->is_testing = true;
	sink_found(b->sink, "server", "%s:%u", b->server.host, b->server.port);
	bridge_connect(b);
}

static void *
bridge_open(struct sink *sink)
{
	const struct sink_options *o = sink_opts(sink);
	struct bridge *b = mem_zalloc(1, sizeof(*b));

	mosquitto_lib_init();
	b->sink = sink;
	mqtt_server_parse(opt_string(o, "server"), &b->server);
	b->is_v5 = opt_choice(o, "protocol_version") == 1;
	b->qos = (int)opt_int(o, "qos");
	b->retain = opt_choice(o, "retain");
	b->topic = opt_template(o, "topic");
	b->timeout = (ev_tstamp)opt_int(o, "timeout_ms") / 1000.;
	b->window = (size_t)opt_int(o, "in_flight");
	template_input_init(&b->input);
	ev_init(&b->reader, on_io);
	ev_init(&b->writer, on_io);
	ev_init(&b->deadline, on_deadline);
	ev_timer_init(&b->misc, on_misc, 0., MISC_SECONDS);
	b->reader.data = b->writer.data = b->misc.data = b->deadline.data = b;
	return b;
}

static void
bridge_close(void *self)
{
	struct bridge *b = self;

	b->pending.count = 0;
	memset(b->by_id, 0, sizeof(b->by_id));
	b->in_flight = 0;
	b->is_probing = b->is_testing = false;
	if (b->client != NULL && b->is_up)
		mosquitto_disconnect(b->client);
	bridge_down(b, SINK_UNAVAILABLE, "closed");
	template_input_fini(&b->input);
	buf_fini(&b->text);
	buf_fini(&b->scratch);
	free(b->pending.records);
	free(b);
	mosquitto_lib_cleanup();
}

const struct sink_type sink_type = {
	.name = "mqtt",
	.help_en = "publishes records to another MQTT broker",
	.help_zh = "将记录发布到另一个 MQTT broker",
	.options = options,
	.option_count = sizeof(options) / sizeof(*options),
	.caps = {.orders = SINK_ORDER_KEY | SINK_ORDER_PARTITION |
		SINK_ORDER_NONE,
	    .paths = path_options,
	    .ports = "any"},
	.validate = bridge_validate,
	.open = bridge_open,
	.send_batch = bridge_send_batch,
	.probe = bridge_probe,
	.test = bridge_test,
	.close = bridge_close,
};
