/*
 * tls - TLS 1.2 and 1.3 between bytes and bytes, by OpenSSL.
 *
 * No descriptor and no loop: what was received is given to tls_receive, and
 * what has to be sent is appended to the wire buffer that is passed along.
 * The bytes go through a BIO of our own which reads straight from the
 * caller's buffer, so that an idle connection keeps none.
 *
 * A context is made from a listener's options, in which the supervisor has
 * put the texts of the files. Connections hold a reference to theirs: a
 * reload makes a new context and leaves them alone.
 */
#ifndef ACCEPTOR_TLS_H
#define ACCEPTOR_TLS_H

#include "base/buf.h"

#include <json-c/json.h>

/* Where a client's user name comes from. */
enum tls_identity {
	IDENTITY_NONE,		/* from its CONNECT */
	IDENTITY_CN,		/* the certificate's common name */
	IDENTITY_SAN,		/* its first mail, DNS or URI name */
	IDENTITY_PSK,		/* the identity of its key */
};

struct tls_context;
struct tls;

/*
 * options: what stands under `tls` in a listener, with the texts "cert",
 * "key", "ca", "psk" and "tickets". alpn: the protocol that is spoken here.
 * scope: sessions are resumed within it. NULL with the reason in why.
 */
struct tls_context *tls_context_new(struct json_object *options,
    const char *alpn, const char *scope, char *why, size_t size);
void tls_context_free(struct tls_context *);

struct tls *tls_new(struct tls_context *);
void tls_free(struct tls *);

/* Beyond what it was given, tls_receive hands out at most so much. */
#define TLS_HELD_MAX 17408

enum tls_answer {
	TLS_MORE,	/* all is well */
	TLS_ENDED,	/* the peer has said that it ends */
	TLS_FAILED,	/* tls_problem says why; close */
};

/*
 * Takes n bytes; *got plain ones are written to out, which has room for
 * n + TLS_HELD_MAX.
 */
enum tls_answer tls_receive(struct tls *, struct slice in, uint8_t *out,
    size_t cap, size_t *got, struct buf *wire);
/* False when the connection is of no more use. */
bool tls_send(struct tls *, struct slice plain, struct buf *wire);
/* Says that nothing follows. */
void tls_end(struct tls *, struct buf *wire);

/* Of the last failure; static memory. */
const char *tls_problem(void);

/*
 * The verified name of the peer, appended to name; false when it has none.
 */
bool tls_identity(const struct tls *, enum tls_identity, struct buf *name);

#endif
