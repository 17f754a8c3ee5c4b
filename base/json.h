/*
 * json - json-c with the strictness that bytes from outside need.
 *
 * Objects follow json-c's reference counts: what json_parse returns is the
 * caller's (json_object_put); the getters lend.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#include <json-c/json.h>

/* NULL when the text is not one whole JSON value (at most 64 deep). */
struct json_object *json_parse(struct slice text);

/* A member of an object, or the default where absent or of another type. */
const char *json_get_str(struct json_object *o, const char *key, const char *def);
bool json_get_bool(struct json_object *o, const char *key, bool def);
/* Integers are taken from numbers and from decimal strings. */
uint64_t json_get_u64(struct json_object *o, const char *key, uint64_t def);
struct json_object *json_member(struct json_object *o, const char *key);

void json_add_str(struct json_object *o, const char *key, const char *v);
void json_add_slice(struct json_object *o, const char *key, struct slice v);
/* A number below 2^53, a decimal string from there on. */
void json_add_u64(struct json_object *o, const char *key, uint64_t v);
void json_add_bool(struct json_object *o, const char *key, bool v);
struct json_object *json_new_u64(uint64_t v);

/* Compact text; a loan of the object. */
struct slice json_text(struct json_object *o);

#endif
