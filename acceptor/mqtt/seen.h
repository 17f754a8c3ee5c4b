/*
 * seen - hand-overs of others that were delivered here.
 *
 * A message that a dying router forwarded may be handed over to the next
 * router and forwarded again. Each sender's numbers rise, so the last one
 * tells (architecture, section 5). The senders that were silent longest are
 * forgotten.
 */
#ifndef ACCEPTOR_MQTT_SEEN_H
#define ACCEPTOR_MQTT_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_SENDERS 128

struct seen {
	struct {
		uint64_t sender;	/* its incarnation */
		uint64_t number;	/* the last */
	} last[SEEN_SENDERS];		/* the latest to speak first */
	size_t count;
};

/* Notes it; false when it was seen. Number 0 is never seen. */
bool seen_add(struct seen *s, uint64_t sender, uint64_t number);

#endif
