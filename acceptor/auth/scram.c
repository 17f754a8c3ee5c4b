#include "acceptor/auth/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#define MESSAGE_MAX 4096

static bool
hmac(const uint8_t key[SCRAM_KEY_LEN], struct slice text,
    uint8_t out[SCRAM_KEY_LEN])
{
	unsigned n = 0;

	return HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, text.p, text.len, out,
		   &n) != NULL &&
	    n == SCRAM_KEY_LEN;
}

bool
scram_secret_make(struct scram_secret *s, struct slice password,
    struct slice salt, uint32_t iterations)
{
	uint8_t salted[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN];
	bool ok;

	if (salt.len == 0 || salt.len > SCRAM_SALT_MAX || iterations < 4096 ||
	    password.len > INT32_MAX)
		return false;
	memcpy(s->salt, salt.p, salt.len);
	s->salt_len = salt.len;
	s->iterations = iterations;
	ok = PKCS5_PBKDF2_HMAC((const char *)password.p, (int)password.len,
		 salt.p, (int)salt.len, (int)iterations, EVP_sha256(),
		 SCRAM_KEY_LEN, salted) == 1 &&
	    hmac(salted, SLICE_LIT("Client Key"), client_key) &&
	    hmac(salted, SLICE_LIT("Server Key"), s->server_key) &&
	    SHA256(client_key, SCRAM_KEY_LEN, s->stored_key) != NULL;
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return ok;
}

void
scram_init(struct scram *s)
{
	*s = (struct scram){0};
}

void
scram_fini(struct scram *s)
{
	buf_fini(&s->bare);
	buf_fini(&s->first);
	buf_fini(&s->username);
	buf_fini(&s->nonce);
	OPENSSL_cleanse(&s->secret, sizeof(s->secret));
}

/* Takes "X=value" up to a comma off the message. */
static bool
take_attribute(struct slice *m, char name, struct slice *value)
{
	size_t n;

	if (m->len < 2 || m->p[0] != (uint8_t)name || m->p[1] != '=')
		return false;
	for (n = 2; n < m->len && m->p[n] != ','; n++)
		if (m->p[n] == '\0')
			return false;
	*value = slice_of(m->p + 2, n - 2);
	if (n < m->len)
		n++;
	*m = slice_of(m->p + n, m->len - n);
	return true;
}

/* "=2C" is a comma, "=3D" an equals sign (RFC 5802, 5.1). */
static bool
decode_name(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '=') {
			buf_add_u8(out, s.p[i]);
			continue;
		}
		if (s.len - i < 3 || (memcmp(s.p + i, "=2C", 3) != 0 &&
		    memcmp(s.p + i, "=3D", 3) != 0))
			return false;
		buf_add_u8(out, s.p[i + 1] == '2' ? ',' : '=');
		i += 2;
	}
	return s.len > 0;
}

static bool
is_printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ',')
			return false;
	return s.len > 0;
}

bool
scram_client_first(struct scram *s, struct slice message)
{
	struct slice rest = message, name, nonce, authzid;

	if (message.len < 3 || message.len > MESSAGE_MAX ||
	    (message.p[0] != 'n' && message.p[0] != 'y') ||
	    message.p[1] != ',')
		return false;
	s->gs2 = (char)message.p[0];
	rest = slice_of(rest.p + 2, rest.len - 2);
	if (rest.p[0] == ',')
		rest = slice_of(rest.p + 1, rest.len - 1);
	else if (take_attribute(&rest, 'a', &authzid))
		return false;	/* to act for another is not supported */
	else
		return false;
	buf_add_slice(&s->bare, rest);
	if (!take_attribute(&rest, 'n', &name) ||
	    !take_attribute(&rest, 'r', &nonce) || !is_printable(nonce) ||
	    !decode_name(name, &s->username))
		return false;
	buf_add_slice(&s->nonce, nonce);
	return true;
}

static void
add_base64(struct buf *out, const uint8_t *p, size_t n)
{
	uint8_t *to = buf_reserve(out, (n + 2) / 3 * 4 + 1);

	buf_commit(out, (size_t)EVP_EncodeBlock(to, p, (int)n));
}

void
scram_server_first(struct scram *s, const struct scram_secret *secret,
    struct slice nonce, struct buf *out)
{
	s->secret = *secret;
	buf_add_slice(&s->nonce, nonce);
	buf_add_str(&s->first, "r=");
	buf_add_slice(&s->first, buf_slice(&s->nonce));
	buf_add_str(&s->first, ",s=");
	add_base64(&s->first, secret->salt, secret->salt_len);
	buf_addf(&s->first, ",i=%u", secret->iterations);
	buf_add_slice(out, buf_slice(&s->first));
}

static bool
decode_proof(struct slice text, uint8_t proof[SCRAM_KEY_LEN])
{
	uint8_t out[SCRAM_KEY_LEN + 4];

	/* 32 bytes are 44 characters, the last of them padding. */
	if (text.len != 44 || text.p[43] != '=' || text.p[42] == '=')
		return false;
	if (EVP_DecodeBlock(out, text.p, 44) != 33)
		return false;
	memcpy(proof, out, SCRAM_KEY_LEN);
	return true;
}

static bool
check_proof(struct scram *s, struct slice auth,
    const uint8_t proof[SCRAM_KEY_LEN])
{
	uint8_t signature[SCRAM_KEY_LEN], key[SCRAM_KEY_LEN],
	    stored[SCRAM_KEY_LEN];

	if (!hmac(s->secret.stored_key, auth, signature))
		return false;
	for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
		key[i] = proof[i] ^ signature[i];
	if (SHA256(key, sizeof(key), stored) == NULL)
		return false;
	return CRYPTO_memcmp(stored, s->secret.stored_key, sizeof(stored)) == 0;
}

bool
scram_client_final(struct scram *s, struct slice message, struct buf *out)
{
	struct slice rest = message, binding, nonce, text;
	uint8_t proof[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
	struct buf auth = {0};
	bool ok = false;

	if (message.len > MESSAGE_MAX ||
	    !take_attribute(&rest, 'c', &binding) ||
	    !slice_is(binding, s->gs2 == 'y' ? "eSws" : "biws") ||
	    !take_attribute(&rest, 'r', &nonce) ||
	    !slice_eq(nonce, buf_slice(&s->nonce)))
		return false;
	buf_add_slice(&auth, buf_slice(&s->bare));
	buf_add_u8(&auth, ',');
	buf_add_slice(&auth, buf_slice(&s->first));
	buf_add_u8(&auth, ',');
	/* the message without ",p=..." */
	buf_add(&auth, message.p, (size_t)(rest.p - message.p) - 1);
	if (take_attribute(&rest, 'p', &text) && rest.len == 0 &&
	    decode_proof(text, proof) &&
	    check_proof(s, buf_slice(&auth), proof) &&
	    hmac(s->secret.server_key, buf_slice(&auth), signature)) {
		buf_add_str(out, "v=");
		add_base64(out, signature, sizeof(signature));
		ok = true;
	}
	buf_fini(&auth);
	return ok;
}
