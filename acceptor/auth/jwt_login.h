/*
 * jwt_login - a token in place of a password. Pure.
 */
#ifndef ACCEPTOR_AUTH_JWT_LOGIN_H
#define ACCEPTOR_AUTH_JWT_LOGIN_H

#include "acceptor/auth/verdict.h"

#include <json-c/json.h>

struct jwt_terms;

/* section: auth.jwt, checked. NULL: the key does not fit. */
struct jwt_terms *jwt_terms_new(struct json_object *section,
    const char *public_pem);
void jwt_terms_free(struct jwt_terms *t);

/*
 * UNKNOWN for what is no token by its looks. *why after DENIED. A token
 * needs an `exp`. username may be null: then the token says it.
 */
enum verdict jwt_login(const struct jwt_terms *t, struct slice client_id,
    struct slice username, struct slice password, uint64_t now_s,
    struct found *found, const char **why);

#endif
