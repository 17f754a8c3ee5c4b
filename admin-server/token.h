/*
 * token - who may ask what beyond loopback: bearer tokens with roles.
 *
 * A viewer reads; an operator also acts on what runs; an admin may do
 * everything. What is not listed as an operator's is an admin's, so that a
 * new route is closed rather than open. Pure.
 */
#ifndef ADMIN_SERVER_TOKEN_H
#define ADMIN_SERVER_TOKEN_H

#include "admin-server/route.h"

enum token_role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN };

/* {NAME: {"role", "token"}}; a loan that is copied. NULL: there are none. */
void tokens_configure(struct json_object *tokens);
bool tokens_exist(void);
/*
 * The role behind an Authorization header, and the token's name (a loan).
 * How long it takes does not depend on how much of a token is right.
 */
enum token_role token_check(struct slice authorization, const char **name);
enum token_role token_needed(const struct route *route);

#endif
