/*
 * topic - topic names and topic filters.
 *
 * Implements MQTT 5, 4.7 and 4.8.2. Lengths come from two-byte prefixes,
 * so nothing here is longer than 65,535 bytes. base/topic.h, which all
 * protocols share, matches; here is what MQTT alone says.
 */
#ifndef PROTO_MQTT_TOPIC_H
#define PROTO_MQTT_TOPIC_H

#include "base/slice.h"
#include "proto/mqtt/reason.h"

/*
 * A topic name: at least one character [MQTT-4.7.3-1], no wildcard
 * [MQTT-3.3.2-2], good UTF-8. TOPIC_NAME_INVALID or MALFORMED_PACKET
 * otherwise.
 */
enum mqtt_reason mqtt_topic_check(struct slice topic);

/*
 * A topic filter, shared or not: "#" alone in the last level
 * [MQTT-4.7.1-1], "+" alone in its level [MQTT-4.7.1-2]; "$share/NAME/" is
 * followed by a filter, and NAME has no "/", "+" or "#" [MQTT-4.8.2-1, -2].
 */
enum mqtt_reason mqtt_filter_check(struct slice filter);

/*
 * Takes "$share/NAME/" off a checked filter: true, and group and filter are
 * set, when it was shared.
 */
bool mqtt_filter_share(struct slice *filter, struct slice *group);

bool mqtt_filter_has_wildcard(struct slice filter);

#endif
