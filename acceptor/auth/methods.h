/*
 * methods - the ways in which a client may show who it is, as configured.
 */
#ifndef ACCEPTOR_AUTH_METHODS_H
#define ACCEPTOR_AUTH_METHODS_H

#include "base/slice.h"

#include <json-c/json.h>

enum method { METHOD_USERS, METHODS };

struct methods {
	enum method order[METHODS];
	size_t count;
};
extern struct methods methods;

/* auth: the section; files: what stands in the files that it names. */
void methods_configure(struct json_object *auth, struct json_object *files);

#endif
