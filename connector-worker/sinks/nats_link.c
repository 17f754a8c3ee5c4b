#include "connector-worker/sinks/nats_link.h"

#include "base/clock.h"
#include "base/log_layout.h"
#include "base/mem.h"
#include "connector-worker/sinks/nats_text.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#define WINDOW 2000		/* messages that wait for their acknowledgement */
#define WINDOW_BYTES (8u << 20)
#define TURN_MS 100
#define FULL_TURN_MS 2
#define CLOSE_MS 1000

/* A message that the library has, by its address. */
struct flight {
	natsMsg *msg;
	struct job *job;
	size_t bytes;
	UT_hash_handle hh;
};

struct nats_link {
	struct nats_options o;
	struct aside *aside;
	size_t url_next;
	natsConnection *conn;		/* NULL: there is none */
	jsCtx *js;
	struct job_queue waiting;	/* not yet sent */
	struct template_input input;
	struct buf text;
	char why[400];
	/* Under the lock: the library's threads answer. */
	pthread_mutex_t lock;
	struct flight *flights;		/* in the order they were sent */
	size_t flight_bytes;
	uint64_t last_ms;		/* of the last acknowledgement */
};

struct nats_link *
nats_link_new(const struct nats_options *o)
{
	struct nats_link *l = mem_zalloc(1, sizeof(*l));

	l->o = *o;
	pthread_mutex_init(&l->lock, NULL);
	job_queue_init(&l->waiting);
	template_input_init(&l->input);
	buf_init(&l->text);
	return l;
}

/* ---- messages under way -------------------------------------------------- */

static void
flight_add(struct nats_link *l, natsMsg *msg, struct job *job)
{
	struct flight *f = mem_zalloc(1, sizeof(*f));

	f->msg = msg;
	f->job = job;
	f->bytes = job->record->rec->payload.len;
	pthread_mutex_lock(&l->lock);
	if (l->flights == NULL)
		l->last_ms = clock_mono_ms();
	HASH_ADD_PTR(l->flights, msg, f);
	l->flight_bytes += f->bytes;
	pthread_mutex_unlock(&l->lock);
}

/* Under the lock. */
static struct job *
flight_end(struct nats_link *l, struct flight *f)
{
	struct job *job = f->job;

	HASH_DEL(l->flights, f);
	l->flight_bytes -= f->bytes;
	l->last_ms = clock_mono_ms();
	free(f);
	return job;
}

/* NULL: it was answered already. */
static struct job *
flight_take(struct nats_link *l, natsMsg *msg)
{
	struct flight *f;
	struct job *job = NULL;

	pthread_mutex_lock(&l->lock);
	HASH_FIND_PTR(l->flights, &msg, f);
	if (f != NULL)
		job = flight_end(l, f);
	pthread_mutex_unlock(&l->lock);
	return job;
}

static size_t
flights_count(struct nats_link *l, uint64_t *last_ms, size_t *bytes)
{
	size_t n;

	pthread_mutex_lock(&l->lock);
	n = HASH_COUNT(l->flights);
	*last_ms = l->last_ms;
	*bytes = l->flight_bytes;
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* On a thread of the library; the message is ours to free. */
static void
on_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *error,
    void *closure)
{
	struct nats_link *l = closure;
	struct job *job = flight_take(l, msg);
	char why[300];

	(void)js;
	(void)ack;
	natsMsg_Destroy(msg);
	if (job == NULL)
		return;
	if (error == NULL) {
		aside_answer(l->aside, job, SINK_DELIVERED, NULL);
		return;
	}
	snprintf(why, sizeof(why), "%s (%d)",
	    error->Err == NATS_NO_RESPONDERS ? "no stream takes its subject"
		: error->ErrText == NULL     ? natsStatus_GetText(error->Err)
					     : error->ErrText,
	    (int)error->ErrCode);
	aside_answer(l->aside, job,
	    nats_ack_outcome(error->Err, (int)error->ErrCode, error->ErrText),
	    why);
}

/* ---- the connection ---------------------------------------------------- */

/*
 * Closed before its context goes: the reader must not find a subscription
 * that is going away.
 */
static void
link_drop(struct nats_link *l)
{
	if (l->conn != NULL)
		natsConnection_Close(l->conn);
	jsCtx_Destroy(l->js);
	natsConnection_Destroy(l->conn);
	l->js = NULL;
	l->conn = NULL;
}

static void
link_down(struct nats_link *l, enum sink_outcome outcome, const char *why)
{
	struct job_queue sent;
	struct flight *f, *next;
	struct job *job;

	snprintf(l->why, sizeof(l->why), "%s: %.250s",
	    l->o.urls[l->url_next], why);
	l->url_next = (l->url_next + 1) % l->o.url_count;
	/* First, so that a late acknowledgement finds nothing to answer. */
	job_queue_init(&sent);
	pthread_mutex_lock(&l->lock);
	HASH_ITER(hh, l->flights, f, next)
		job_queue_add(&sent, flight_end(l, f));
	pthread_mutex_unlock(&l->lock);
	link_drop(l);
	while ((job = job_queue_take(&sent)) != NULL)
		aside_answer(l->aside, job, outcome, l->why);
	while ((job = job_queue_take(&l->waiting)) != NULL)
		aside_answer(l->aside, job, SINK_UNAVAILABLE, l->why);
}

static natsStatus
tls_set(natsOptions *to, const struct nats_options *o, const char *url)
{
	char host[256];
	struct slice s;
	natsStatus rc = natsOptions_SetSecure(to, true);

	if (rc == NATS_OK && o->ca_file != NULL)
		rc = natsOptions_LoadCATrustedCertificates(to, o->ca_file);
	if (rc == NATS_OK && o->cert_file != NULL)
		rc = natsOptions_LoadCertificatesChain(
		    to, o->cert_file, o->key_file);
	if (rc == NATS_OK && !o->verifies)
		return natsOptions_SkipServerVerification(to, true);
	if (rc != NATS_OK || !nats_url_host(slice_str(url), &s))
		return rc;
	snprintf(host, sizeof(host), "%.*s", SLICE_ARG(s));
	return natsOptions_SetExpectedHostname(
	    to, o->server_name == NULL ? host : o->server_name);
}

static natsStatus
login_set(natsOptions *to, const struct nats_options *o)
{
	if (o->credentials != NULL)
		return natsOptions_SetUserCredentialsFromFiles(
		    to, o->credentials, NULL);
	if (o->token != NULL)
		return natsOptions_SetToken(to, o->token);
	if (o->username != NULL)
		return natsOptions_SetUserInfo(to, o->username, o->password);
	return NATS_OK;
}

/* A lost connection is ours to see: what was under way is answered for. */
static natsStatus
options_set(natsOptions *to, const struct nats_options *o, const char *url)
{
	natsStatus rc = natsOptions_SetURL(to, url);

	natsOptions_SetAllowReconnect(to, false);
	natsOptions_SetIgnoreDiscoveredServers(to, true);
	natsOptions_SetTimeout(to, o->timeout_ms);
	natsOptions_SetWriteDeadline(to, o->timeout_ms);
	natsOptions_SetPingInterval(to, o->timeout_ms);
	natsOptions_SetName(to, o->connector);
	if (rc == NATS_OK)
		rc = login_set(to, o);
	if (rc == NATS_OK && o->is_tls)
		rc = tls_set(to, o, url);
	return rc;
}

static natsStatus
link_open(struct nats_link *l)
{
	natsOptions *options = NULL;
	jsOptions js;
	natsStatus rc = natsOptions_Create(&options);

	if (rc == NATS_OK)
		rc = options_set(options, &l->o, l->o.urls[l->url_next]);
	if (rc == NATS_OK)
		rc = natsConnection_Connect(&l->conn, options);
	natsOptions_Destroy(options);
	if (rc != NATS_OK || !l->o.jetstream)
		return rc;
	jsOptions_Init(&js);
	js.Wait = l->o.timeout_ms;
	js.PublishAsync.MaxPending = WINDOW * 2;
	js.PublishAsync.AckHandler = on_ack;
	js.PublishAsync.AckHandlerClosure = l;
	return natsConnection_JetStream(&l->js, l->conn, &js);
}

/* The library's last words, when they say more than its status. */
static const char *
status_text(natsStatus rc, char *text, size_t size)
{
	const char *more = nats_GetLastError(NULL);

	if (more == NULL || more[0] == '\0')
		return natsStatus_GetText(rc);
	snprintf(text, size, "%s: %.180s", natsStatus_GetText(rc), more);
	return text;
}

static bool
link_connect(struct nats_link *l)
{
	char text[256];
	natsStatus rc;

	if (l->conn != NULL)
		return true;
	rc = link_open(l);
	if (rc == NATS_OK)
		return true;
	link_down(l, SINK_UNAVAILABLE, status_text(rc, text, sizeof(text)));
	return false;
}

/* ---- records ------------------------------------------------------------- */

static natsStatus
header_add(struct nats_link *l, natsMsg *msg, struct slice name,
    struct slice value)
{
	char key[256];

	if (name.len >= sizeof(key))
		return NATS_INVALID_ARG;
	snprintf(key, sizeof(key), "%.*s", SLICE_ARG(name));
	buf_clear(&l->text);
	buf_add_slice(&l->text, value);
	return natsMsgHeader_Add(msg, key, buf_cstr(&l->text));
}

/* False: NATS cannot carry them. */
static bool
headers_add(struct nats_link *l, natsMsg *msg, const struct record *rec)
{
	char number[24];
	int n = snprintf(
	    number, sizeof(number), "%lld", (long long)rec->timestamp_ms);
	struct record_header own[] = {
	    {SLICE_LIT("Bulkhead-Topic"), rec->topic},
	    {SLICE_LIT("Bulkhead-Timestamp-Ms"), slice_of(number, (size_t)n)},
	    {SLICE_LIT("Content-Type"), rec->content_type}};

	for (size_t i = 0; i < 3 + rec->headers_len; i++) {
		const struct record_header *h =
		    i < 3 ? &own[i] : &rec->headers[i - 3];

		if (i == 2 && h->value.len == 0)
			continue;
		if (!nats_header_is_valid(h->name, h->value) ||
		    header_add(l, msg, h->name, h->value) != NATS_OK)
			return false;
	}
	return true;
}

/* NULL, and why the record is refused. */
static natsMsg *
message_make(struct nats_link *l, const struct record *rec, const char **why)
{
	natsMsg *msg = NULL;

	template_input_set(&l->input, rec);
	buf_clear(&l->text);
	if (!template_render(l->o.subject, &l->input, &l->text, NULL, why))
		return NULL;
	*why = "it makes no subject that NATS takes";
	if (!nats_subject_is_valid(buf_slice(&l->text)))
		return NULL;
	*why = "no message can be made of it";
	if (rec->payload.len > INT32_MAX ||
	    natsMsg_Create(&msg, buf_cstr(&l->text), NULL,
		(const char *)rec->payload.p,
		(int)rec->payload.len) != NATS_OK)
		return NULL;
	if (!l->o.headers || headers_add(l, msg, rec))
		return msg;
	*why = "a header has a form that NATS does not carry";
	natsMsg_Destroy(msg);
	return NULL;
}

static void
record_send_js(struct nats_link *l, struct job *job, natsMsg *msg)
{
	const struct record *rec = job->record->rec;
	char id[LOG_ID_MAX], text[256];
	natsMsg *given = msg;
	jsPubOptions options;
	natsStatus rc;

	log_id_put(&(struct log_id){.stream = rec->stream,
		       .incarnation = rec->incarnation,
		       .partition = rec->partition,
		       .offset = rec->offset},
	    id);
	jsPubOptions_Init(&options);
	options.MsgId = id;
	flight_add(l, msg, job);
	rc = js_PublishMsgAsync(l->js, &given, &options);
	if (rc == NATS_OK)
		return;
	job = flight_take(l, msg);
	natsMsg_Destroy(given);
	if (job == NULL)
		return;
	aside_answer(l->aside, job, nats_publish_outcome(rc),
	    status_text(rc, text, sizeof(text)));
}

static void
record_send(struct nats_link *l, struct job *job)
{
	const char *why = NULL;
	char text[256];
	natsStatus rc;
	natsMsg *msg = message_make(l, job->record->rec, &why);

	if (msg == NULL) {
		aside_answer(l->aside, job, SINK_REFUSED, why);
		return;
	}
	if (l->o.jetstream) {
		record_send_js(l, job, msg);
		return;
	}
	/* Answered when the server has seen all up to here: link_sync. */
	rc = natsConnection_PublishMsg(l->conn, msg);
	if (rc == NATS_OK)
		flight_add(l, msg, job);
	else
		aside_answer(l->aside, job, nats_publish_outcome(rc),
		    status_text(rc, text, sizeof(text)));
	if (rc != NATS_OK)
		natsMsg_Destroy(msg);
}

/* What the server has said of the connection since; false: it is over. */
static bool
link_check(struct nats_link *l)
{
	const char *text = NULL;
	natsStatus rc;

	if (l->conn == NULL)
		return false;
	rc = natsConnection_GetLastError(l->conn, &text);
	if (rc != NATS_NOT_PERMITTED && !natsConnection_IsClosed(l->conn))
		return true;
	link_down(l, SINK_UNAVAILABLE,
	    text != NULL && text[0] != '\0' ? text : "the connection was lost");
	return false;
}

/* Without JetStream: a round trip, after which the server has them all. */
static void
link_sync(struct nats_link *l)
{
	struct flight *f, *next;
	natsStatus rc;

	if (l->flights == NULL)
		return;
	rc = natsConnection_FlushTimeout(l->conn, l->o.timeout_ms);
	if (!link_check(l))
		return;
	if (rc != NATS_OK) {
		link_down(l, SINK_UNSURE, natsStatus_GetText(rc));
		return;
	}
	HASH_ITER(hh, l->flights, f, next) {
		natsMsg_Destroy(f->msg);
		aside_answer(l->aside, flight_end(l, f), SINK_DELIVERED, NULL);
	}
}

static void
probe_run(struct nats_link *l, struct job *job)
{
	jsAccountInfo *info = NULL;
	char text[256];
	natsStatus rc;

	if (l->o.jetstream)
		rc = js_GetAccountInfo(&info, l->js, NULL, NULL);
	else
		rc = natsConnection_FlushTimeout(l->conn, l->o.timeout_ms);
	jsAccountInfo_Destroy(info);
	if (rc == NATS_OK &&
	    natsConnection_GetConnectedUrl(l->conn, text, sizeof(text)) ==
		NATS_OK)
		job->note = mem_strdup(text);
	aside_answer(l->aside, job,
	    rc == NATS_OK ? SINK_DELIVERED : SINK_UNAVAILABLE,
	    rc == NATS_OK ? NULL : status_text(rc, text, sizeof(text)));
	if (rc != NATS_OK)
		link_down(l, SINK_UNSURE, "the probe failed");
}

/* True: there is more to send than may be under way. */
static bool
link_send(struct nats_link *l)
{
	uint64_t last_ms;
	struct job *job;
	size_t bytes;

	while (l->waiting.head != NULL) {
		if (!link_connect(l))
			return false;
		if (l->waiting.head->kind == JOB_RECORD &&
		    (flights_count(l, &last_ms, &bytes) >= WINDOW ||
			bytes > WINDOW_BYTES)) {
			if (l->o.jetstream)
				return true;
			link_sync(l);
			continue;
		}
		job = job_queue_take(&l->waiting);
		if (job->kind == JOB_RECORD)
			record_send(l, job);
		else
			probe_run(l, job);
	}
	if (!l->o.jetstream)
		link_sync(l);
	return false;
}

void
nats_link_run(struct aside *a, void *state)
{
	struct nats_link *l = state;
	struct pollfd fd = {aside_fd(a), POLLIN, 0};
	bool is_full = false;
	uint64_t last_ms;
	size_t bytes;

	l->aside = a;
	while (!aside_is_ending(a)) {
		poll(&fd, 1, is_full ? FULL_TURN_MS : TURN_MS);
		job_queue_add_all(&l->waiting, aside_take(a));
		link_check(l);
		is_full = link_send(l);
		if (flights_count(l, &last_ms, &bytes) > 0 &&
		    clock_mono_ms() - last_ms > l->o.timeout_ms &&
		    link_check(l))
			link_down(l, SINK_UNSURE, "no acknowledgement in time");
	}
	link_down(l, SINK_UNAVAILABLE, "closed");
	/* The library's threads may still be in on_ack. */
	nats_CloseAndWait(CLOSE_MS);
	for (size_t i = 0; i < l->o.url_count; i++)
		free(l->o.urls[i]);
	template_input_fini(&l->input);
	buf_fini(&l->text);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
