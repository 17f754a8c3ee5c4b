#include "acceptor/auth/jwt.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum family { FAMILY_HMAC, FAMILY_RSA, FAMILY_EC };

static const struct algorithm {
	const char *name;
	enum family family;
	const EVP_MD *(*digest)(void);
	size_t size;		/* HMAC: of the digest; EC: of r and of s */
	int bits;		/* of the key, at least; EC: exactly */
} algorithms[] = {
    {"HS256", FAMILY_HMAC, EVP_sha256, 32, 256},
    {"HS384", FAMILY_HMAC, EVP_sha384, 48, 384},
    {"HS512", FAMILY_HMAC, EVP_sha512, 64, 512},
    {"RS256", FAMILY_RSA, EVP_sha256, 0, 2048},
    {"RS384", FAMILY_RSA, EVP_sha384, 0, 2048},
    {"RS512", FAMILY_RSA, EVP_sha512, 0, 2048},
    {"ES256", FAMILY_EC, EVP_sha256, 32, 256},
    {"ES384", FAMILY_EC, EVP_sha384, 48, 384},
    {"ES512", FAMILY_EC, EVP_sha512, 66, 521},
};

struct jwt_key {
	const struct algorithm *alg;
	EVP_PKEY *public;
	uint8_t *secret;
	size_t secret_len;
};

static const struct algorithm *
algorithm_find(const char *name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(*algorithms); i++)
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	return NULL;
}

struct jwt_key *
jwt_key_secret(const char *name, struct slice secret)
{
	const struct algorithm *alg = algorithm_find(name);
	struct jwt_key *k;

	/* RFC 7518, 3.2: a key as long as the hash, or longer. */
	if (alg == NULL || alg->family != FAMILY_HMAC ||
	    secret.len < (size_t)alg->bits / 8 || secret.len > INT32_MAX)
		return NULL;
	k = mem_zalloc(1, sizeof(*k));
	k->alg = alg;
	k->secret = mem_alloc(secret.len);
	memcpy(k->secret, secret.p, secret.len);
	k->secret_len = secret.len;
	return k;
}

struct jwt_key *
jwt_key_public(const char *name, struct slice pem)
{
	const struct algorithm *alg = algorithm_find(name);
	struct jwt_key *k;
	EVP_PKEY *key;
	BIO *bio;
	bool fits;

	if (alg == NULL || alg->family == FAMILY_HMAC || pem.len > INT32_MAX)
		return NULL;
	bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (key == NULL)
		return NULL;
	if (alg->family == FAMILY_RSA)
		fits = EVP_PKEY_base_id(key) == EVP_PKEY_RSA &&
		    EVP_PKEY_bits(key) >= alg->bits;
	else
		fits = EVP_PKEY_base_id(key) == EVP_PKEY_EC &&
		    EVP_PKEY_bits(key) == alg->bits;
	if (!fits) {
		EVP_PKEY_free(key);
		return NULL;
	}
	k = mem_zalloc(1, sizeof(*k));
	k->alg = alg;
	k->public = key;
	return k;
}

void
jwt_key_free(struct jwt_key *k)
{
	if (k == NULL)
		return;
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	free(k->secret);
	EVP_PKEY_free(k->public);
	free(k);
}

static int
base64url_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

/* Without padding, and in the one canonical spelling (RFC 7515, 2). */
static bool
base64url(struct slice s, struct buf *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	int digit;

	if (s.len % 4 == 1)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if ((digit = base64url_digit(s.p[i])) == -1)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_add_u8(out, (uint8_t)(bits >> have));
		}
	}
	return (bits & ((1u << have) - 1)) == 0;
}

static bool
verify_hmac(const struct jwt_key *k, struct slice text, struct slice signature)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (HMAC(k->alg->digest(), k->secret, (int)k->secret_len, text.p,
		text.len, mac, &n) == NULL)
		return false;
	return signature.len == n &&
	    CRYPTO_memcmp(mac, signature.p, n) == 0;
}

/* r and s side by side (RFC 7518, 3.4) as the DER that OpenSSL reads. */
static int
ec_der(const struct jwt_key *k, struct slice raw, uint8_t **der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	size_t half = k->alg->size;
	int n;

	ECDSA_SIG_set0(sig, BN_bin2bn(raw.p, (int)half, NULL),
	    BN_bin2bn(raw.p + half, (int)half, NULL));
	n = i2d_ECDSA_SIG(sig, der);
	ECDSA_SIG_free(sig);
	return n;
}

static bool
verify_public(
    const struct jwt_key *k, struct slice text, struct slice signature)
{
	EVP_MD_CTX *ctx;
	uint8_t *der = NULL;
	bool ok;
	int n;

	if (k->alg->family == FAMILY_EC) {
		if (signature.len != 2 * k->alg->size)
			return false;
		if ((n = ec_der(k, signature, &der)) <= 0)
			return false;
		signature = slice_of(der, (size_t)n);
	}
	ctx = EVP_MD_CTX_new();
	ok = EVP_DigestVerifyInit(
		 ctx, NULL, k->alg->digest(), NULL, k->public) == 1 &&
	    EVP_DigestVerify(
		ctx, signature.p, signature.len, text.p, text.len) == 1;
	EVP_MD_CTX_free(ctx);
	OPENSSL_free(der);
	ERR_clear_error();
	return ok;
}

/* Splits at the dots: exactly three parts. */
static bool
split(struct slice token, struct slice parts[3])
{
	const uint8_t *first, *second, *end = token.p + token.len;

	first = memchr(token.p, '.', token.len);
	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	if (second == NULL ||
	    memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL)
		return false;
	parts[0] = slice_of(token.p, (size_t)(first - token.p));
	parts[1] = slice_of(first + 1, (size_t)(second - first - 1));
	parts[2] = slice_of(second + 1, (size_t)(end - second - 1));
	return true;
}

static struct json_object *
decode_object(struct slice part)
{
	struct buf text = {0};
	struct json_object *o = NULL;

	if (base64url(part, &text))
		o = json_parse(buf_slice(&text));
	if (o != NULL && !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = NULL;
	}
	buf_fini(&text);
	return o;
}

/* A NumericDate; false: there is one, but it is none. */
static bool
claim_time(struct json_object *claims, const char *name, bool *has, double *t)
{
	struct json_object *v = json_member(claims, name);

	*has = v != NULL;
	if (v == NULL)
		return true;
	if (!json_object_is_type(v, json_type_int) &&
	    !json_object_is_type(v, json_type_double))
		return false;
	*t = json_object_get_double(v);
	return isfinite(*t);
}

static const char *
check_times(struct json_object *claims, uint64_t now_s, uint64_t leeway_s,
    bool needs_exp)
{
	double exp = 0, nbf = 0, now = (double)now_s, leeway = (double)leeway_s;
	bool has_exp, has_nbf;

	if (!claim_time(claims, "exp", &has_exp, &exp) ||
	    !claim_time(claims, "nbf", &has_nbf, &nbf))
		return "exp or nbf is not a number";
	if (!has_exp && needs_exp)
		return "it has no exp";
	if (has_exp && now >= exp + leeway)
		return "it has expired";
	if (has_nbf && now + leeway < nbf)
		return "it is not valid yet";
	return NULL;
}

static const char *
check_header(const struct jwt_key *k, struct slice part)
{
	struct json_object *head = decode_object(part);
	const char *why = NULL;

	if (head == NULL)
		return "its header cannot be read";
	if (strcmp(json_get_str(head, "alg", ""), k->alg->name) != 0)
		why = "its algorithm is not the key's";
	else if (json_member(head, "crit") != NULL)
		why = "it has critical extensions";
	json_object_put(head);
	return why;
}

const char *
jwt_verify(const struct jwt_key *k, struct slice token, uint64_t now_s,
    uint64_t leeway_s, bool needs_exp, struct json_object **claims)
{
	struct slice parts[3], text;
	struct buf signature = {0};
	const char *why;
	bool ok;

	*claims = NULL;
	if (token.len > JWT_LEN_MAX || !split(token, parts))
		return "it is not a token";
	if ((why = check_header(k, parts[0])) != NULL)
		return why;
	text = slice_of(token.p, parts[0].len + 1 + parts[1].len);
	ok = base64url(parts[2], &signature) &&
	    (k->alg->family == FAMILY_HMAC
		    ? verify_hmac(k, text, buf_slice(&signature))
		    : verify_public(k, text, buf_slice(&signature)));
	buf_fini(&signature);
	if (!ok)
		return "its signature is wrong";
	if ((*claims = decode_object(parts[1])) == NULL)
		return "its claims cannot be read";
	if ((why = check_times(*claims, now_s, leeway_s, needs_exp)) != NULL) {
		json_object_put(*claims);
		*claims = NULL;
	}
	return why;
}
