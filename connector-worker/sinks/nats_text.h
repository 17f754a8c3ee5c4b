/*
 * nats_text - what NATS can carry, and what its errors say of a record. Pure.
 */
#ifndef CONNECTOR_WORKER_SINKS_NATS_TEXT_H
#define CONNECTOR_WORKER_SINKS_NATS_TEXT_H

#include "connector-worker/sink.h"

#include <nats/nats.h>

/* Something to publish to: no spaces, no empty parts, no wildcards. */
bool nats_subject_is_valid(struct slice subject);
bool nats_header_is_valid(struct slice name, struct slice value);
/*
 * The host of "nats://host:port" or "tls://host:port", without brackets.
 * False: it is no such URL, or has a login in it.
 */
bool nats_url_host(struct slice url, struct slice *host);

/* What an acknowledgement that is none says of the record. */
enum sink_outcome nats_ack_outcome(natsStatus status, int code,
    const char *text);
/* What a publish that failed at once says. */
enum sink_outcome nats_publish_outcome(natsStatus status);

#endif
