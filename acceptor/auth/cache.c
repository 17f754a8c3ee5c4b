#include "acceptor/auth/cache.h"

#include "base/buf.h"
#include "base/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define ENTRIES 16384u		/* a power of 2 */

struct entry {
	uint8_t digest[CACHE_DIGEST_LEN];
	uint64_t until_ms;
};

struct cache {
	uint8_t key[32];
	struct entry entries[ENTRIES];
};

struct cache *
cache_new(const uint8_t key[32])
{
	struct cache *c = mem_zalloc(1, sizeof(*c));

	memcpy(c->key, key, sizeof(c->key));
	return c;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
}

bool
cache_digest(const struct cache *c, struct slice name, struct slice hash,
    struct slice password, uint8_t digest[CACHE_DIGEST_LEN])
{
	struct buf text;
	unsigned n = 0;
	bool is_good;

	buf_init(&text);
	buf_add_be32(&text, (uint32_t)name.len);
	buf_add_slice(&text, name);
	buf_add_be32(&text, (uint32_t)hash.len);
	buf_add_slice(&text, hash);
	buf_add_slice(&text, password);
	is_good = HMAC(EVP_sha256(), c->key, sizeof(c->key), buf_data(&text),
	    buf_len(&text), digest, &n) != NULL && n == CACHE_DIGEST_LEN;
	OPENSSL_cleanse(text.p, text.cap);
	buf_fini(&text);
	return is_good;
}

static size_t
place_of(const uint8_t digest[CACHE_DIGEST_LEN])
{
	return (size_t)(digest[0] | digest[1] << 8) & (ENTRIES - 1);
}

void
cache_put(struct cache *c, const uint8_t digest[CACHE_DIGEST_LEN],
    uint64_t until_ms)
{
	struct entry *e = &c->entries[place_of(digest)];

	memcpy(e->digest, digest, CACHE_DIGEST_LEN);
	e->until_ms = until_ms;
}

bool
cache_has(const struct cache *c, const uint8_t digest[CACHE_DIGEST_LEN],
    uint64_t now_ms)
{
	const struct entry *e = &c->entries[place_of(digest)];

	return e->until_ms > now_ms &&
	    CRYPTO_memcmp(e->digest, digest, CACHE_DIGEST_LEN) == 0;
}
