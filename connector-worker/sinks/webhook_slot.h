/*
 * webhook_slot - requests of the web hook: which are waiting, which are with
 * the target, and the slots that carry them.
 *
 * Each batch becomes a load of requests: one per record (single), or one per
 * target that its records' templates name (array, lines). What must not
 * overtake is chained: a request runs when the one before it in its chain was
 * delivered or refused. A slot is one of `connections` easy handles with the
 * buffers of its request; a request is rendered when its slot takes it.
 */
#ifndef CONNECTOR_WORKER_SINKS_WEBHOOK_SLOT_H
#define CONNECTOR_WORKER_SINKS_WEBHOOK_SLOT_H

#include "connector-worker/http_loop.h"
#include "connector-worker/http_url.h"
#include "connector-worker/order_map.h"
#include "connector-worker/sink.h"

#include <zlib.h>

#define WEBHOOK_CONNECTIONS_MAX 256
#define WEBHOOK_HEADERS_MAX 64

/* In the order of the options' choices. */
enum webhook_mode { WEBHOOK_ARRAY, WEBHOOK_LINES, WEBHOOK_SINGLE };
enum webhook_auth { WEBHOOK_NONE, WEBHOOK_BASIC, WEBHOOK_BEARER, WEBHOOK_HMAC };

struct load;

struct request {
	struct request *next;    /* in the queue of those that may run */
	struct request *of_load; /* the next of its load */
	struct request *after;   /* runs when this one is final */
	struct load *load;
	struct sink_record **records;
	size_t count;
};

/* A batch on its way. */
struct load {
	struct load *next, **prev;
	struct sink_batch *batch;
	struct request *requests;
	size_t left;           /* requests that are not over */
	char *down;            /* why the target takes none of the rest */
	struct order_map held; /* orders of which one failed */
	struct sink_record **records; /* groups point into it */
};

/* A header line of a request, its text made anew for each. */
struct field {
	struct curl_slist node;
	const char *name;
	const struct template *value; /* NULL: made by us */
	struct buf line;
};

struct slot {
	struct webhook *hook;
	struct slot *next_free;
	CURL *easy;
	struct request *request;
	struct buf url, body, packed;
	struct field fields[WEBHOOK_HEADERS_MAX + 2];
	size_t fields_len;
	struct buf answer; /* the beginning of its body */
	size_t answer_len;
	bool is_flooded; /* it was cut off: too much of an answer */
	char error[CURL_ERROR_SIZE];
};

struct webhook {
	struct sink *sink;
	struct http_loop *http;
	struct ev_timer pause; /* until Retry-After is over */

	/* The definition. */
	enum webhook_mode mode;
	enum webhook_auth auth;
	const struct template *url;
	const char *fixed_url; /* the same for every record, or NULL */
	char *probe_url;       /* as much as is the same for all records */
	char *url_prefix;      /* replaces what stands before the templates */
	size_t url_prefix_len; /* how much that is of the template's text */
	const struct template *body;
	template_escape *body_escape;
	bool has_gzip;
	const char *hmac_secret;
	struct template *id; /* ${id} */
	struct curl_slist *connect_to;
	long timeout_ms;
	struct curl_slist *fixed_fields;
	bool has_header_templates;

	struct template_input input;
	struct buf scratch;
	z_stream gzip;
	struct order_map orders; /* while a load is made */
	struct request *ready, **ready_tail;
	struct request *spare;
	struct load *loads;
	struct slot *slots;
	size_t slots_len;
	struct slot *free_slots;
	CURL *prober;
	struct slot probe_slot; /* only its answer's part */
	bool is_testing;        /* the probe is `connector test` */
};

/* --- requests: webhook_request.c ------------------------------------------ */

void slot_init(struct slot *, struct webhook *);
void slot_fini(struct slot *);
/*
 * Where a record goes, as one text: records of a group have the same. False:
 * refused, *why says why.
 */
bool webhook_target_add(
    struct webhook *, const struct record *, struct buf *, const char **why);
/*
 * Makes URL, headers and body of the slot's request and sets the handle up.
 * Records that cannot be rendered are refused and taken out of the request;
 * false: none is left.
 */
bool slot_render(struct slot *);
/* Counts and keeps the beginning of an answer; a CURLOPT_WRITEFUNCTION. */
size_t on_answer_body(char *, size_t, size_t, void *slot);
void slot_clear_answer(struct slot *);
/* What an ended transfer means, and a text for people. */
enum sink_outcome slot_outcome(
    struct slot *, CURL *, CURLcode, struct buf *reason);

/* --- order: webhook_queue.c ------------------------------------------------
 */

void webhook_load(struct webhook *, struct sink_batch *);
/* Starts what may run as long as there are slots. */
void webhook_pump(struct webhook *);
void webhook_drop_loads(struct webhook *);
/* No request begins before so many milliseconds have passed. */
void webhook_hold(struct webhook *, uint64_t ms);

#endif
