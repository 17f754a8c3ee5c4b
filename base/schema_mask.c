#include "base/schema.h"

#include <stdio.h>

#define PATH_MAX_LEN 512

static struct json_object *
value_mask(const struct schema *s, const struct option *o, const char *base,
    struct json_object *v)
{
	struct json_object *all;
	char below[PATH_MAX_LEN + 4];
	size_t i;

	if ((o->flags & OPTION_SECRET) != 0 &&
	    json_object_is_type(v, json_type_object)) {
		all = json_object_new_object();
		json_object_object_foreach(v, name, one) {
			(void)one;
			json_object_object_add(all, name,
			    json_object_new_string(SECRET_MASK));
		}
		return all;
	}
	if ((o->flags & OPTION_SECRET) != 0)
		return json_object_new_string(SECRET_MASK);
	if (o->kind == OPTION_OBJECT)
		return schema_mask(s, base, v);
	if (o->kind == OPTION_ROWS && json_object_is_type(v, json_type_array)) {
		all = json_object_new_array();
		snprintf(below, sizeof(below), "%s[]", base);
		for (i = 0; i < json_object_array_length(v); i++)
			json_object_array_add(all, schema_mask(s, below,
			    json_object_array_get_idx(v, i)));
		return all;
	}
	if (o->kind == OPTION_TABLE && json_object_is_type(v, json_type_object)) {
		all = json_object_new_object();
		snprintf(below, sizeof(below), "%s.*", base);
		json_object_object_foreach(v, row, fields)
			json_object_object_add(all, row,
			    schema_mask(s, below, fields));
		return all;
	}
	return json_object_get(v);
}

struct json_object *
schema_mask(const struct schema *s, const char *base, struct json_object *from)
{
	struct json_object *to;
	const struct option *o;
	char below[PATH_MAX_LEN];

	if (!json_object_is_type(from, json_type_object))
		return json_object_get(from);
	to = json_object_new_object();
	json_object_object_foreach(from, name, v) {
		snprintf(below, PATH_MAX_LEN, "%s%s%.100s", base,
		    base[0] == '\0' ? "" : ".", name);
		o = schema_find(s, below);
		json_object_object_add(to, name, o == NULL ?
		    json_object_get(v) : value_mask(s, o, below, v));
	}
	return to;
}
