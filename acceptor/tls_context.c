/* What all connections of a listener share: certificate, keys, rules. */
#include "acceptor/tls_private.h"

#include "base/json.h"
#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

/* PEM files that want a pass phrase must not ask the terminal. */
static int
no_pass_phrase(char *text, int size, int is_writing, void *arg)
{
	(void)text;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static BIO *
text_bio(const char *text)
{
	BIO *b = BIO_new_mem_buf(text, -1);

	return b;
}

static X509 *
next_certificate(BIO *b)
{
	return PEM_read_bio_X509(b, NULL, no_pass_phrase, NULL);
}

/* The leaf first, then what leads to the root. */
static const char *
certificate_use(SSL_CTX *c, const char *text)
{
	BIO *b = text_bio(text);
	X509 *x = next_certificate(b);
	bool is_good = x != NULL && SSL_CTX_use_certificate(c, x) == 1;

	X509_free(x);
	while (is_good && (x = next_certificate(b)) != NULL)
		if (SSL_CTX_add0_chain_cert(c, x) != 1) {
			X509_free(x);
			is_good = false;
		}
	BIO_free(b);
	return is_good ? NULL : "tls.cert_file has no certificate in PEM";
}

static const char *
key_use(SSL_CTX *c, const char *text)
{
	BIO *b = text_bio(text);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, no_pass_phrase, NULL);
	bool is_good = key != NULL && SSL_CTX_use_PrivateKey(c, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(b);
	if (!is_good)
		return "tls.key_file has no private key in PEM without a "
		    "pass phrase that fits the certificate";
	if (SSL_CTX_check_private_key(c) != 1)
		return "the key of tls.key_file is not the certificate's";
	return NULL;
}

static const char *
authorities_use(SSL_CTX *c, const char *text)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c);
	BIO *b = text_bio(text);
	X509 *x;
	int count = 0;

	while ((x = next_certificate(b)) != NULL) {
		count += X509_STORE_add_cert(store, x) == 1 &&
		    SSL_CTX_add_client_CA(c, x) == 1;
		X509_free(x);
	}
	BIO_free(b);
	return count > 0 ? NULL : "tls.ca_file has no certificate in PEM";
}

/* Names of TLS 1.3 begin with TLS_; OpenSSL wants them apart. */
static const char *
ciphers_use(SSL_CTX *c, const char *names)
{
	struct buf old, new;
	const char *p = names, *end;
	bool is_good = true;

	buf_init(&old);
	buf_init(&new);
	for (; *p != '\0'; p = *end == '\0' ? end : end + 1) {
		struct buf *to = strncmp(p, "TLS_", 4) == 0 ? &new : &old;

		end = p + strcspn(p, ":");
		buf_addf(to, "%s%.*s", buf_len(to) > 0 ? ":" : "",
		    (int)(end - p), p);
	}
	if (buf_len(&old) > 0)
		is_good = SSL_CTX_set_cipher_list(c, buf_cstr(&old)) == 1;
	if (buf_len(&new) > 0)
		is_good &= SSL_CTX_set_ciphersuites(c, buf_cstr(&new)) == 1;
	buf_fini(&old);
	buf_fini(&new);
	return is_good ? NULL : "tls.ciphers names none that OpenSSL knows";
}

static const char *
peers_verify(SSL_CTX *c, struct json_object *o)
{
	const char *how = json_get_str(o, "verify", "none");
	const char *ca = json_get_str(o, "ca", NULL);
	const char *why = ca == NULL ? NULL : authorities_use(c, ca);
	int mode = SSL_VERIFY_NONE;

	if (strcmp(how, "none") != 0)
		mode |= SSL_VERIFY_PEER;
	if (strcmp(how, "required") == 0)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	if (mode != SSL_VERIFY_NONE && ca == NULL)
		why = "tls.verify needs a tls.ca_file";
	SSL_CTX_set_verify(c, mode, NULL);
	return why;
}

/* ---- pre-shared keys ---------------------------------------------------- */

/* Lines IDENTITY:HEX, as mosquitto's psk_file has them. */
static unsigned
on_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned max)
{
	const struct tls_context *c = SSL_CTX_get_app_data(
	    SSL_get_SSL_CTX(ssl));
	const char *line = c->psk, *end;
	size_t n = strlen(identity), len = 0;

	for (; n > 0 && line != NULL && *line != '\0';
	    line = *end == '\0' ? end : end + 1) {
		end = line + strcspn(line, "\n");
		if (line[0] == '#' || strncmp(line, identity, n) != 0 ||
		    line[n] != ':')
			continue;
		line += n + 1;
		n = strspn(line, "0123456789abcdefABCDEF");
		if (n < 2 || n % 2 != 0 || n / 2 > max || n / 2 > 64)
			return 0;
		char hex[130];

		memcpy(hex, line, n);
		hex[n] = '\0';
		return OPENSSL_hexstr2buf_ex(key, max, &len, hex, '\0') == 1 ?
		    (unsigned)len : 0;
	}
	return 0;
}

/* ---- tickets ------------------------------------------------------------ */

/*
 * The supervisor makes the keys, so that a session begun with one acceptor
 * is resumed by another; the first key is the newest.
 */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_new)
{
	const struct tls_context *c = SSL_CTX_get_app_data(
	    SSL_get_SSL_CTX(ssl));
	const struct ticket_key *k = c->tickets;
	size_t i = 0;
	OSSL_PARAM params[3];
	char digest[] = "SHA256";

	if (is_new && RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
		return -1;
	if (is_new)
		memcpy(name, k->name, sizeof(k->name));
	while (i < c->ticket_count &&
	    memcmp(name, k[i].name, sizeof(k->name)) != 0)
		i++;
	if (i == c->ticket_count)
		return 0;
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
	    (void *)k[i].mac, sizeof(k[i].mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	    digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k[i].cipher,
	    iv, is_new) != 1 || EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	/* 2: good, and to be replaced by one of the newest key */
	return is_new || i == 0 ? 1 : 2;
}

/* Hexadecimal keys, the newest first. */
static void
tickets_use(struct tls_context *c, struct json_object *list)
{
	size_t i, n = json_object_is_type(list, json_type_array) ?
	    json_object_array_length(list) : 0, len;

	for (i = 0; i < n && c->ticket_count < TICKET_KEYS; i++)
		if (OPENSSL_hexstr2buf_ex((unsigned char *)
		    &c->tickets[c->ticket_count], sizeof(c->tickets[0]), &len,
		    json_object_get_string(json_object_array_get_idx(list, i)),
		    '\0') == 1 && len == sizeof(c->tickets[0]))
			c->ticket_count++;
	if (c->ticket_count == 0) {
		SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
		return;
	}
	SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ctx, on_ticket);
}

/*
 * A ticket says that a certificate was good: with other authorities or
 * another rule it must not be taken.
 */
static void
scope_use(SSL_CTX *c, struct json_object *o, const char *scope)
{
	char *text = mem_printf("%s %s %s", scope,
	    json_get_str(o, "verify", "none"), json_get_str(o, "ca", ""));
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	EVP_Digest(text, strlen(text), digest, &n, EVP_sha256(), NULL);
	SSL_CTX_set_session_id_context(c, digest, n);
	free(text);
}

/* ---- life --------------------------------------------------------------- */

/* RFC 7301, 3.2: an offer without our protocol ends the handshake. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
    const unsigned char *in, unsigned n, void *arg)
{
	const struct tls_context *c = arg;
	unsigned char *found;

	(void)ssl;
	if (SSL_select_next_proto(&found, len, c->alpn, c->alpn_len, in, n) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = found;
	return SSL_TLSEXT_ERR_OK;
}

static void
manners_set(struct tls_context *c, struct json_object *o)
{
	const char *min = json_get_str(o, "min_version", "1.2");

	SSL_CTX_set_min_proto_version(c->ctx, strcmp(min, "1.3") == 0 ?
	    TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(c->ctx, 1);
	SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, c);
	SSL_CTX_set_app_data(c->ctx, c);
}

/*
 * Without a certificate there are only the keys: in TLS 1.3 those go with
 * SHA-256 only.
 */
static const char *
psk_use(struct tls_context *c, const char *text, bool has_certificate)
{
	if (text == NULL)
		return has_certificate ? NULL :
		    "tls.cert_file and tls.key_file are missing";
	c->psk = mem_strdup(text);
	SSL_CTX_set_psk_server_callback(c->ctx, on_psk);
	if (!has_certificate && SSL_CTX_set_ciphersuites(c->ctx,
	    "TLS_AES_128_GCM_SHA256") != 1)
		return "OpenSSL has no TLS_AES_128_GCM_SHA256";
	return NULL;
}

static const char *
options_use(struct tls_context *c, struct json_object *o, const char *scope)
{
	const char *cert = json_get_str(o, "cert", NULL);
	const char *key = json_get_str(o, "key", NULL);
	const char *ciphers = json_get_str(o, "ciphers", NULL), *why = NULL;

	manners_set(c, o);
	if (cert != NULL)
		why = certificate_use(c->ctx, cert);
	if (why == NULL && cert != NULL)
		why = key == NULL ? "tls.key_file is missing" :
		    key_use(c->ctx, key);
	if (why == NULL)
		why = psk_use(c, json_get_str(o, "psk", NULL), cert != NULL);
	if (why == NULL)
		why = peers_verify(c->ctx, o);
	if (why == NULL && ciphers != NULL)
		why = ciphers_use(c->ctx, ciphers);
	tickets_use(c, json_member(o, "tickets"));
	scope_use(c->ctx, o, scope);
	return why;
}

struct tls_context *
tls_context_new(struct json_object *options, const char *alpn,
    const char *scope, char *why, size_t size)
{
	struct tls_context *c = mem_zalloc(1, sizeof(*c));
	const char *wrong;

	c->references = 1;
	c->alpn_len = (unsigned)snprintf((char *)c->alpn, sizeof(c->alpn),
	    "%c%s", (int)strlen(alpn), alpn);
	c->ctx = SSL_CTX_new(TLS_server_method());
	wrong = c->ctx == NULL ? "no memory" : options_use(c, options, scope);
	ERR_clear_error();
	if (wrong == NULL)
		return c;
	snprintf(why, size, "%s", wrong);
	tls_context_free(c);
	return NULL;
}

void
tls_context_free(struct tls_context *c)
{
	if (c == NULL || --c->references > 0)
		return;
	SSL_CTX_free(c->ctx);
	if (c->psk != NULL)
		OPENSSL_cleanse(c->psk, strlen(c->psk));
	free(c->psk);
	OPENSSL_cleanse(c->tickets, sizeof(c->tickets));
	free(c);
}
