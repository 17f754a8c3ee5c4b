/*
 * rabbitmq_link - the connection to a RabbitMQ server, on a thread of its
 * own (connector-worker/aside.h): librabbitmq blocks.
 */
#ifndef CONNECTOR_WORKER_SINKS_RABBITMQ_LINK_H
#define CONNECTOR_WORKER_SINKS_RABBITMQ_LINK_H

#include "connector-worker/aside.h"
#include "connector-worker/sink.h"

/* What the definition says; loans as long as the options. */
struct rabbitmq_options {
	const char *host;
	int port;
	const char *username, *password, *virtual_host, *exchange;
	const char *connector;		/* its name, for the server's lists */
	const struct template *routing_key, *content_type;
	bool mandatory, confirms, headers, is_persistent;
	int heartbeat_s;
	unsigned timeout_ms;
	bool is_tls, verifies;
	const char *ca_file, *cert_file, *key_file, *server_name;
};

struct rabbitmq_link;

struct rabbitmq_link *rabbitmq_link_new(const struct rabbitmq_options *o);
/* An aside_run: state is the link, which it frees at the end. */
void rabbitmq_link_run(struct aside *a, void *state);
/*
 * Any thread, as long as the aside was not ended: cuts the connection under
 * a call that hangs in it.
 */
void rabbitmq_link_cut(struct rabbitmq_link *l);

#endif
