/*
 * kafka_conf - the definition of a kafka connector as librdkafka's
 * configuration, and what its errors say of a record.
 */
#ifndef CONNECTOR_WORKER_SINKS_KAFKA_CONF_H
#define CONNECTOR_WORKER_SINKS_KAFKA_CONF_H

#include "connector-worker/sink.h"

#include <librdkafka/rdkafka.h>

/* NULL: *option names the option that is wrong, text says why. */
rd_kafka_conf_t *kafka_conf_make(const struct sink_options *o, char *text,
    size_t size, const char **option);
void kafka_conf_validate(const struct sink_options *o, struct faults *faults);

/* Of a delivery report, or of a produce that failed at once. */
enum sink_outcome kafka_error_outcome(rd_kafka_resp_err_t error);
/* What a broker takes as a topic's name. */
bool kafka_topic_is_valid(struct slice topic);

#endif
