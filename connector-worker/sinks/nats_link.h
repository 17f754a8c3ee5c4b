/*
 * nats_link - the connection to a NATS server, on a thread of its own
 * (connector-worker/aside.h): libnats blocks, and has threads of its own.
 */
#ifndef CONNECTOR_WORKER_SINKS_NATS_LINK_H
#define CONNECTOR_WORKER_SINKS_NATS_LINK_H

#include "connector-worker/aside.h"
#include "connector-worker/sink.h"

#define NATS_URLS_MAX 16

/* What the definition says; loans as long as the options. */
struct nats_options {
	char *urls[NATS_URLS_MAX];	/* the link's from nats_link_new on */
	size_t url_count;
	const struct template *subject;
	const char *connector;		/* its name, for the server's lists */
	const char *username, *password, *token, *credentials;
	unsigned timeout_ms;
	bool jetstream, headers;
	bool is_tls, verifies;
	const char *ca_file, *cert_file, *key_file, *server_name;
};

struct nats_link;

struct nats_link *nats_link_new(const struct nats_options *o);
/* An aside_run: state is the link, which it frees at the end. */
void nats_link_run(struct aside *a, void *state);

#endif
