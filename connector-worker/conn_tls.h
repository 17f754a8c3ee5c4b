/*
 * conn_tls - a client's TLS settings, made once for all its connections.
 * Used by conn.c; sinks see conn.h.
 */
#ifndef CONNECTOR_WORKER_CONN_TLS_H
#define CONNECTOR_WORKER_CONN_TLS_H

#include "connector-worker/conn.h"

#include <openssl/ssl.h>

SSL_CTX *conn_tls_ctx(const struct conn_tls *t);
bool conn_tls_verifies(const struct conn_tls *t);

#endif
