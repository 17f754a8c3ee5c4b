/*
 * rabbitmq_error - what a reply code of AMQP 0-9-1 says of a record. Pure.
 */
#ifndef CONNECTOR_WORKER_SINKS_RABBITMQ_ERROR_H
#define CONNECTOR_WORKER_SINKS_RABBITMQ_ERROR_H

#include "connector-worker/sink.h"

/* Of a channel or connection that the server closed under one record. */
enum sink_outcome rabbitmq_close_outcome(unsigned code, struct slice text);
/* The fault is of one of the records under way, it is not known which. */
bool rabbitmq_close_is_of_one(unsigned code, struct slice text);

#endif
