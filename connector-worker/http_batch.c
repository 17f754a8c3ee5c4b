#include "connector-worker/http_batch.h"

#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/excerpt.h"
#include "connector-worker/http_answer.h"
#include "connector-worker/order_map.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <zlib.h>

#define REASON_KEPT 300 /* bytes of a body in a reason */
#define ANSWER_MAX (1u << 20)
#define PROBE_MS 5000
#define BODY_KEPT (4u << 20)

/* A batch on its way, with the request that it has under way. */
struct job {
	struct job *next, **prev;
	struct http_batch *http;
	struct sink_batch *batch;
	struct sink_record **records; /* the batch's; NULL: answered */
	size_t *places;               /* of the run's records in it */
	size_t at, stop;              /* what of them the run covers */
	size_t size, size_max;        /* how long runs are, may be */
	struct order_map held;        /* orders of which one failed */
	struct order_map seen;        /* in this run, where it is exclusive */
	struct http_run run;
	struct buf body, packed, answer;
	bool is_flooded;
	char error[CURL_ERROR_SIZE];
};

struct http_batch {
	struct sink *sink;
	struct http_loop *loop;
	const struct http_batch_ops *ops;
	void *self;
	struct http_batch_config config;
	size_t url; /* the one in use */
	struct curl_slist *fields;
	struct curl_slist *connect_to;
	z_stream gzip;
	struct job *jobs;
	struct job *spare;
	struct job *prober;
	struct buf reason;
	bool is_testing;
};

static void on_over(CURL *, CURLcode, void *);

/* --- jobs ----------------------------------------------------------------- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct job *j = arg;
	size_t len = size * n, max = j->http->config.answer_max;

	if (max == 0)
		max = ANSWER_MAX;
	if (len > max - buf_len(&j->answer)) {
		j->is_flooded = true;
		return 0;
	}
	buf_add(&j->answer, p, len);
	return len;
}

static struct job *
job_new(struct http_batch *h)
{
	struct job *j = mem_zalloc(1, sizeof(*j));
	CURL *easy = http_loop_setup();

	j->http = h;
	j->run.easy = easy;
	buf_init(&j->run.url);
	buf_init(&j->body);
	buf_init(&j->packed);
	buf_init(&j->answer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, j);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, j->error);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, h->config.timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECT_TO, h->connect_to);
	if (h->ops->setup != NULL)
		h->ops->setup(h->self, easy);
	return j;
}

/* Ends the loan of the fixed headers before the own ones are freed. */
static void
run_clear(struct job *j)
{
	struct curl_slist *f = j->run.fields;

	for (; f != NULL && f->next != j->http->fields; f = f->next)
		continue;
	if (f != NULL)
		f->next = NULL;
	curl_slist_free_all(j->run.fields);
	j->run.fields = NULL;
	free(j->run.kept);
	j->run.kept = NULL;
	buf_clear(&j->run.url);
	buf_trim(&j->answer, BODY_KEPT);
	buf_clear(&j->answer);
	j->is_flooded = false;
	j->error[0] = '\0';
}

static void
job_free(struct job *j)
{
	if (j == NULL)
		return;
	run_clear(j);
	curl_easy_cleanup(j->run.easy);
	free(j->run.records);
	free(j->records);
	free(j->places);
	order_map_fini(&j->held);
	order_map_fini(&j->seen);
	buf_fini(&j->run.url);
	buf_fini(&j->body);
	buf_fini(&j->packed);
	buf_fini(&j->answer);
	free(j);
}

/* The job's batch is answered; the handle and its buffers are kept. */
static void
job_over(struct job *j)
{
	struct http_batch *h = j->http;

	*j->prev = j->next;
	if (j->next != NULL)
		j->next->prev = j->prev;
	run_clear(j);
	free(j->run.records);
	free(j->records);
	free(j->places);
	j->run.records = j->records = NULL;
	j->places = NULL;
	order_map_clear(&j->held);
	buf_trim(&j->body, BODY_KEPT);
	buf_clear(&j->body);
	buf_trim(&j->packed, BODY_KEPT);
	j->next = h->spare;
	h->spare = j;
}

/* --- a run becomes a request ---------------------------------------------- */

static void
hold(struct job *j, const struct sink_record *r)
{
	if (r->order != 0)
		*order_map_add(&j->held, r->order) = j;
}

/* The answer of a record of the batch, by its place in it. */
static void
answer(
    struct job *j, size_t place, enum sink_outcome outcome, const char *reason)
{
	struct sink_record *r = j->records[place];

	j->records[place] = NULL;
	if (outcome != SINK_DELIVERED && outcome != SINK_REFUSED)
		hold(j, r);
	sink_answer(r, outcome, reason);
}

void
http_run_answer(struct http_run *run, size_t i, enum sink_outcome outcome,
    const char *reason)
{
	struct job *j =
	    (struct job *)(void *)((char *)run - offsetof(struct job, run));

	bug_on(i >= run->count || run->records[i] == NULL);
	answer(j, j->places[i], outcome, reason);
	run->records[i] = NULL;
}

void
http_run_field(struct http_run *run, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	run->fields = curl_slist_append(run->fields, line);
}

void
http_run_keep(struct http_run *run, void *kept)
{
	free(run->kept);
	run->kept = kept;
}

static bool
is_held(struct job *j, const struct sink_record *r)
{
	return r->order != 0 && j->held.used > 0 &&
	       order_map_find(&j->held, r->order) != NULL;
}

/* Whether a record of the same order stands in the run already. */
static bool
is_second(struct job *j, const struct sink_record *r)
{
	void **seen;

	if (!j->http->config.is_exclusive || r->order == 0)
		return false;
	seen = order_map_add(&j->seen, r->order);
	if (*seen != NULL)
		return true;
	*seen = j;
	return false;
}

/* Renders records from at on; stop is where the run ended. */
static void
run_render(struct job *j)
{
	struct http_batch *h = j->http;
	size_t i = j->at, end = j->batch->count, before;
	const char *why = "";

	if (end - i > j->size)
		end = i + j->size;
	order_map_clear(&j->seen);
	buf_clear(&j->body);
	j->run.count = 0;
	if (h->ops->begin != NULL)
		h->ops->begin(h->self, &j->body);
	for (; i < end; i++) {
		struct sink_record *r = j->records[i];

		if (r == NULL)
			continue;
		if (is_held(j, r)) {
			answer(j, i, SINK_HELD,
			    "an earlier one of its key failed");
			continue;
		}
		if (is_second(j, r))
			break;
		before = j->body.len;
		if (!h->ops->add(h->self, r->rec, &j->body, &why)) {
			j->body.len = before;
			if (why == NULL)
				break;
			answer(j, i, SINK_REFUSED, why);
			continue;
		}
		if (h->config.body_max > 0 && j->run.count > 0 &&
		    buf_len(&j->body) > h->config.body_max) {
			j->body.len = before;
			break;
		}
		j->places[j->run.count] = i;
		j->run.records[j->run.count++] = r;
	}
	j->stop = i;
	if (h->ops->end != NULL)
		h->ops->end(h->self, &j->body);
}

static struct slice
body_pack(struct job *j)
{
	z_stream *z = &j->http->gzip;
	size_t bound;

	if (!j->http->config.has_gzip)
		return buf_slice(&j->body);
	bound = deflateBound(z, buf_len(&j->body));
	buf_clear(&j->packed);
	z->next_in = (Bytef *)(uintptr_t)buf_data(&j->body);
	z->avail_in = (uInt)buf_len(&j->body);
	z->next_out = buf_reserve(&j->packed, bound);
	z->avail_out = (uInt)bound;
	bug_on(deflate(z, Z_FINISH) != Z_STREAM_END);
	buf_commit(&j->packed, bound - z->avail_out);
	deflateReset(z);
	return buf_slice(&j->packed);
}

/* The own headers go before the fixed ones, which are lent. */
static void
run_link(struct job *j)
{
	struct curl_slist *f = j->run.fields;

	while (f != NULL && f->next != NULL)
		f = f->next;
	if (f != NULL)
		f->next = j->http->fields;
	curl_easy_setopt(j->run.easy, CURLOPT_HTTPHEADER,
	    f != NULL ? j->run.fields : j->http->fields);
	curl_easy_setopt(j->run.easy, CURLOPT_URL, buf_cstr(&j->run.url));
}

static void
run_send(struct job *j)
{
	struct http_batch *h = j->http;
	struct slice body = body_pack(j);

	run_clear(j);
	buf_add_str(&j->run.url, h->config.urls[h->url]);
	curl_easy_setopt(j->run.easy, CURLOPT_POST, 1L);
	if (h->ops->prepare != NULL)
		h->ops->prepare(h->self, &j->run);
	run_link(j);
	curl_easy_setopt(j->run.easy, CURLOPT_POSTFIELDS, body.p);
	curl_easy_setopt(
	    j->run.easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	http_loop_add(h->loop, j->run.easy, on_over, j);
}

static void
job_go_on(struct job *j)
{
	while (j->at < j->batch->count) {
		run_render(j);
		if (j->run.count > 0) {
			run_send(j);
			return;
		}
		j->at = j->stop;
	}
	job_over(j);
}

void
http_batch_send(struct http_batch *h, struct sink_batch *batch)
{
	struct job *j = h->spare;
	unsigned shift = batch->tries < 8 ? batch->tries * 3 : 24;

	if (j != NULL)
		h->spare = j->next;
	else
		j = job_new(h);
	j->next = h->jobs;
	j->prev = &h->jobs;
	if (j->next != NULL)
		j->next->prev = &j->next;
	h->jobs = j;
	j->batch = batch;
	j->run.batch = batch;
	j->run.records = mem_zalloc(batch->count + 1, sizeof(*j->run.records));
	j->places = mem_zalloc(batch->count + 1, sizeof(*j->places));
	j->records = mem_zalloc(batch->count + 1, sizeof(*j->records));
	memcpy(j->records, batch->records, batch->count * sizeof(*j->records));
	j->at = 0;
	/*
	 * What failed as a whole is tried again in smaller parts, so that a
	 * record that the target chokes on ends up alone.
	 */
	j->size_max =
	    h->config.keeps_runs ? batch->count : batch->count >> shift;
	if (j->size_max == 0)
		j->size_max = 1;
	if (h->config.run_max > 0 && j->size_max > h->config.run_max)
		j->size_max = h->config.run_max;
	j->size = j->size_max;
	job_go_on(j);
}

/* --- answers -------------------------------------------------------------- */

struct http_verdict
http_batch_judge(long status)
{
	if (status == 404)
		return (struct http_verdict){.outcome = SINK_UNAVAILABLE};
	return (struct http_verdict){.outcome = http_answer_outcome(status),
	    .is_of_one = http_answer_outcome(status) == SINK_REFUSED};
}

/* A transfer that libcurl could not bring to its end. */
static struct http_verdict
failure_judge(CURL *easy, CURLcode result)
{
	curl_off_t connected = 0;

	switch (result) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CRL_BADFILE:
		return (struct http_verdict){.outcome = SINK_UNAVAILABLE};
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(
		    easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
		if (connected == 0)
			return (struct http_verdict){
			    .outcome = SINK_UNAVAILABLE};
		break;
	default:
		break;
	}
	return (struct http_verdict){.outcome = SINK_UNSURE};
}

static struct http_verdict
job_judge(struct job *j, CURLcode result)
{
	struct http_batch *h = j->http;
	struct http_verdict v;
	long status = 0;

	buf_clear(&h->reason);
	curl_easy_getinfo(j->run.easy, CURLINFO_RESPONSE_CODE, &status);
	if (result != CURLE_OK) {
		buf_add_str(&h->reason, j->is_flooded ? "the answer is too long"
					: j->error[0] != '\0'
					    ? j->error
					    : curl_easy_strerror(result));
		v = failure_judge(j->run.easy, result);
		if (v.outcome == SINK_UNAVAILABLE)
			h->url = (h->url + 1) % h->config.urls_len;
		return v;
	}
	v = h->ops->judge == NULL ? http_batch_judge(status)
				  : h->ops->judge(h->self, &j->run, status,
					buf_slice(&j->answer), &h->reason);
	if (buf_len(&h->reason) > 0)
		return v;
	buf_addf(&h->reason, "HTTP status %ld", status);
	if (buf_len(&j->answer) > 0) {
		buf_add_str(&h->reason, ": ");
		excerpt_add(&h->reason, buf_slice(&j->answer), REASON_KEPT);
	}
	return v;
}

static void
run_answer(struct job *j, enum sink_outcome outcome, const char *reason)
{
	for (size_t i = 0; i < j->run.count; i++)
		if (j->run.records[i] != NULL)
			http_run_answer(&j->run, i, outcome, reason);
}

/* The rest of the batch would get the same. */
static void
job_give_up(struct job *j, enum sink_outcome outcome, const char *reason)
{
	for (size_t i = j->stop; i < j->batch->count; i++)
		if (j->records[i] != NULL)
			answer(j, i, outcome, reason);
	job_over(j);
}

static void
on_over(CURL *easy, CURLcode result, void *arg)
{
	struct job *j = arg;
	struct http_verdict v = job_judge(j, result);
	const char *reason = buf_cstr(&j->http->reason);

	(void)easy;
	if (v.is_again) {
		run_send(j);
		return;
	}
	if (v.outcome == SINK_REFUSED && v.is_of_one && j->run.count > 1) {
		j->size = j->run.count / 2;
		job_go_on(j);
		return;
	}
	run_answer(j, v.outcome, reason);
	if (v.outcome == SINK_UNAVAILABLE || v.outcome == SINK_UNSURE) {
		job_give_up(j,
		    v.outcome == SINK_UNSURE ? SINK_HELD : SINK_UNAVAILABLE,
		    reason);
		return;
	}
	j->at = j->stop;
	j->size = j->size < j->size_max / 2 ? j->size * 2 : j->size_max;
	job_go_on(j);
}

/* --- probe and test ------------------------------------------------------- */

static void
on_probe(CURL *easy, CURLcode result, void *arg)
{
	struct job *j = arg;
	struct http_batch *h = j->http;
	bool is_up;
	long status = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	buf_clear(&h->reason);
	is_up =
	    (result == CURLE_OK || j->is_flooded) && http_answer_is_up(status);
	if (is_up && h->is_testing) {
		is_up = status < 400;
		if (h->ops->found != NULL)
			is_up = h->ops->found(
			    h->self, status, buf_slice(&j->answer), &h->reason);
	}
	if (result != CURLE_OK) {
		buf_add_str(&h->reason, j->error[0] != '\0'
					    ? j->error
					    : curl_easy_strerror(result));
	} else if (buf_len(&h->reason) == 0) {
		buf_addf(&h->reason, "HTTP status %ld: ", status);
		excerpt_add(&h->reason, buf_slice(&j->answer), REASON_KEPT);
	}
	if (h->is_testing)
		sink_tested(h->sink, is_up, buf_cstr(&h->reason));
	else
		sink_probed(h->sink, is_up, buf_cstr(&h->reason));
}

void
http_batch_probe(struct http_batch *h)
{
	struct job *j = h->prober;

	if (j == NULL) {
		j = h->prober = job_new(h);
		curl_easy_setopt(j->run.easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(j->run.easy, CURLOPT_FORBID_REUSE, 1L);
		if (h->config.timeout_ms > PROBE_MS)
			curl_easy_setopt(
			    j->run.easy, CURLOPT_TIMEOUT_MS, (long)PROBE_MS);
	}
	run_clear(j);
	buf_add_str(&j->run.url, h->config.urls[h->url]);
	curl_easy_setopt(j->run.easy, CURLOPT_HTTPGET, 1L);
	h->ops->probe(h->self, &j->run);
	run_link(j);
	http_loop_add(h->loop, j->run.easy, on_probe, j);
}

void
http_batch_test(struct http_batch *h)
{
	h->is_testing = true;
	http_batch_probe(h);
}

/* --- new and free --------------------------------------------------------- */

static void
fields_make(struct http_batch *h)
{
	char *line = mem_printf("Content-Type: %s", h->config.content_type);

	h->fields = curl_slist_append(h->fields, line);
	free(line);
	h->fields = curl_slist_append(h->fields, "Expect:");
	h->fields = curl_slist_append(
	    h->fields, "User-Agent: bulkhead/" BULKHEAD_VERSION);
	if (h->config.has_gzip)
		h->fields =
		    curl_slist_append(h->fields, "Content-Encoding: gzip");
}

struct http_batch *
http_batch_new(struct sink *sink, const struct http_batch_ops *ops, void *self,
    const struct http_batch_config *config)
{
	struct http_batch *h = mem_zalloc(1, sizeof(*h));

	h->sink = sink;
	h->ops = ops;
	h->self = self;
	h->config = *config;
	h->loop = http_loop_new(sink_loop(sink), 256);
	buf_init(&h->reason);
	for (size_t i = 0; i < config->urls_len && config->server_name != NULL;
	     i++)
		h->config.urls[i] = http_server_rename(
		    h->config.urls[i], config->server_name, &h->connect_to);
	fields_make(h);
	if (h->config.has_gzip)
		deflateInit2(&h->gzip, Z_BEST_SPEED, Z_DEFLATED,
		    15 + 16 /* gzip's header */, 8, Z_DEFAULT_STRATEGY);
	return h;
}

static void
jobs_free(struct http_batch *h, struct job *j)
{
	struct job *next;

	for (; j != NULL; j = next) {
		next = j->next;
		http_loop_remove(h->loop, j->run.easy);
		job_free(j);
	}
}

void
http_batch_free(struct http_batch *h)
{
	jobs_free(h, h->jobs);
	jobs_free(h, h->spare);
	jobs_free(h, h->prober);
	http_loop_free(h->loop);
	curl_slist_free_all(h->fields);
	curl_slist_free_all(h->connect_to);
	if (h->config.has_gzip)
		deflateEnd(&h->gzip);
	for (size_t i = 0; i < h->config.urls_len; i++)
		free(h->config.urls[i]);
	free(h->config.urls);
	buf_fini(&h->reason);
	free(h);
}
