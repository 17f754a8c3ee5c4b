/*
 * rabbitmq_message - a record as an AMQP message: its routing key and
 * properties. Its memory is used again for the next one.
 */
#ifndef CONNECTOR_WORKER_SINKS_RABBITMQ_MESSAGE_H
#define CONNECTOR_WORKER_SINKS_RABBITMQ_MESSAGE_H

#include "base/buf.h"
#include "base/log_layout.h"
#include "connector-worker/sinks/rabbitmq_link.h"

#include <amqp.h>

struct rabbitmq_message {
	amqp_bytes_t routing_key, body;
	amqp_basic_properties_t properties;
	char id[LOG_ID_MAX];
	/* Where they point to. */
	struct template_input input;
	struct buf text, type;
	amqp_table_entry_t *entries;
	size_t cap;
};

void rabbitmq_message_init(struct rabbitmq_message *m);
void rabbitmq_message_fini(struct rabbitmq_message *m);
/* False: it has no form in AMQP, *why (a constant) says why. */
bool rabbitmq_message_set(struct rabbitmq_message *m,
    const struct rabbitmq_options *o, const struct record *rec,
    const char **why);

#endif
