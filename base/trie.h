/*
 * trie - values by topic filter, found by topic; or by topic, found by filter.
 *
 * The one index of this broker over levels (base/topic.h says what a level,
 * "+" and "#" are, and the rule of '$'): subscriptions, stream filters, ACLs,
 * AMQP bindings with filters as keys, retained messages with topics as keys.
 *
 * An entry is a key with a value that is not NULL. The trie owns its keys,
 * the caller the values. Keys are taken as they are: check them first; more
 * than TOPIC_LEVELS_MAX levels are legal but never found by
 * trie_match_filters().
 *
 * Matching allocates nothing once its scratch has grown, reports each entry
 * once, in no particular order, and visits a node of the trie at most once
 * per level of the topic. A callback must not call the same trie.
 */
#ifndef BASE_TRIE_H
#define BASE_TRIE_H

#include "base/slice.h"

struct trie;

struct trie *trie_new(void);
/* Frees the trie, and each value by free_value if that is not NULL. */
void trie_free(struct trie *t, void (*free_value)(void *value));

/*
 * The slot of the key's value; NULL is in it if the entry is new, and the
 * caller puts a value there at once. The slot stays where it is until the
 * entry is removed.
 */
void **trie_add(struct trie *t, struct slice key);
/* The value, NULL if there is none. */
void *trie_find(const struct trie *t, struct slice key);
/* Takes the entry out and returns its value, NULL if there was none. */
void *trie_remove(struct trie *t, struct slice key);
/* How many keys were added and not removed. */
size_t trie_count(const struct trie *t);

/* Keys are filters: the values of all that match the topic. */
void trie_match(const struct trie *t, struct slice topic,
    void (*cb)(void *value, void *arg), void *arg);
/* Keys are topics: the values of all that the filter matches. */
void trie_match_filters(const struct trie *t, struct slice filter,
    void (*cb)(void *value, void *arg), void *arg);
/*
 * Every entry. The key is valid during the call only. The walk stops when
 * cb returns false.
 */
void trie_walk(const struct trie *t,
    bool (*cb)(struct slice key, void *value, void *arg), void *arg);

#endif
