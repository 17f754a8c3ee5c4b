#include "connector-worker/conn_tls.h"

#include "base/mem.h"
#include "connector-worker/sink.h"

#include <openssl/err.h>
#include <stdlib.h>

struct conn_tls {
	SSL_CTX *ctx;
	bool verifies;
};

SSL_CTX *
conn_tls_ctx(const struct conn_tls *t)
{
	return t->ctx;
}

bool
conn_tls_verifies(const struct conn_tls *t)
{
	return t->verifies;
}

static const char *
tls_files(SSL_CTX *ctx, const char *ca, const char *cert, const char *key)
{
	if (ca == NULL)
		SSL_CTX_set_default_verify_paths(ctx);
	else if (SSL_CTX_load_verify_locations(ctx, ca, NULL) != 1)
		return "tls.ca_file cannot be read as certificates";
	if (cert == NULL)
		return NULL;
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return "tls.cert_file cannot be read as a certificate";
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return "tls.key_file cannot be read as the key of "
		       "tls.cert_file";
	return NULL;
}

struct conn_tls *
conn_tls_new(const struct sink_options *o, const char **why)
{
	const char *ca = opt_string(o, "tls.ca_file");
	const char *cert = opt_string(o, "tls.cert_file");
	const char *key = opt_string(o, "tls.key_file");
	bool verifies = opt_bool(o, "tls.verify");
	struct conn_tls *t;

	*why = NULL;
	if (!opt_bool(o, "tls.enable"))
		return NULL;
	t = mem_zalloc(1, sizeof(*t));
	t->ctx = SSL_CTX_new(TLS_client_method());
	t->verifies = verifies;
	SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(t->ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(
	    t->ctx, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	*why = tls_files(t->ctx, ca, cert, key);
	ERR_clear_error();
	if (*why == NULL)
		return t;
	conn_tls_free(t);
	return NULL;
}

void
conn_tls_free(struct conn_tls *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

void
conn_tls_validate(const struct sink_options *o, struct faults *faults)
{
	static const char *const needs_enable[] = {"tls.ca_file",
	    "tls.cert_file", "tls.key_file", "tls.server_name"};
	bool enable = opt_bool(o, "tls.enable");

	for (size_t i = 0; !enable && i < 4; i++)
		if (opt_is_set(o, needs_enable[i]))
			sink_fault(o, faults, needs_enable[i],
			    "has no effect without tls.enable: true");
	if (opt_is_set(o, "tls.cert_file") != opt_is_set(o, "tls.key_file"))
		sink_fault(o, faults,
		    opt_is_set(o, "tls.cert_file") ? "tls.cert_file"
						   : "tls.key_file",
		    "tls.cert_file and tls.key_file go together");
}
