#include "admin-server/route.h"

#include "base/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static struct json_object *
object_with(const char *key, const char *text)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, key, text);
	return o;
}

static const char *
type_of(struct slice kind)
{
	if (slice_is(kind, "int"))
		return "integer";
	if (slice_is(kind, "bool"))
		return "boolean";
	return slice_is(kind, "list") ? "array" : "string";
}

static struct json_object *
parameter_of(struct slice name, const char *in, struct slice kind)
{
	struct json_object *o = json_object_new_object(), *schema;

	json_add_slice(o, "name", name);
	json_add_str(o, "in", in);
	json_add_bool(o, "required", strcmp(in, "path") == 0);
	schema = object_with("type", type_of(kind));
	if (slice_is(kind, "list"))
		json_object_object_add(schema, "items",
		    object_with("type", "string"));
	json_object_object_add(o, "schema", schema);
	return o;
}

static struct json_object *
parameters_of(const struct route *r)
{
	struct json_object *list = json_object_new_array();
	const char *path = r->path, *query = r->query;
	struct slice name, kind;

	while (route_parameter_next(&path, &name))
		json_object_array_add(list,
		    parameter_of(name, "path", SLICE_LIT("str")));
	while (route_query_next(&query, &name, &kind))
		json_object_array_add(list, parameter_of(name, "query", kind));
	return list;
}

static struct json_object *
content_of(const char *media, struct json_object *schema)
{
	struct json_object *content = json_object_new_object();
	struct json_object *type = json_object_new_object();

	json_object_object_add(type, "schema", schema);
	json_object_object_add(content, media, type);
	return content;
}

static struct json_object *
responses_of(void)
{
	struct json_object *responses = json_object_new_object();
	struct json_object *fault = object_with("description", "what is wrong");
	struct json_object *schema = json_object_new_object();

	json_object_object_add(responses, "2XX",
	    object_with("description", "done"));
	json_add_str(schema, "$ref", "#/components/schemas/Error");
	json_object_object_add(fault, "content",
	    content_of("application/json", schema));
	json_object_object_add(responses, "default", fault);
	return responses;
}

static struct json_object *
operation_of(const struct route *r)
{
	struct json_object *o = json_object_new_object(), *body;
	bool is_text = r->body == BODY_TEXT;

	json_add_str(o, "operationId", r->name);
	json_add_str(o, "summary", r->text);
	json_object_object_add(o, "parameters", parameters_of(r));
	if (r->body != BODY_NONE) {
		body = json_object_new_object();
		json_object_object_add(body, "content",
		    content_of(is_text ? "application/yaml" :
		    "application/json",
		    object_with("type", is_text ? "string" : "object")));
		json_object_object_add(o, "requestBody", body);
	}
	json_object_object_add(o, "responses", responses_of());
	return o;
}

static struct json_object *
error_schema(void)
{
	static const char text[] =
	    "{\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":"
	    "[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
	    "\"required\":[\"code\",\"message\",\"details\"],\"properties\":{"
	    "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
	    "\"details\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	    "\"properties\":{\"path\":{\"type\":\"string\"},\"message\":"
	    "{\"type\":\"string\"}}}}}}}}}}";

	return json_parse(SLICE_LIT(text));
}

struct json_object *
route_openapi(const struct route_table *t, const char *version)
{
	struct json_object *doc = object_with("openapi", "3.0.3");
	struct json_object *info = object_with("title", "Bulkhead");
	struct json_object *paths = json_object_new_object(), *path;
	char method[16];
	size_t n;

	json_add_str(info, "version", version);
	json_object_object_add(doc, "info", info);
	for (size_t i = 0; i < t->n; i++) {
		snprintf(method, sizeof(method), "%s",
		    http_method_name(t->v[i].method));
		for (n = 0; method[n] != '\0'; n++)
			method[n] = (char)tolower((unsigned char)method[n]);
		path = json_member(paths, t->v[i].path);
		if (path == NULL) {
			path = json_object_new_object();
			json_object_object_add(paths, t->v[i].path, path);
		}
		json_object_object_add(path, method, operation_of(&t->v[i]));
	}
	json_object_object_add(doc, "paths", paths);
	json_object_object_add(doc, "components", error_schema());
	return doc;
}
