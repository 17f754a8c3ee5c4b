/* links: admin_pure proto_http ipc base */
#include "admin-server/route.h"
#include "base/json.h"

#include <criterion/criterion.h>

static const struct route routes[] = {
#define ROUTE(name, method, path, serve, target, op, query, body, text) \
	{#name, METHOD_##method, path, NULL, target, op, query, \
	    BODY_##body, text},
#include "admin-server/routes.def"
#undef ROUTE
};
static const struct route_table table = {routes,
    sizeof(routes) / sizeof(routes[0])};

static unsigned
find(enum http_method method, const char *path, struct route_match *m)
{
	return route_find(&table, method, slice_str(path), m);
}

Test(route, every_route_finds_itself)
{
	struct route_match m;

	for (size_t i = 0; i < table.n; i++) {
		cr_assert_eq(find(table.v[i].method, table.v[i].path, &m), 0);
		cr_assert_str_eq(m.route->name, table.v[i].name);
	}
}

Test(route, others_are_404_or_405)
{
	struct route_match m;

	cr_assert_eq(find(METHOD_GET, "/", &m), 404);
	cr_assert_eq(find(METHOD_GET, "/api/v1/status/", &m), 404);
	cr_assert_eq(find(METHOD_GET, "/api/v1/connectors//dlq", &m), 404);
	cr_assert_eq(find(METHOD_GET, "/api/v1/connectors/a/b/c/d", &m), 404);
	cr_assert_eq(find(METHOD_HEAD, "/api/v1/status", &m), 0);
	cr_assert_eq(find(METHOD_DELETE, "/api/v1/status", &m), 405);
	cr_assert_str_eq(m.allow, "GET");
	cr_assert_eq(find(METHOD_PATCH, "/api/v1/connectors/x", &m), 405);
	cr_assert_str_eq(m.allow, "GET, PUT, DELETE");
}

static struct json_object *
args_of(enum http_method method, const char *path, const char *query,
    const char *body, struct route_fault *f)
{
	struct http_request r = {.query = slice_str(query),
	    .body = slice_str(body)};
	struct route_match m;

	cr_assert_eq(find(method, path, &m), 0);
	return route_args(&m, &r, f);
}

Test(route, arguments_come_from_path_query_and_body)
{
	struct route_fault f;
	struct json_object *o;

	o = args_of(METHOD_GET, "/api/v1/retained", "limit=5&cursor=a%2Fb", "",
	    &f);
	cr_assert_eq(json_get_u64(o, "limit", 0), 5);
	cr_assert_str_eq(json_get_str(o, "cursor", ""), "a/b");
	json_object_put(o);
	o = args_of(METHOD_DELETE, "/api/v1/retained/a%2Fb%20c", "", "", &f);
	cr_assert_str_eq(json_get_str(o, "topic", ""), "a/b c");
	json_object_put(o);
	o = args_of(METHOD_POST, "/api/v1/connectors/x/dlq-replay", "",
	    "{\"ids\":[\"1\"],\"name\":\"other\"}", &f);
	cr_assert_str_eq(json_get_str(o, "name", ""), "x");
	cr_assert_eq(json_object_array_length(json_member(o, "ids")), 1);
	json_object_put(o);
	o = args_of(METHOD_PUT, "/api/v1/connectors/x", "", "{\"type\":\"t\"}",
	    &f);
	cr_assert_str_eq(json_get_str(json_member(o, "definition"), "type",
	    ""), "t");
	json_object_put(o);
	o = args_of(METHOD_POST, "/api/v1/config/plan", "", "a: b\n", &f);
	cr_assert_str_eq(json_get_str(o, "text", ""), "a: b\n");
	json_object_put(o);
	o = args_of(METHOD_GET, "/api/v1/subscribe",
	    "filter=a%2F%23&filter=b&retained=true", "", &f);
	cr_assert_eq(json_object_array_length(json_member(o, "filter")), 2);
	cr_assert(json_get_bool(o, "retained", false));
	json_object_put(o);
}

Test(route, bad_arguments_name_their_path)
{
	struct route_fault f;

	cr_assert_null(args_of(METHOD_GET, "/api/v1/streams", "nosuch=1", "",
	    &f));
	cr_assert_eq(f.status, 400);
	cr_assert_str_eq(f.path, "nosuch");
	cr_assert_null(args_of(METHOD_GET, "/api/v1/streams", "limit=x", "",
	    &f));
	cr_assert_str_eq(f.path, "limit");
	cr_assert_null(args_of(METHOD_GET, "/api/v1/streams", "limit=-1", "",
	    &f));
	cr_assert_null(args_of(METHOD_GET, "/api/v1/streams/%ff", "", "", &f));
	cr_assert_null(args_of(METHOD_GET, "/api/v1/streams/%0", "", "", &f));
	cr_assert_null(args_of(METHOD_POST, "/api/v1/connectors", "", "", &f));
	cr_assert_null(args_of(METHOD_POST, "/api/v1/connectors", "", "[1]",
	    &f));
	cr_assert_null(args_of(METHOD_POST, "/api/v1/publish", "", "{", &f));
	cr_assert_null(args_of(METHOD_POST, "/api/v1/config/plan", "",
	    "\xff", &f));
}

Test(route, the_description_names_every_route)
{
	struct json_object *doc = route_openapi(&table, "1.2.3"), *paths, *op;

	paths = json_member(doc, "paths");
	op = json_member(json_member(paths, "/api/v1/connectors/{name}"),
	    "put");
	cr_assert_str_eq(json_get_str(op, "operationId", ""),
	    "connector_update");
	cr_assert_not_null(json_member(op, "requestBody"));
	cr_assert_not_null(json_member(json_member(json_member(doc,
	    "components"), "schemas"), "Error"));
	json_object_put(doc);
}
