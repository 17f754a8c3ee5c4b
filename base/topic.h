/*
 * topic - names of levels, and filters over them.
 *
 * A topic is a sequence of levels with '/' between them; "" is no topic, "/"
 * is two empty levels. In a filter the level "+" stands for one level and
 * "#" for any number of levels, none included. In the internal form "#" may
 * stand anywhere (AMQP binds so; NATS' ">" is "+/#"); filter_check() admits
 * it only where MQTT does, at the end.
 *
 * Wildcards in the first level of a filter never match a first level that
 * begins with '$' (MQTT 5, 4.7.2), in streams and queues too.
 *
 * Everything here is pure and allocates nothing.
 */
#ifndef BASE_TOPIC_H
#define BASE_TOPIC_H

#include "base/slice.h"

#define TOPIC_LEN_MAX 65535
/* Bounds the depth of every walk over levels. */
#define TOPIC_LEVELS_MAX 256

/*
 * What is wrong with a topic to publish to (MQTT 5, 4.7): a text without a
 * full stop, or NULL if nothing is. UTF-8 without NUL, no wildcards.
 */
const char *topic_check(struct slice topic);
/* The same for a filter: "+" and "#" are whole levels, "#" is the last. */
const char *filter_check(struct slice filter);

/*
 * Takes the next level off *rest. False when there is none left; then *rest
 * is SLICE_NULL. Begin with the whole topic in *rest.
 */
bool topic_next(struct slice *rest, struct slice *level);
size_t topic_levels(struct slice topic);
/* Level n, from 0; SLICE_NULL beyond the last. */
struct slice topic_level(struct slice topic, size_t n);

/* Does the filter match the topic? Time grows with the product at worst. */
bool topic_match(struct slice filter, struct slice topic);
/*
 * Does filter a match every topic that filter b matches? May say no where
 * only a union of ways covers b, which needs "#" more than once in a.
 */
bool filter_covers(struct slice a, struct slice b);
bool filter_has_wildcard(struct slice filter);
/*
 * Splits "$share/GROUP/FILTER". False if the filter is not of that form;
 * a group may be empty or hold wildcards then, which the caller refuses.
 */
bool filter_share(struct slice filter, struct slice *group,
    struct slice *rest);

#endif
