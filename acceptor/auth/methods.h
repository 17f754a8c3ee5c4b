/*
 * methods - the ways in which a client may show who it is, as configured.
 */
#ifndef ACCEPTOR_AUTH_METHODS_H
#define ACCEPTOR_AUTH_METHODS_H

#include "base/slice.h"

#include <json-c/json.h>

enum method { METHOD_USERS, METHOD_JWT, METHOD_HTTP, METHODS };

struct jwt_terms;
struct http_service;

struct methods {
	enum method order[METHODS];
	size_t count;
	struct jwt_terms *jwt;		/* NULL: not configured */
	struct http_service *http;	/* NULL: not configured */
};
extern struct methods methods;

/*
 * auth: the section; files: what stands in the files that it names. NULL, or
 * what is wrong with it (then what was in force stays).
 */
const char *methods_configure(struct json_object *auth,
    struct json_object *files);

#endif
