/*
 * wanted - what is wanted outside this acceptor, and whether we know it.
 *
 * The router tells the filters that other acceptors, streams and queues
 * want, and raises a number in a page that we map before it answers a
 * subscription: while our number is older, every message is handed over
 * (architecture, section 4).
 */
#ifndef ACCEPTOR_MQTT_WANTED_H
#define ACCEPTOR_MQTT_WANTED_H

#include "base/trie.h"

struct wanted {
	struct trie *trie;
	const uint64_t *page;	/* the router's, NULL before the first */
	uint64_t applied;	/* the generation that the trie shows */
	uint64_t changes;	/* raised whenever the trie changes */
};

void wanted_init(struct wanted *w);
void wanted_fini(struct wanted *w);
/* A new router's page; false when it cannot be mapped. fd stays yours. */
bool wanted_map(struct wanted *w, int fd);
void wanted_clear(struct wanted *w);
void wanted_add(struct wanted *w, struct slice filter);
void wanted_remove(struct wanted *w, struct slice filter);
/* The changes so far make up this generation. */
void wanted_apply(struct wanted *w, uint64_t generation);
bool wanted_match(const struct wanted *w, struct slice topic);

static inline bool
wanted_is_stale(const struct wanted *w)
{
	return w->page == NULL ||
	    __atomic_load_n(w->page, __ATOMIC_ACQUIRE) != w->applied;
}

#endif
