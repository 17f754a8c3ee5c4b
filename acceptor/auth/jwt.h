/*
 * jwt - JSON Web Tokens in the compact form, verified (RFC 7515, RFC 7519).
 *
 * The algorithm is the key's, never the token's: a token that names another
 * one is refused, and so is "none". HS256/384/512 with a secret of at least
 * as many bits; RS256/384/512 with RSA of 2048 bits or more; ES256/384/512
 * with the curve that belongs to it.
 */
#ifndef ACCEPTOR_AUTH_JWT_H
#define ACCEPTOR_AUTH_JWT_H

#include "base/slice.h"

#include <json-c/json.h>

struct jwt_key;

#define JWT_LEN_MAX 16384

/* alg "HS256" and so on; secret: the bytes of a shared one. NULL: not fit. */
struct jwt_key *jwt_key_secret(const char *alg, struct slice secret);
/* A public key in PEM. */
struct jwt_key *jwt_key_public(const char *alg, struct slice pem);
void jwt_key_free(struct jwt_key *k);

/*
 * NULL and *claims (the caller's, json_object_put) when the signature is
 * right and now_s is inside exp and nbf (which may be off by leeway_s);
 * a token without exp is refused where needs_exp. Else what is wrong.
 */
const char *jwt_verify(const struct jwt_key *k, struct slice token,
    uint64_t now_s, uint64_t leeway_s, bool needs_exp,
    struct json_object **claims);

#endif
