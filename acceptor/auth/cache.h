/*
 * cache - good logins, remembered for a while. Pure.
 *
 * An entry is the HMAC, under a key of this process alone, of the user, its
 * stored hash and the password: nothing can be read from it, and a changed
 * password is another entry. Direct-mapped: a login may push out another.
 */
#ifndef ACCEPTOR_AUTH_CACHE_H
#define ACCEPTOR_AUTH_CACHE_H

#include "base/slice.h"

#define CACHE_DIGEST_LEN 32

struct cache;

struct cache *cache_new(const uint8_t key[32]);
void cache_free(struct cache *c);
bool cache_digest(const struct cache *c, struct slice name, struct slice hash,
    struct slice password, uint8_t digest[CACHE_DIGEST_LEN]);
void cache_put(struct cache *c, const uint8_t digest[CACHE_DIGEST_LEN],
    uint64_t until_ms);
bool cache_has(const struct cache *c, const uint8_t digest[CACHE_DIGEST_LEN],
    uint64_t now_ms);

#endif
