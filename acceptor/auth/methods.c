#include "acceptor/auth/methods.h"

#include "acceptor/auth/http_call.h"
#include "acceptor/auth/jwt_login.h"
#include "base/json.h"

#include <string.h>

struct methods methods;

static void
order_add(const char *name)
{
	enum method m = METHODS;

	if (strcmp(name, "users") == 0)
		m = METHOD_USERS;
	else if (strcmp(name, "jwt") == 0 && methods.jwt != NULL)
		m = METHOD_JWT;
	else if (strcmp(name, "http") == 0 && methods.http != NULL)
		m = METHOD_HTTP;
	for (size_t i = 0; i < methods.count; i++)
		if (methods.order[i] == m)
			return;
	if (m != METHODS)
		methods.order[methods.count++] = m;
}

const char *
methods_configure(struct json_object *auth, struct json_object *files)
{
	struct json_object *list = json_member(auth, "methods");
	struct json_object *jwt = json_member(auth, "jwt");
	size_t n = json_object_is_type(list, json_type_array) ?
	    json_object_array_length(list) : 0;
	struct jwt_terms *terms = NULL;

	if (json_get_str(jwt, "algorithm", NULL) != NULL) {
		terms = jwt_terms_new(jwt,
		    json_get_str(files, "jwt_key", NULL));
		if (terms == NULL)
			return "auth.jwt: the key does not fit the algorithm; "
			    "what was in force stays";
	}
	jwt_terms_free(methods.jwt);
	methods.jwt = terms;
	http_service_release(methods.http);
	methods.http = http_service_new(json_member(auth, "http"));
	methods.count = 0;
	for (size_t i = 0; i < n; i++)
		order_add(json_object_get_string(
		    json_object_array_get_idx(list, i)));
	return NULL;
}
