#include "connector-worker/sinks/rabbitmq_link.h"

#include "base/clock.h"
#include "base/mem.h"
#include "connector-worker/resolve.h"
#include "connector-worker/sinks/rabbitmq_error.h"
#include "connector-worker/sinks/rabbitmq_message.h"

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CHANNEL 1
#define PROBE_CHANNEL 2
#define WINDOW 2000		/* records that wait for their confirm */
#define WINDOW_BYTES (4u << 20)
#define TURN_MS 200

struct rabbitmq_link {
	struct rabbitmq_options options;
	const struct rabbitmq_options *o;	/* = &options */
	struct aside *aside;
	amqp_connection_state_t conn;	/* NULL: there is none */
	struct rabbitmq_message message;
	struct job_queue waiting;	/* not yet sent */
	struct job_queue sent;		/* oldest tag first */
	size_t sent_bytes;
	uint64_t next_tag;
	uint64_t last_ms;		/* when the server last confirmed */
	size_t alone;	/* so many go one at a time: one of them is bad */
	char why[400];
	pthread_mutex_t lock;
	int fd;		/* under the lock: what link_cut shuts, or -1 */
};

struct rabbitmq_link *
rabbitmq_link_new(const struct rabbitmq_options *o)
{
	struct rabbitmq_link *l = mem_zalloc(1, sizeof(*l));

	l->options = *o;
	l->o = &l->options;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	job_queue_init(&l->waiting);
	job_queue_init(&l->sent);
	rabbitmq_message_init(&l->message);
	return l;
}

void
rabbitmq_link_cut(struct rabbitmq_link *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->fd != -1)
		shutdown(l->fd, SHUT_RDWR);
	pthread_mutex_unlock(&l->lock);
}

static void
link_set_fd(struct rabbitmq_link *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	l->fd = fd;
	pthread_mutex_unlock(&l->lock);
}

/* ---- the end of a connection ------------------------------------------- */

static size_t
job_bytes(const struct job *job)
{
	return job->record->rec->payload.len;
}

static void
link_drop(struct rabbitmq_link *l)
{
	if (l->conn == NULL)
		return;
	link_set_fd(l, -1);
	amqp_destroy_connection(l->conn);
	l->conn = NULL;
}

/* outcome is of what was sent; what was not is told that it is down. */
static void
link_down(struct rabbitmq_link *l, enum sink_outcome outcome, const char *why)
{
	struct job *job;

	snprintf(l->why, sizeof(l->why), "%s:%d: %.300s", l->o->host,
	    l->o->port, why);
	link_drop(l);
	while ((job = job_queue_take(&l->sent)) != NULL)
		aside_answer(l->aside, job, outcome, l->why);
	while ((job = job_queue_take(&l->waiting)) != NULL)
		aside_answer(l->aside, job, SINK_UNAVAILABLE, l->why);
	l->alone = 0;
	l->sent_bytes = 0;
}

/*
 * The server closed the channel. If that is the fault of one record under
 * way, they all go again, one at a time, so that it stands alone.
 */
static void
link_closed(struct rabbitmq_link *l, unsigned code, struct slice text)
{
	enum sink_outcome outcome = rabbitmq_close_outcome(code, text);
	char why[300];
	struct job *job;

	snprintf(why, sizeof(why), "%u %.*s", code,
	    text.len > 240 ? 240 : (int)text.len, (const char *)text.p);
	if (!rabbitmq_close_is_of_one(code, text) || l->sent.count == 0) {
		link_down(l,
		    outcome == SINK_REFUSED ? SINK_RETRYABLE : outcome, why);
		return;
	}
	link_drop(l);
	l->sent_bytes = 0;
	if (l->sent.count > 1) {
		l->alone = l->sent.count;
		job_queue_put_back(&l->waiting, &l->sent);
		return;
	}
	job = job_queue_take(&l->sent);
	aside_answer(l->aside, job, SINK_REFUSED, why);
}

static void
link_close_method(struct rabbitmq_link *l, const amqp_method_t *m)
{
	const amqp_channel_close_t *channel = m->decoded;
	const amqp_connection_close_t *connection = m->decoded;

	if (m->id == AMQP_CHANNEL_CLOSE_METHOD)
		link_closed(l, channel->reply_code,
		    slice_of(channel->reply_text.bytes,
			channel->reply_text.len));
	else
		link_closed(l, connection->reply_code,
		    slice_of(connection->reply_text.bytes,
			connection->reply_text.len));
}

/* ---- connecting -------------------------------------------------------- */

/* NULL, or why the server did not do it, in text. */
static const char *
reply_check(amqp_rpc_reply_t r, char *text, size_t size)
{
	const amqp_channel_close_t *channel = r.reply.decoded;
	const amqp_connection_close_t *connection = r.reply.decoded;

	switch (r.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return NULL;
	case AMQP_RESPONSE_NONE:
		return "no answer";
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return amqp_error_string2(r.library_error);
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		break;
	}
	if (r.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
		snprintf(text, size, "%u %.*s", channel->reply_code,
		    (int)channel->reply_text.len,
		    (const char *)channel->reply_text.bytes);
	else if (r.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
		snprintf(text, size, "%u %.*s", connection->reply_code,
		    (int)connection->reply_text.len,
		    (const char *)connection->reply_text.bytes);
	else
		snprintf(text, size, "an unexpected answer");
	return text;
}

/* The library checks names only; an address is checked here as well. */
static const char *
tls_set(const struct rabbitmq_options *o, amqp_socket_t *socket)
{
	SSL_CTX *ctx = amqp_ssl_socket_get_context(socket);
	const char *name = o->server_name == NULL ? o->host : o->server_name;
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

	amqp_ssl_socket_set_ssl_versions(
	    socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
	amqp_ssl_socket_set_verify_peer(socket, o->verifies);
	amqp_ssl_socket_set_verify_hostname(socket, 0);
	if (o->verifies && resolve_is_literal(name))
		X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else if (o->verifies)
		X509_VERIFY_PARAM_set1_host(param, name, 0);
	if (o->ca_file == NULL)
		SSL_CTX_set_default_verify_paths(ctx);
	else if (amqp_ssl_socket_set_cacert(socket, o->ca_file) !=
	    AMQP_STATUS_OK)
		return "tls.ca_file cannot be read as certificates";
	if (o->cert_file != NULL &&
	    amqp_ssl_socket_set_key(socket, o->cert_file, o->key_file) !=
		AMQP_STATUS_OK)
		return "tls.cert_file and tls.key_file cannot be read";
	return NULL;
}

static const char *
login(struct rabbitmq_link *l, char *text, size_t size)
{
	const struct rabbitmq_options *o = l->o;
	amqp_table_entry_t blocked = {amqp_cstring_bytes("connection.blocked"),
	    {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
	amqp_table_entry_t ours[] = {
	    {amqp_cstring_bytes("connection_name"),
		{.kind = AMQP_FIELD_KIND_UTF8,
		    .value.bytes = amqp_cstring_bytes(o->connector)}},
	    {amqp_cstring_bytes("capabilities"),
		{.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, &blocked}}}};
	amqp_table_t properties = {2, ours};
	const char *why;

	why = reply_check(amqp_login_with_properties(l->conn, o->virtual_host,
			      PROBE_CHANNEL, AMQP_DEFAULT_FRAME_SIZE,
			      o->heartbeat_s,
			      &properties, AMQP_SASL_METHOD_PLAIN, o->username,
			      o->password),
	    text, size);
	if (why != NULL)
		return why;
	amqp_channel_open(l->conn, CHANNEL);
	why = reply_check(amqp_get_rpc_reply(l->conn), text, size);
	if (why != NULL || !o->confirms)
		return why;
	amqp_confirm_select(l->conn, CHANNEL);
	return reply_check(amqp_get_rpc_reply(l->conn), text, size);
}

/* NULL, or why it could not. */
static const char *
link_open(struct rabbitmq_link *l, char *text, size_t size)
{
	const struct rabbitmq_options *o = l->o;
	struct timeval timeout = {o->timeout_ms / 1000,
	    o->timeout_ms % 1000 * 1000};
	amqp_socket_t *socket;
	const char *why;
	int rc;

	l->conn = amqp_new_connection();
	socket = o->is_tls ? amqp_ssl_socket_new(l->conn)
			   : amqp_tcp_socket_new(l->conn);
	if (socket == NULL)
		return "no socket";
	if (o->is_tls && (why = tls_set(o, socket)) != NULL)
		return why;
	rc = amqp_socket_open_noblock(socket, o->host, o->port, &timeout);
	if (rc != AMQP_STATUS_OK)
		return amqp_error_string2(rc);
	link_set_fd(l, amqp_socket_get_sockfd(socket));
	amqp_set_handshake_timeout(l->conn, &timeout);
	amqp_set_rpc_timeout(l->conn, &timeout);
	why = login(l, text, size);
	l->next_tag = 1;
	l->last_ms = clock_mono_ms();
	return why;
}

static bool
link_connect(struct rabbitmq_link *l)
{
	const char *why;
	char text[300];

	if (l->conn != NULL)
		return true;
	why = link_open(l, text, sizeof(text));
	if (why == NULL)
		return true;
	link_down(l, SINK_UNAVAILABLE, why);
	return false;
}

/* ---- what the server says ------------------------------------------------ */

static void
confirm(struct rabbitmq_link *l, struct job *job, bool is_ack)
{
	l->sent_bytes -= job_bytes(job);
	if (l->alone > 0)
		l->alone--;
	if (job->note != NULL)
		aside_answer(l->aside, job, SINK_RETRYABLE, job->note);
	else if (is_ack)
		aside_answer(l->aside, job, SINK_DELIVERED, NULL);
	else
		aside_answer(l->aside, job, SINK_RETRYABLE,
		    "the server does not confirm it (nack)");
}

static void
on_confirm(struct rabbitmq_link *l, uint64_t tag, bool is_multiple, bool is_ack)
{
	struct job_queue rest;
	struct job *job;

	l->last_ms = clock_mono_ms();
	if (is_multiple) {
		while (l->sent.head != NULL && l->sent.head->number <= tag)
			confirm(l, job_queue_take(&l->sent), is_ack);
		return;
	}
	/* Mostly the first; the ones before it keep their place. */
	job_queue_init(&rest);
	while ((job = job_queue_take(&l->sent)) != NULL) {
		if (job->number == tag) {
			confirm(l, job, is_ack);
			break;
		}
		job_queue_add(&rest, job);
		if (job->number > tag)
			break;
	}
	job_queue_put_back(&l->sent, &rest);
}

static bool
job_has_id(const struct job *job, struct slice id)
{
	const struct record *rec = job->record->rec;
	char text[LOG_ID_MAX];
	size_t n = log_id_put(&(struct log_id){.stream = rec->stream,
				  .incarnation = rec->incarnation,
				  .partition = rec->partition,
				  .offset = rec->offset},
	    text);

	return slice_eq(slice_of(text, n), id);
}

/* Comes before the record's confirm; it says which by message_id only. */
static bool
on_return(struct rabbitmq_link *l, const amqp_basic_return_t *returned)
{
	char why[300];
	amqp_message_t m;
	struct job *job;

	snprintf(why, sizeof(why), "returned: %u %.*s", returned->reply_code,
	    (int)returned->reply_text.len,
	    (const char *)returned->reply_text.bytes);
	if (reply_check(amqp_read_message(l->conn, CHANNEL, &m, 0), why,
		sizeof(why)) != NULL) {
		link_down(l, SINK_UNSURE, "cut within a returned message");
		return false;
	}
	for (job = l->sent.head; job != NULL; job = job->next)
		if (job->note == NULL &&
		    job_has_id(job, slice_of(m.properties.message_id.bytes,
					m.properties.message_id.len))) {
			job->note = mem_strdup(why);
			break;
		}
	amqp_destroy_message(&m);
	return true;
}

/* False: the connection is over. */
static bool
on_method(struct rabbitmq_link *l, const amqp_method_t *m)
{
	const amqp_basic_ack_t *ack = m->decoded;
	const amqp_basic_nack_t *nack = m->decoded;
	const amqp_connection_blocked_t *blocked = m->decoded;
	char why[300];

	switch (m->id) {
	case AMQP_BASIC_ACK_METHOD:
		on_confirm(l, ack->delivery_tag, ack->multiple, true);
		return true;
	case AMQP_BASIC_NACK_METHOD:
		on_confirm(l, nack->delivery_tag, nack->multiple, false);
		return true;
	case AMQP_BASIC_RETURN_METHOD:
		return on_return(l, m->decoded);
	case AMQP_CONNECTION_BLOCKED_METHOD:
		snprintf(why, sizeof(why), "the server takes no messages: %.*s",
		    (int)blocked->reason.len,
		    (const char *)blocked->reason.bytes);
		link_down(l, SINK_UNAVAILABLE, why);
		return false;
	case AMQP_CHANNEL_CLOSE_METHOD:
	case AMQP_CONNECTION_CLOSE_METHOD:
		link_close_method(l, m);
		return false;
	default:
		return true;
	}
}

/* Takes what is there; sends a heartbeat when it is time for one. */
static void
link_read(struct rabbitmq_link *l)
{
	struct timeval none = {0, 0};
	amqp_frame_t frame;
	int rc;

	while (l->conn != NULL) {
		rc = amqp_simple_wait_frame_noblock(l->conn, &frame, &none);
		if (rc == AMQP_STATUS_TIMEOUT)
			break;
		if (rc != AMQP_STATUS_OK) {
			link_down(l, SINK_UNAVAILABLE, amqp_error_string2(rc));
			return;
		}
		if (frame.frame_type == AMQP_FRAME_METHOD &&
		    !on_method(l, &frame.payload.method))
			return;
	}
	if (l->conn != NULL)
		amqp_maybe_release_buffers(l->conn);
}

/* ---- jobs -------------------------------------------------------------- */

static void
record_send(struct rabbitmq_link *l, struct job *job)
{
	const struct rabbitmq_options *o = l->o;
	struct rabbitmq_message *m = &l->message;
	const char *why = NULL;
	int rc;

	if (!rabbitmq_message_set(m, o, job->record->rec, &why)) {
		if (l->alone > 0)
			l->alone--;
		aside_answer(l->aside, job, SINK_REFUSED, why);
		return;
	}
	rc = amqp_basic_publish(l->conn, CHANNEL,
	    amqp_cstring_bytes(o->exchange), m->routing_key, o->mandatory, 0,
	    &m->properties, m->body);
	if (rc == AMQP_STATUS_OK && !o->confirms) {
		aside_answer(l->aside, job, SINK_DELIVERED, NULL);
		return;
	}
	if (l->sent.count == 0)
		l->last_ms = clock_mono_ms();
	job->number = l->next_tag++;
	l->sent_bytes += job_bytes(job);
	job_queue_add(&l->sent, job);
	if (rc != AMQP_STATUS_OK)
		link_down(l, SINK_UNAVAILABLE, amqp_error_string2(rc));
}

/* A channel opened and closed: the server has to answer twice. */
static void
probe_run(struct rabbitmq_link *l, struct job *job)
{
	const char *why = NULL;
	char text[300];

	amqp_channel_open(l->conn, PROBE_CHANNEL);
	why = reply_check(amqp_get_rpc_reply(l->conn), text, sizeof(text));
	if (why == NULL && job->kind == JOB_TEST && l->o->exchange[0] != '\0') {
		amqp_exchange_declare(l->conn, PROBE_CHANNEL,
		    amqp_cstring_bytes(l->o->exchange),
		    amqp_cstring_bytes("direct"), 1, 0, 0, 0,
		    amqp_empty_table);
		why = reply_check(
		    amqp_get_rpc_reply(l->conn), text, sizeof(text));
	}
	if (why == NULL)
		why = reply_check(amqp_channel_close(l->conn, PROBE_CHANNEL,
				      AMQP_REPLY_SUCCESS),
		    text, sizeof(text));
	aside_answer(l->aside, job, why == NULL ? SINK_DELIVERED
						: SINK_UNAVAILABLE, why);
	if (why != NULL)
		link_down(l, SINK_UNSURE, why);
}

static void
link_send(struct rabbitmq_link *l)
{
	struct job *job;

	while (l->waiting.head != NULL) {
		if (!link_connect(l))
			return;
		if (l->waiting.head->kind == JOB_RECORD &&
		    (l->sent.count >= (l->alone > 0 ? 1 : WINDOW) ||
			l->sent_bytes > WINDOW_BYTES))
			return;
		job = job_queue_take(&l->waiting);
		if (job->kind == JOB_RECORD)
			record_send(l, job);
		else
			probe_run(l, job);
		/* Confirms are taken while it sends. */
		if (l->conn != NULL && l->sent.count % 64 == 0)
			link_read(l);
	}
}

static void
link_turn(struct rabbitmq_link *l)
{
	struct pollfd fds[2] = {{aside_fd(l->aside), POLLIN, 0},
	    {l->conn == NULL ? -1 : amqp_get_sockfd(l->conn), POLLIN, 0}};
	bool has_bytes = l->conn != NULL &&
	    (amqp_data_in_buffer(l->conn) || amqp_frames_enqueued(l->conn));

	poll(fds, 2, has_bytes ? 0 : TURN_MS);
	job_queue_add_all(&l->waiting, aside_take(l->aside));
	if (l->conn != NULL)
		link_read(l);
	link_send(l);
	if (l->sent.count > 0 &&
	    clock_mono_ms() - l->last_ms > l->o->timeout_ms)
		link_down(l, SINK_UNSURE, "no confirm in time");
}

void
rabbitmq_link_run(struct aside *a, void *state)
{
	struct rabbitmq_link *l = state;

	l->aside = a;
	while (!aside_is_ending(a))
		link_turn(l);
	link_down(l, SINK_UNAVAILABLE, "closed");
	rabbitmq_message_fini(&l->message);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
