/*
 * password - hashes of passwords, made and checked. Pure.
 *
 * Made: argon2id, 19 MiB, 2 passes. Checked too: what mosquitto_passwd
 * writes ($7$: PBKDF2 with SHA-512). A hash that would cost more than
 * PASSWORD_MEMORY_MAX or an absurd time is refused, not computed.
 */
#ifndef ACCEPTOR_AUTH_PASSWORD_H
#define ACCEPTOR_AUTH_PASSWORD_H

#include "base/buf.h"

#define PASSWORD_MEMORY_MAX (256u << 10)	/* KiB */
#define PASSWORD_LEN_MAX 65535

/* NULL, or what is wrong with a hash as it is stored. */
const char *password_hash_check(const char *hash);
/* Takes as long as the hash asks: not for a loop. */
bool password_verify(const char *hash, struct slice password);
/* Appends the hash; salt: 16 random bytes. */
bool password_hash(struct slice password, const uint8_t salt[16],
    struct buf *out);

#endif
