#include "acceptor/auth/password.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define MAKE_MEMORY 19456	/* KiB */
#define MAKE_PASSES 2
#define MAKE_LANES 1
#define HASH_LEN 32
#define PASSES_MAX 64
#define LANES_MAX 16

#define MOSQUITTO_ITERATIONS_MAX 10000000
#define MOSQUITTO_LEN_MAX 64

/* $7$ITERATIONS$SALT$HASH, both in base64 */
struct mosquitto {
	unsigned long iterations;
	uint8_t salt[MOSQUITTO_LEN_MAX], hash[MOSQUITTO_LEN_MAX];
	size_t salt_len, hash_len;
};

static bool
base64_get(const char *p, size_t n, uint8_t *out, size_t *len)
{
	uint8_t text[MOSQUITTO_LEN_MAX * 2];
	int got;

	if (n == 0 || n % 4 != 0 || n / 4 * 3 > sizeof(text) - 3)
		return false;
	got = EVP_DecodeBlock(text, (const uint8_t *)p, (int)n);
	if (got <= 0)
		return false;
	*len = (size_t)got - (p[n - 1] == '=') - (p[n - 2] == '=');
	if (*len == 0 || *len > MOSQUITTO_LEN_MAX)
		return false;
	memcpy(out, text, *len);
	return true;
}

static bool
mosquitto_get(const char *text, struct mosquitto *m)
{
	const char *salt, *hash;
	char *end;

	if (strncmp(text, "$7$", 3) != 0 || text[3] < '1' || text[3] > '9')
		return false;
	m->iterations = strtoul(text + 3, &end, 10);
	if (*end != '$' || m->iterations > MOSQUITTO_ITERATIONS_MAX)
		return false;
	salt = end + 1;
	hash = strchr(salt, '$');
	return hash != NULL &&
	    base64_get(salt, (size_t)(hash - salt), m->salt, &m->salt_len) &&
	    base64_get(hash + 1, strlen(hash + 1), m->hash, &m->hash_len);
}

static bool
argon2_is_bearable(const char *text)
{
	unsigned memory, passes, lanes;
	int end = 0;

	return sscanf(text, "$argon2id$v=19$m=%9u,t=%9u,p=%9u$%n", &memory,
	    &passes, &lanes, &end) == 3 && end > 0 &&
	    strchr(text + end, '$') != NULL &&
	    memory <= PASSWORD_MEMORY_MAX && passes <= PASSES_MAX &&
	    lanes <= LANES_MAX;
}

const char *
password_hash_check(const char *hash)
{
	struct mosquitto m;

	if (strncmp(hash, "$argon2id$", 10) == 0)
		return argon2_is_bearable(hash) ? NULL :
		    "an argon2id hash that is malformed or costs too much";
	if (strncmp(hash, "$7$", 3) == 0)
		return mosquitto_get(hash, &m) ? NULL :
		    "a malformed hash of mosquitto_passwd";
	return "neither an argon2id hash nor one of mosquitto_passwd ($7$)";
}

static bool
mosquitto_verify(const char *hash, struct slice password)
{
	uint8_t out[MOSQUITTO_LEN_MAX];
	struct mosquitto m;

	return mosquitto_get(hash, &m) &&
	    PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.len,
		m.salt, (int)m.salt_len, (int)m.iterations, EVP_sha512(),
		(int)m.hash_len, out) == 1 &&
	    CRYPTO_memcmp(out, m.hash, m.hash_len) == 0;
}

bool
password_verify(const char *hash, struct slice password)
{
	if (password.len > PASSWORD_LEN_MAX)
		return false;
	if (argon2_is_bearable(hash))
		return argon2_verify(hash, password.p, password.len,
		    Argon2_id) == ARGON2_OK;
	return mosquitto_verify(hash, password);
}

bool
password_hash(struct slice password, const uint8_t salt[16], struct buf *out)
{
	char text[256];

	if (password.len > PASSWORD_LEN_MAX ||
	    argon2id_hash_encoded(MAKE_PASSES, MAKE_MEMORY, MAKE_LANES,
		password.p, password.len, salt, 16, HASH_LEN, text,
		sizeof(text)) != ARGON2_OK)
		return false;
	buf_add_str(out, text);
	return true;
}
