/*
 * http_batch - records of a batch as the body of one HTTP request, for the
 * targets that take many at once.
 *
 * A batch is sent in runs: at first all of its records are one run. Where
 * the target refuses a run the next one is half as long, until the record
 * that is to blame is alone; after a run that was taken the next is twice as
 * long. Runs of a batch go one after the other, batches beside each other.
 *
 * What a type does is in http_batch_ops: how a record is written, and what
 * an answer means. Statuses have the meaning that http_answer gives them,
 * except that 404 is the target's fault: the URL is the same for all.
 */
#ifndef CONNECTOR_WORKER_HTTP_BATCH_H
#define CONNECTOR_WORKER_HTTP_BATCH_H

#include "connector-worker/http_loop.h"
#include "connector-worker/sink.h"

struct http_batch;

/* The records of one request. */
struct http_run {
	struct sink_record **records; /* NULL: answered */
	size_t count;
	struct sink_batch *batch;
	CURL *easy;
	struct buf url;            /* begins as the target's URL */
	struct curl_slist *fields; /* headers of this request alone */
	void *kept;                /* the type's, freed with the request */
};

struct http_verdict {
	enum sink_outcome outcome; /* of those not answered yet */
	/* One of several may be to blame: send fewer to find it. */
	bool is_of_one;
	/* Nothing was taken; the type has changed the request: once more. */
	bool is_again;
};

struct http_batch_ops {
	/*
	 * Appends a record. False: it is to be refused, *why says why; or,
	 * with *why NULL, the run has to end before it, which is not its
	 * first.
	 */
	bool (*add)(void *self, const struct record *, struct buf *body,
	    const char **why);
	/* Around the records; may be NULL. */
	void (*begin)(void *self, struct buf *body);
	void (*end)(void *self, struct buf *body);
	/* What of the handle is the same for all requests, probes too. */
	void (*setup)(void *self, CURL *easy);
	/* What is of this request alone: run->url, run->fields. Or NULL. */
	void (*prepare)(void *self, struct http_run *run);
	/*
	 * A whole answer, status and body; answers of single records by
	 * http_run_answer. Writes to reason only if it knows more than
	 * status and body say. NULL: http_batch_judge.
	 */
	struct http_verdict (*judge)(void *self, struct http_run *run,
	    long status, struct slice body, struct buf *reason);
	/* What of the probe's request is its own; run is without records. */
	void (*probe)(void *self, struct http_run *run);
	/* `connector test`: what the probe's answer says; may be NULL. */
	bool (*found)(
	    void *self, long status, struct slice body, struct buf *reason);
};

struct http_batch_config {
	char **urls; /* where requests go: the first that works */
	size_t urls_len;
	const char *content_type;
	const char *server_name; /* that https servers must have, or NULL */
	bool has_gzip;
	long timeout_ms;
	size_t body_max;   /* a run ends before; 0: no limit */
	size_t run_max;    /* records in a run; 0: no limit */
	size_t answer_max; /* bytes that are read; 0: 1 MiB */
	/* At most one record of an order in a request. */
	bool is_exclusive;
	/* What is tried again is not sent in shorter runs. */
	bool keeps_runs;
};

/* Takes the URLs: each on the heap, and the array. */
struct http_batch *http_batch_new(struct sink *, const struct http_batch_ops *,
    void *self, const struct http_batch_config *);
void http_batch_free(struct http_batch *);
void http_batch_send(struct http_batch *, struct sink_batch *);
/* The sink's probe and test functions. */
void http_batch_probe(struct http_batch *);
void http_batch_test(struct http_batch *);

/* The general meaning of an answer. */
struct http_verdict http_batch_judge(long status);
/* One of the run's records; others of its order that follow are held. */
void http_run_answer(
    struct http_run *, size_t i, enum sink_outcome, const char *reason);
/* A header of this request alone, as printf writes it. */
void http_run_field(struct http_run *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Keeps what is on the heap until the request is over. */
void http_run_keep(struct http_run *, void *kept);

/* --- what the tables of such types have in common ------------------------- */

/*
 * A server as people write it: with or without scheme. The URL without a
 * slash at its end, for the caller to free; NULL, and what is wrong.
 */
char *http_server_url(const char *text, bool is_https, const char **wrong);
/* The checks of a server option and the tls options beside it. */
struct faults;
void http_server_validate(const struct sink_options *, struct faults *,
    const char *name, bool is_https);
/* The URL with another host, and how to get to the real one. */
char *http_server_rename(
    char *url, const char *name, struct curl_slist **connect_to);
/* CONN_TLS_OPTIONS onto a handle, but for tls.server_name. */
void http_tls_setup(CURL *, const struct sink_options *);
/* A user and a password by Basic, where the options have a user. */
void http_basic_setup(CURL *, const struct sink_options *);

#endif
