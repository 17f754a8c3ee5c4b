/* links: acceptor_auth base crypto */
#include "acceptor/auth/jwt.h"

#include "base/buf.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#define NOW 1700000000
static const char secret[] = "0123456789abcdef0123456789abcdef";

static void
add_base64url(struct buf *b, const void *p, size_t n)
{
	char text[4096];
	int len = EVP_EncodeBlock((unsigned char *)text, p, (int)n);

	while (len > 0 && text[len - 1] == '=')
		len--;
	for (int i = 0; i < len; i++)
		buf_add_u8(b, text[i] == '+' ? '-' : text[i] == '/' ? '_'
								    : text[i]);
}

static void
add_text(struct buf *b, const char *head, const char *claims)
{
	add_base64url(b, head, strlen(head));
	buf_add_u8(b, '.');
	add_base64url(b, claims, strlen(claims));
}

static void
token_hs256(struct buf *b, const char *head, const char *claims)
{
	uint8_t mac[32];
	unsigned n;

	add_text(b, head, claims);
	HMAC(EVP_sha256(), secret, 32, buf_data(b), buf_len(b), mac, &n);
	buf_add_u8(b, '.');
	add_base64url(b, mac, n);
}

static const char *
verify(const char *head, const char *claims)
{
	struct jwt_key *k = jwt_key_secret("HS256", slice_str(secret));
	struct json_object *o;
	struct buf b = {0};
	const char *why;

	token_hs256(&b, head, claims);
	why = jwt_verify(k, buf_slice(&b), NOW, 5, true, &o);
	cr_assert((o != NULL) == (why == NULL));
	json_object_put(o);
	jwt_key_free(k);
	buf_fini(&b);
	return why;
}

#define HS "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

Test(jwt, times)
{
	cr_assert_null(verify(HS, "{\"exp\":1700000060}"));
	cr_assert_null(verify(HS, "{\"exp\":1699999996}"), "within leeway");
	cr_assert_not_null(verify(HS, "{\"exp\":1699999995}"));
	cr_assert_not_null(verify(HS, "{}"));
	cr_assert_not_null(verify(HS, "{\"exp\":\"1700000060\"}"));
	cr_assert_not_null(verify(HS, "{\"exp\":1e400}"));
	cr_assert_not_null(
	    verify(HS, "{\"exp\":1700000060,\"nbf\":1700000050}"));
}

Test(jwt, the_algorithm_is_the_keys)
{
	cr_assert_not_null(
	    verify("{\"alg\":\"none\"}", "{\"exp\":1700000060}"));
	cr_assert_not_null(
	    verify("{\"alg\":\"HS512\"}", "{\"exp\":1700000060}"));
	cr_assert_not_null(verify("{}", "{\"exp\":1700000060}"));
	cr_assert_not_null(verify("{\"alg\":\"HS256\",\"crit\":[\"x\"]}",
	    "{\"exp\":1700000060}"));
	cr_assert_null(jwt_key_secret("HS256", slice_str("short")));
	cr_assert_null(jwt_key_secret("RS256", slice_str(secret)));
}

Test(jwt, every_changed_byte_is_refused)
{
	struct jwt_key *k = jwt_key_secret("HS256", slice_str(secret));
	struct json_object *o;
	struct buf b = {0};

	token_hs256(&b, HS, "{\"exp\":1700000060,\"sub\":\"device-1\"}");
	cr_assert_null(jwt_verify(k, buf_slice(&b), NOW, 0, true, &o));
	cr_assert_str_eq(json_get_str(o, "sub", ""), "device-1");
	json_object_put(o);
	for (size_t i = 0; i < buf_len(&b); i++) {
		b.p[i] ^= 1;
		cr_assert_not_null(
		    jwt_verify(k, buf_slice(&b), NOW, 0, true, &o), "%zu", i);
		b.p[i] ^= 1;
		cr_assert_not_null(jwt_verify(
		    k, slice_of(buf_data(&b), i), NOW, 0, true, &o));
	}
	jwt_key_free(k);
	buf_fini(&b);
}

static void
check_public(const char *alg, EVP_PKEY *key, bool is_ec)
{
	char head[64];
	struct buf b = {0};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[512], raw[64];
	const uint8_t *p = sig;
	size_t n = sizeof(sig);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;
	struct jwt_key *k;
	struct json_object *o;

	snprintf(head, sizeof(head), "{\"alg\":\"%s\"}", alg);
	add_text(&b, head, "{\"exp\":1700000060}");
	EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key);
	cr_assert_eq(EVP_DigestSign(ctx, sig, &n, buf_data(&b), buf_len(&b)), 1);
	if (is_ec) {
		ECDSA_SIG *e = d2i_ECDSA_SIG(NULL, &p, (long)n);

		BN_bn2binpad(ECDSA_SIG_get0_r(e), raw, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(e), raw + 32, 32);
		memcpy(sig, raw, 64);
		n = 64;
		ECDSA_SIG_free(e);
	}
	buf_add_u8(&b, '.');
	add_base64url(&b, sig, n);
	PEM_write_bio_PUBKEY(bio, key);
	len = BIO_get_mem_data(bio, &pem);
	k = jwt_key_public(alg, slice_of(pem, (size_t)len));
	cr_assert_not_null(k);
	cr_assert_null(jwt_verify(k, buf_slice(&b), NOW, 0, true, &o));
	json_object_put(o);
	/* a public key is no shared secret: the classic confusion */
	cr_assert_null(jwt_key_public("HS256", slice_of(pem, (size_t)len)));
	b.p[buf_len(&b) - 8] ^= 1;
	cr_assert_not_null(jwt_verify(k, buf_slice(&b), NOW, 0, true, &o));
	cr_assert_null(jwt_key_public(
	    is_ec ? "RS256" : "ES256", slice_of(pem, (size_t)len)));
	jwt_key_free(k);
	BIO_free(bio);
	EVP_MD_CTX_free(ctx);
	buf_fini(&b);
}

Test(jwt, rsa_and_elliptic_curves)
{
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;

	check_public("RS256", rsa, false);
	check_public("ES256", ec, true);
	PEM_write_bio_PUBKEY(bio, small);
	len = BIO_get_mem_data(bio, &pem);
	cr_assert_null(jwt_key_public("RS256", slice_of(pem, (size_t)len)));
	cr_assert_null(jwt_key_public("RS256", slice_str("garbage")));
	BIO_free(bio);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
	EVP_PKEY_free(ec);
}
