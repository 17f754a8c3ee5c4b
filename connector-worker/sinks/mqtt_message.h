/*
 * mqtt_message - what of a record goes into an MQTT message, and what the
 * target's reason codes say of it.
 */
#ifndef CONNECTOR_WORKER_SINKS_MQTT_MESSAGE_H
#define CONNECTOR_WORKER_SINKS_MQTT_MESSAGE_H

#include "base/buf.h"
#include "connector-worker/sink.h"

#include <mosquitto.h>

struct mqtt_server {
	char host[256];
	uint16_t port;
	bool is_tls;
};

/* "mqtt://host:port", "mqtts://[v6]". */
bool mqtt_server_parse(const char *text, struct mqtt_server *s);

/*
 * The properties of MQTT 5, in *props, to be freed in any case. False: one
 * has a form that MQTT does not carry. scratch is used and left as it is.
 */
bool mqtt_props_make(const struct record *rec, struct buf *scratch,
    mosquitto_property **props);

/* What a reason code of PUBACK or PUBREC says of the record. */
enum sink_outcome mqtt_reason_outcome(int reason);
/* What a publish that failed at once says. */
enum sink_outcome mqtt_publish_outcome(int error);

#endif
