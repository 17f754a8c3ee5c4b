/*
 * route - which route a request means, and what it is given.
 *
 * Pure: the table of routes.def, the matching of paths, the making of
 * arguments. Operations.md, HTTP API.
 */
#ifndef ADMIN_SERVER_ROUTE_H
#define ADMIN_SERVER_ROUTE_H

#include "base/buf.h"
#include "proto/http/request.h"

#include <json-c/json.h>

struct exchange;

enum route_body { BODY_NONE, BODY_MERGE, BODY_DEFINITION, BODY_TEXT };

struct route {
	const char *name;
	enum http_method method;
	const char *path;
	void (*serve)(struct exchange *);
	const char *target;
	const char *op;
	const char *query;
	enum route_body body;
	const char *text;
};

#define ROUTE_PARAMETERS_MAX 4

struct route_match {
	const struct route *route;
	struct slice values[ROUTE_PARAMETERS_MAX];	/* still escaped */
	/* Methods that the path has, for a 405: "GET, POST". */
	char allow[64];
};

/* The table, in the order of routes.def. */
struct route_table {
	const struct route *v;
	size_t n;
};

/* 0 found, 404 or 405 (with allow). HEAD finds GET. */
unsigned route_find(const struct route_table *t, enum http_method method,
    struct slice path, struct route_match *m);
size_t route_body_max(const struct route *r);

/*
 * The arguments of a request: parameters, query, body. NULL with status,
 * path and message of what is wrong; the caller puts the result.
 */
struct route_fault {
	unsigned status;
	char path[64];
	char message[160];
};
struct json_object *route_args(const struct route_match *m,
    const struct http_request *r, struct route_fault *fault);

/* Takes the next "name=kind" off a query description; false at the end. */
bool route_query_next(const char **spec, struct slice *name,
    struct slice *kind);
/* Takes the next {name} off a path; false at the end. */
bool route_parameter_next(const char **path, struct slice *name);

/* The OpenAPI 3 description of a table; the caller puts it. */
struct json_object *route_openapi(const struct route_table *t,
    const char *version);

#endif
