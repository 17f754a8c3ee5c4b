#include "acceptor/auth/rules_json.h"

#include "acceptor/acl.h"

#include <string.h>

static bool
line_put(struct buf *lines, const char *prefix, struct json_object *o)
{
	struct acl *probe = acl_new(false);
	size_t from = buf_len(lines);
	struct slice line;
	bool is_good;

	if (!json_object_is_type(o, json_type_string)) {
		acl_free(probe);
		return false;
	}
	buf_add_str(lines, prefix);
	buf_add(lines, json_object_get_string(o),
	    (size_t)json_object_get_string_len(o));
	line = slice_of(buf_data(lines) + from, buf_len(lines) - from);
	is_good = buf_len(lines) < RULES_LEN_MAX &&
	    memchr(line.p, '\n', line.len) == NULL &&
	    memchr(line.p, '\0', line.len) == NULL &&
	    acl_add_line(probe, line) == NULL;
	acl_free(probe);
	buf_add_u8(lines, '\n');
	return is_good;
}

static bool
list_put(struct buf *lines, const char *prefix, struct json_object *list)
{
	size_t n;

	if (!json_object_is_type(list, json_type_array))
		return false;
	n = json_object_array_length(list);
	for (size_t i = 0; i < n; i++)
		if (!line_put(lines, prefix,
		    json_object_array_get_idx(list, i)))
			return false;
	return true;
}

bool
rules_json_get(struct json_object *o, struct buf *lines)
{
	if (!json_object_is_type(o, json_type_object))
		return list_put(lines, "", o);
	json_object_object_foreach(o, name, list) {
		const char *prefix =
		    strcmp(name, "publish") == 0 ? "allow all publish " :
		    strcmp(name, "subscribe") == 0 ? "allow all subscribe " :
		    strcmp(name, "both") == 0 ? "allow all both " : NULL;

		if (prefix == NULL || !list_put(lines, prefix, list))
			return false;
	}
	return true;
}
