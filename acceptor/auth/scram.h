/*
 * scram - the server's half of SCRAM-SHA-256 (RFC 5802, RFC 7677).
 *
 * Pure but for the nonce, which the caller gives. No channel binding ("n"
 * and "y" headers; "p" is refused). Messages are what the mechanism's texts
 * say, without any protocol's envelope.
 */
#ifndef ACCEPTOR_AUTH_SCRAM_H
#define ACCEPTOR_AUTH_SCRAM_H

#include "base/buf.h"

#define SCRAM_KEY_LEN 32
#define SCRAM_SALT_MAX 64

/* What is stored of a password: it cannot be turned back into it. */
struct scram_secret {
	uint8_t stored_key[SCRAM_KEY_LEN];
	uint8_t server_key[SCRAM_KEY_LEN];
	uint8_t salt[SCRAM_SALT_MAX];
	size_t salt_len;
	uint32_t iterations;
};

bool scram_secret_make(struct scram_secret *s, struct slice password,
    struct slice salt, uint32_t iterations);

struct scram {
	struct buf bare;	/* client-first-message-bare */
	struct buf first;	/* server-first-message */
	struct buf username;	/* decoded; known after the first message */
	struct buf nonce;	/* the client's and ours */
	char gs2;		/* 'n' or 'y' */
	struct scram_secret secret;
};

void scram_init(struct scram *s);
void scram_fini(struct scram *s);

/* Reads the client's first message: s->username is known then. */
bool scram_client_first(struct scram *s, struct slice message);
/* Our answer to it; nonce: at least 18 random printable bytes. */
void scram_server_first(struct scram *s, const struct scram_secret *secret,
    struct slice nonce, struct buf *out);
/*
 * Checks the proof. True: authenticated, out holds the server's final
 * message.
 */
bool scram_client_final(struct scram *s, struct slice message, struct buf *out);

#endif
