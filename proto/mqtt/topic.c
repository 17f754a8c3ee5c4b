#include "proto/mqtt/topic.h"

#include "proto/mqtt/utf8.h"

static const char share_prefix[] = "$share/";
#define SHARE_LEN (sizeof(share_prefix) - 1)

enum mqtt_reason
mqtt_topic_check(struct slice topic)
{
	if (topic.len == 0)
		return MQTT_TOPIC_NAME_INVALID;
	if (!mqtt_utf8_check(topic))
		return MQTT_MALFORMED_PACKET;
	if (mqtt_filter_has_wildcard(topic))
		return MQTT_TOPIC_NAME_INVALID;
	return MQTT_SUCCESS;
}

/* Wildcards stand alone in a level, and "#" in the last one only. */
static bool
wildcards_check(struct slice f)
{
	size_t i;

	for (i = 0; i < f.len; i++) {
		if (f.p[i] != '+' && f.p[i] != '#')
			continue;
		if (i > 0 && f.p[i - 1] != '/')
			return false;
		if (i + 1 == f.len)
			return true;
		if (f.p[i] == '#' || f.p[i + 1] != '/')
			return false;
	}
	return true;
}

enum mqtt_reason
mqtt_filter_check(struct slice filter)
{
	struct slice group;

	if (filter.len == 0)
		return MQTT_TOPIC_FILTER_INVALID;
	if (!mqtt_utf8_check(filter))
		return MQTT_MALFORMED_PACKET;
	if (mqtt_filter_share(&filter, &group) &&
	    (group.len == 0 || filter.len == 0 ||
	    mqtt_filter_has_wildcard(group)))
		return MQTT_TOPIC_FILTER_INVALID;
	return wildcards_check(filter) ? MQTT_SUCCESS :
	    MQTT_TOPIC_FILTER_INVALID;
}

bool
mqtt_filter_share(struct slice *filter, struct slice *group)
{
	const uint8_t *name, *slash;
	size_t rest;

	if (filter->len < SHARE_LEN ||
	    memcmp(filter->p, share_prefix, SHARE_LEN) != 0)
		return false;
	name = filter->p + SHARE_LEN;
	rest = filter->len - SHARE_LEN;
	slash = rest == 0 ? NULL : memchr(name, '/', rest);
	if (slash == NULL) {
		*group = slice_of(name, rest);
		*filter = slice_of(name + rest, 0);
		return true;
	}
	*group = slice_of(name, (size_t)(slash - name));
	*filter = slice_of(slash + 1, rest - group->len - 1);
	return true;
}

bool
mqtt_filter_has_wildcard(struct slice filter)
{
	size_t i;

	for (i = 0; i < filter.len; i++) {
		if (filter.p[i] == '+' || filter.p[i] == '#')
			return true;
	}
	return false;
}
