#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON_DEPTH 64
#define JSON_EXACT ((uint64_t)1 << 53)

struct json_object *
json_parse(struct slice text)
{
	struct json_tokener *tok;
	struct json_object *o = NULL;
	const uint8_t *p;

	if (text.len == 0 || text.len > INT32_MAX)
		return NULL;
	/* json-c takes these two for JSON. */
	if (text.len >= 3 && memcmp(text.p, "NaN", 3) == 0)
		return NULL;
	tok = json_tokener_new_ex(JSON_DEPTH);
	if (tok == NULL)
		return NULL;
	json_tokener_set_flags(
	    tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tok, (const char *)text.p, (int)text.len);
	p = text.p + json_tokener_get_parse_end(tok);
	if (json_tokener_get_error(tok) == json_tokener_continue)
		/* A number at the very end: the NUL tells that it is. */
		o = json_tokener_parse_ex(tok, "", 1);
	if (json_tokener_get_error(tok) != json_tokener_success) {
		json_object_put(o);
		o = NULL;
	} else {
		for (; o != NULL && p < text.p + text.len; p++)
			if (strchr(" \t\r\n", *p) == NULL || *p == '\0') {
				json_object_put(o);
				o = NULL;
			}
	}
	json_tokener_free(tok);
	return o;
}

struct json_object *
json_member(struct json_object *o, const char *key)
{
	struct json_object *v;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, key, &v))
		return NULL;
	return v;
}

const char *
json_get_str(struct json_object *o, const char *key, const char *def)
{
	struct json_object *v = json_member(o, key);

	return json_object_is_type(v, json_type_string)
	    ? json_object_get_string(v)
	    : def;
}

bool
json_get_bool(struct json_object *o, const char *key, bool def)
{
	struct json_object *v = json_member(o, key);

	return json_object_is_type(v, json_type_boolean)
	    ? json_object_get_boolean(v)
	    : def;
}

uint64_t
json_get_u64(struct json_object *o, const char *key, uint64_t def)
{
	struct json_object *v = json_member(o, key);
	const char *s;
	char *end;
	uint64_t n;

	if (json_object_is_type(v, json_type_int))
		return json_object_get_uint64(v);
	if (!json_object_is_type(v, json_type_string))
		return def;
	s = json_object_get_string(v);
	errno = 0;
	n = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end != '\0' || errno != 0)
		return def;
	return n;
}

void
json_add_str(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(
	    o, key, v == NULL ? NULL : json_object_new_string(v));
}

void
json_add_slice(struct json_object *o, const char *key, struct slice v)
{
	json_object_object_add(o, key,
	    v.p == NULL
		? NULL
		: json_object_new_string_len((const char *)v.p, (int)v.len));
}

struct json_object *
json_new_u64(uint64_t v)
{
	char text[24];

	if (v < JSON_EXACT)
		return json_object_new_uint64(v);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return json_object_new_string(text);
}

void
json_add_u64(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_new_u64(v));
}

void
json_add_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

struct slice
json_text(struct json_object *o)
{
	size_t n;
	const char *s = json_object_to_json_string_length(o,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);

	return slice_of(s, n);
}
