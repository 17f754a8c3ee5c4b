/*
 * conn - a client's connection to a target, for sinks that speak their
 * protocol themselves: name look-up, TCP, TLS if wanted, buffers, all
 * without blocking the loop.
 *
 * One attempt: what it ends with is said by on_down, after which the conn is
 * closed and only conn_free may be called; who wants another attempt opens
 * another. Inside any callback conn_free is allowed.
 */
#ifndef CONNECTOR_WORKER_CONN_H
#define CONNECTOR_WORKER_CONN_H

#include "base/buf.h"

#include <ev.h>

struct sink_options;
struct conn;
struct conn_tls;

struct conn_ops {
	/* Connected, and the TLS handshake is done. */
	void (*on_up)(struct conn *c);
	/* Bytes came; take what is whole off in (buf_consume). */
	void (*on_data)(struct conn *c, struct buf *in);
	/* It is over. reason: a text without secrets, a loan. */
	void (*on_down)(struct conn *c, const char *reason);
};

struct conn_options {
	const char *host;	/* a name, or a literal of either family */
	uint16_t port;
	struct conn_tls *tls;	/* a loan beyond the conn's life; NULL: none */
	const char *server_name;/* for TLS; NULL: host */
	uint32_t timeout_ms;	/* from open to on_up; 0: 10000 */
	size_t in_max;		/* more unread bytes end it; 0: 16 MiB */
};

struct conn *conn_open(struct ev_loop *loop, const struct conn_options *o,
    const struct conn_ops *ops, void *arg);
void conn_free(struct conn *c);
void *conn_arg(const struct conn *c);
bool conn_is_up(const struct conn *c);

/* What is added here leaves with the next conn_flush. */
struct buf *conn_out(struct conn *c);
void conn_flush(struct conn *c);
/* Bytes not yet with the kernel. */
size_t conn_pending(const struct conn *c);

/*
 * A client's TLS settings from the options tls.ca_file, tls.cert_file,
 * tls.key_file and tls.verify (CONN_TLS_OPTIONS). NULL where tls.enable is
 * false, or, with *why set (a loan), where a file cannot be used.
 */
struct conn_tls *conn_tls_new(const struct sink_options *o, const char **why);
void conn_tls_free(struct conn_tls *t);

/* The options of the `tls` object, for the table of a type. */
#define CONN_TLS_OPTIONS                                                     \
	{"tls", OPTION_OBJECT, NULL, 0, 0, NULL, 0, "TLS to the target",     \
	    "到目标的 TLS"},                                                 \
	{"tls.enable", OPTION_BOOL, "false", 0, 0, NULL, 0,                  \
	    "encrypt the connection", "加密连接"},                           \
	{"tls.ca_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,               \
	    "PEM file of the authorities to trust; absent: the system's",    \
	    "受信任 CA 的 PEM 文件；缺省使用系统的"},                        \
	{"tls.cert_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,             \
	    "PEM file of our certificate", "客户端证书的 PEM 文件"},         \
	{"tls.key_file", OPTION_STRING, NULL, 1, 4096, NULL, 0,              \
	    "PEM file of our private key", "客户端私钥的 PEM 文件"},         \
	{"tls.server_name", OPTION_STRING, NULL, 1, 255, NULL, 0,            \
	    "name to ask for and to verify; absent: the host",               \
	    "要请求并校验的名称；缺省为主机名"},                             \
	{"tls.verify", OPTION_BOOL, "true", 0, 0, NULL, 0,                   \
	    "verify the target's certificate and name",                      \
	    "校验目标的证书和名称"}

/* The pairs of those options that belong together, as faults. */
struct faults;
void conn_tls_validate(const struct sink_options *o, struct faults *faults);

#endif
