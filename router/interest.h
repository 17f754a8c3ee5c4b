/*
 * interest - who wants what: per filter the processes, streams and persistent
 * sessions that want it, found by topic.
 *
 * Pure: owns its filters, never what they refer to. A process is a slot
 * number (its clean sessions' and QoS 0 subscriptions' filters); an attached
 * slot is told, by on_wanted, which filters are wanted outside it: by
 * another process, a stream or a session.
 *
 * Architecture, section 4.
 */
#ifndef ROUTER_INTEREST_H
#define ROUTER_INTEREST_H

#include "base/slice.h"

#define INTEREST_SLOTS 63

struct session;
struct stream;
struct trie;

/* A subscription of a persistent session; lives in its session. */
struct sub {
	struct session *session;
	struct filter *filter;	/* NULL: not in the interest (QoS 0) */
	uint32_t pos;		/* in the filter's list */
	uint32_t id;		/* MQTT 5, 3.8.2.1.2; 0 none */
	uint8_t options;	/* MQTT 5, 3.8.3.1 */
	uint16_t len;
	char text[];		/* the filter, len bytes */
};

/*
 * Who wants one filter. Most filters are of processes only: those have no
 * such struct, only their set of slots.
 */
struct filter {
	uint64_t slots;		/* bit set */
	struct stream **streams;
	struct sub **subs;
	uint32_t streams_len, streams_cap;
	uint32_t subs_len, subs_cap;
};

struct interest {
	struct trie *trie;
	uint64_t attached;	/* slots that are told what is wanted */
	uint64_t version;	/* rises with every change: cached matches */
	bool has_grown;		/* something became wanted: caller clears */
	void (*on_wanted)(void *owner, unsigned slot, bool add,
	    struct slice filter);
	void *owner;
};

void interest_init(struct interest *in);
void interest_fini(struct interest *in);

void interest_add_slot(
    struct interest *in, struct slice filter, unsigned slot);
void interest_remove_slot(
    struct interest *in, struct slice filter, unsigned slot);
/* The process is gone: all that it wanted. */
void interest_clear_slot(struct interest *in, unsigned slot);
/* A new listener of on_wanted; it is told all that is wanted outside. */
void interest_attach(struct interest *in, unsigned slot);
void interest_detach(struct interest *in, unsigned slot);

void interest_add_stream(
    struct interest *in, struct slice filter, struct stream *st);
void interest_remove_stream(
    struct interest *in, struct slice filter, struct stream *st);
/* By sub->text; sets sub->filter and sub->pos. */
void interest_add_sub(struct interest *in, struct sub *sub);
void interest_remove_sub(struct interest *in, struct sub *sub);

/* The loan of f ends with the call. */
void interest_match(const struct interest *in, struct slice topic,
    void (*cb)(const struct filter *f, void *arg), void *arg);

#endif
