/*
 * utf8 - is it a UTF-8 encoded string as MQTT wants it?
 *
 * Implements MQTT 5, 1.5.4: well-formed UTF-8 without surrogates
 * [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2]. Control characters and
 * non-characters, which a receiver may refuse, pass.
 */
#ifndef PROTO_MQTT_UTF8_H
#define PROTO_MQTT_UTF8_H

#include "base/slice.h"

bool mqtt_utf8_check(struct slice s);

#endif
