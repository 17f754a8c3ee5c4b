/*
 * translate - the properties of a message, between MQTT 5 and base/props.h.
 *
 * Payload format, content type, response topic, correlation data and user
 * properties are carried over, in their order. The expiry interval is not
 * among them: inside it is a time, not a property.
 */
#ifndef ACCEPTOR_MQTT_TRANSLATE_H
#define ACCEPTOR_MQTT_TRANSLATE_H

#include "base/buf.h"

/* Appends to out; mqtt is a checked run of a PUBLISH or a will. */
void translate_in(struct slice mqtt, struct buf *out);
/*
 * Appends to out what MQTT has a property for, and an expiry interval of 0
 * seconds where wants_expiry: *expiry_at is where its value begins in out.
 * False when props is malformed or holds what MQTT cannot (a text over
 * 65,535 bytes); out is then to be dropped.
 */
bool translate_out(struct slice props, bool wants_expiry, struct buf *out,
    uint32_t *expiry_at);

#endif
