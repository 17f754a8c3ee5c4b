#include "acceptor/tls_private.h"

#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct tls {
	SSL *ssl;
	struct tls_context *context;
	struct slice in;	/* what the BIO reads from, during a call */
	struct buf *wire;	/* what it writes to */
};

static char problem[256];

/* ---- the BIO ------------------------------------------------------------ */

static int
bio_read(BIO *b, char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	size_t len = (size_t)n < t->in.len ? (size_t)n : t->in.len;

	BIO_clear_retry_flags(b);
	if (len == 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	memcpy(p, t->in.p, len);
	t->in.p += len;
	t->in.len -= len;
	return (int)len;
}

static int
bio_write(BIO *b, const char *p, int n)
{
	struct tls *t = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (t->wire != NULL)
		buf_add(t->wire, p, (size_t)n);
	return n;
}

static long
bio_ctrl(BIO *b, int command, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
bio_method(void)
{
	static BIO_METHOD *method;

	if (method != NULL)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
	    "buffers");
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
	return method;
}

/* ---- life --------------------------------------------------------------- */

struct tls *
tls_new(struct tls_context *c)
{
	struct tls *t = mem_zalloc(1, sizeof(*t));
	BIO *b = BIO_new(bio_method());

	t->ssl = SSL_new(c->ctx);
	if (b == NULL || t->ssl == NULL)
		abort();
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	SSL_set_accept_state(t->ssl);
	t->context = c;
	c->references++;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	/* Without it OpenSSL would not let the session be resumed. */
	SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	tls_context_free(t->context);
	free(t);
}

const char *
tls_problem(void)
{
	return problem;
}

static enum tls_answer
tls_fail(struct tls *t)
{
	unsigned long e = ERR_peek_last_error();
	long verified = SSL_get_verify_result(t->ssl);
	const char *why = ERR_reason_error_string(e);

	snprintf(problem, sizeof(problem), "%s%s%s",
	    why == NULL ? "the stream broke" : why,
	    verified == X509_V_OK ? "" : ": ", verified == X509_V_OK ? "" :
	    X509_verify_cert_error_string(verified));
	ERR_clear_error();
	return TLS_FAILED;
}

/* ---- bytes -------------------------------------------------------------- */

enum tls_answer
tls_receive(struct tls *t, struct slice in, uint8_t *out, size_t cap,
    size_t *got, struct buf *wire)
{
	size_t n;
	int rc, error;

	*got = 0;
	t->in = in;
	t->wire = wire;
	ERR_clear_error();
	while (*got < cap) {
		rc = SSL_read_ex(t->ssl, out + *got, cap - *got, &n);
		if (rc == 1) {
			*got += n;
			continue;
		}
		error = SSL_get_error(t->ssl, rc);
		t->wire = NULL;
		if (error == SSL_ERROR_WANT_READ)
			return TLS_MORE;
		return error == SSL_ERROR_ZERO_RETURN ? TLS_ENDED :
		    tls_fail(t);
	}
	/* The caller has broken its word about the room. */
	t->wire = NULL;
	return t->in.len == 0 && SSL_pending(t->ssl) == 0 ? TLS_MORE :
	    tls_fail(t);
}

bool
tls_send(struct tls *t, struct slice plain, struct buf *wire)
{
	size_t n;
	bool is_good = true;

	t->in = SLICE_EMPTY;
	t->wire = wire;
	ERR_clear_error();
	while (is_good && plain.len > 0) {
		is_good = SSL_write_ex(t->ssl, plain.p, plain.len, &n) == 1;
		if (!is_good)
			break;
		plain.p += n;
		plain.len -= n;
	}
	t->wire = NULL;
	if (!is_good)
		tls_fail(t);
	return is_good;
}

void
tls_end(struct tls *t, struct buf *wire)
{
	if (!SSL_is_init_finished(t->ssl))
		return;
	t->in = SLICE_EMPTY;
	t->wire = wire;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	ERR_clear_error();
	t->wire = NULL;
}

/* ---- who it is ---------------------------------------------------------- */

/* A name with a NUL in it is meant to deceive. */
static bool
name_add(const ASN1_STRING *s, struct buf *name)
{
	unsigned char *utf8 = NULL;
	int n = s == NULL ? -1 : ASN1_STRING_to_UTF8(&utf8, s);
	bool is_good = n > 0 && n <= 65535 &&
	    memchr(utf8, '\0', (size_t)n) == NULL;

	if (is_good)
		buf_add(name, utf8, (size_t)n);
	OPENSSL_free(utf8);
	return is_good;
}

static bool
common_name_add(X509 *x, struct buf *name)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	return at >= 0 && name_add(X509_NAME_ENTRY_get_data(
	    X509_NAME_get_entry(subject, at)), name);
}

static bool
alternative_add(X509 *x, struct buf *name)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	const GENERAL_NAME *g;
	bool is_found = false;
	int i;

	for (i = 0; all != NULL && !is_found && i < sk_GENERAL_NAME_num(all);
	    i++) {
		g = sk_GENERAL_NAME_value(all, i);
		if (g->type == GEN_EMAIL || g->type == GEN_DNS ||
		    g->type == GEN_URI)
			is_found = name_add(g->d.ia5, name);
	}
	GENERAL_NAMES_free(all);
	return is_found;
}

static bool
certificate_name(const struct tls *t, enum tls_identity from, struct buf *name)
{
	X509 *x = SSL_get0_peer_certificate(t->ssl);

	if (x == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK ||
	    (SSL_get_verify_mode(t->ssl) & SSL_VERIFY_PEER) == 0)
		return false;
	return from == IDENTITY_CN ? common_name_add(x, name) :
	    alternative_add(x, name);
}

bool
tls_identity(const struct tls *t, enum tls_identity from, struct buf *name)
{
	const char *psk;

	switch (from) {
	case IDENTITY_NONE:
		return false;
	case IDENTITY_CN:
	case IDENTITY_SAN:
		return certificate_name(t, from, name);
	case IDENTITY_PSK:
		psk = SSL_get_psk_identity(t->ssl);
		if (psk == NULL)
			return false;
		buf_add_str(name, psk);
		return true;
	}
	return false;
}
