#include "base/schema.h"

#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

static struct json_object *value_export(const struct schema *,
    const struct option *);

static void
put_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void
put_bounds(struct json_object *to, const struct option *o, const char *low,
    const char *high)
{
	if (o->min == 0 && o->max == 0)
		return;
	json_object_object_add(to, low, json_object_new_int64(o->min));
	if (o->max > 0)
		json_object_object_add(to, high,
		    json_object_new_int64(o->max));
}

static struct json_object *
choices_export(const char *choices)
{
	struct json_object *list = json_object_new_array();
	size_t len;

	while (choices != NULL && *choices != '\0') {
		len = strcspn(choices, "|");
		if (*choices != '!')
			json_object_array_add(list,
			    json_object_new_string_len(choices, (int)len));
		choices += len + (choices[len] == '|');
	}
	return list;
}

static void
put_kind(struct json_object *to, const struct schema *s,
    const struct option *o)
{
	struct json_object *texts = json_object_new_object(), *types;
	char below[512];

	put_text(texts, "type", "string");
	switch (o->kind) {
	case OPTION_STRING:
		put_text(to, "type", "string");
		put_bounds(to, o, "minLength", "maxLength");
		break;
	case OPTION_INT:
		put_text(to, "type", "integer");
		put_bounds(to, o, "minimum", "maximum");
		break;
	case OPTION_BOOL:
		put_text(to, "type", "boolean");
		break;
	case OPTION_SIZE:
	case OPTION_DURATION:
		types = json_object_new_array();
		json_object_array_add(types, json_object_new_string("string"));
		json_object_array_add(types, json_object_new_string("integer"));
		json_object_object_add(to, "type", types);
		put_text(to, "pattern", o->kind == OPTION_SIZE ?
		    "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|TiB)?$" :
		    "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d)|0)$");
		break;
	case OPTION_ENUM:
		json_object_object_add(to, "enum", choices_export(o->choices));
		break;
	case OPTION_MAP:
		put_text(to, "type", "object");
		json_object_object_add(to, "additionalProperties",
		    json_object_get(texts));
		break;
	case OPTION_LIST:
		put_text(to, "type", "array");
		json_object_object_add(to, "items", json_object_get(texts));
		put_bounds(to, o, "minItems", "maxItems");
		break;
	case OPTION_ROWS:
		put_text(to, "type", "array");
		snprintf(below, sizeof(below), "%s[]", o->path);
		json_object_object_add(to, "items", schema_export(s, below));
		break;
	case OPTION_TABLE:
		put_text(to, "type", "object");
		snprintf(below, sizeof(below), "%s.*", o->path);
		json_object_object_add(to, "additionalProperties",
		    schema_export(s, below));
		break;
	case OPTION_OBJECT:
	case OPTION_OPEN:
		put_text(to, "type", "object");
		break;
	}
	json_object_put(texts);
}

static struct json_object *
value_export(const struct schema *s, const struct option *o)
{
	struct json_object *to;

	if (o->kind == OPTION_OBJECT)
		to = schema_export(s, o->path);
	else
		to = json_object_new_object();
	if (o->kind != OPTION_OBJECT)
		put_kind(to, s, o);
	put_text(to, "description", o->help_en);
	if (o->fallback == NULL || o->kind == OPTION_ROWS ||
	    o->kind == OPTION_TABLE)
		return to;
	if (o->kind == OPTION_INT)
		json_object_object_add(to, "default",
		    json_object_new_int64(strtoll(o->fallback, NULL, 10)));
	else if (o->kind == OPTION_BOOL)
		json_object_object_add(to, "default",
		    json_object_new_boolean(strcmp(o->fallback, "true") == 0));
	else if (o->kind != OPTION_MAP && o->kind != OPTION_LIST)
		put_text(to, "default", o->fallback);
	return to;
}

struct json_object *
schema_export(const struct schema *s, const char *base)
{
	struct json_object *to = json_object_new_object();
	struct json_object *all = json_object_new_object();
	struct json_object *required = json_object_new_array();
	const struct option *o;
	size_t at = 0;

	if (base[0] == '\0')
		put_text(to, "$schema",
		    "http://json-schema.org/draft-07/schema#");
	put_text(to, "type", "object");
	while ((o = schema_child(s, base, &at)) != NULL) {
		if ((o->flags & OPTION_UNBUILT) != 0)
			continue;
		json_object_object_add(all, option_name(o),
		    value_export(s, o));
		if ((o->flags & OPTION_REQUIRED) != 0)
			json_object_array_add(required,
			    json_object_new_string(option_name(o)));
	}
	json_object_object_add(to, "properties", all);
	json_object_object_add(to, "additionalProperties",
	    json_object_new_boolean(false));
	if (json_object_array_length(required) > 0)
		json_object_object_add(to, "required", required);
	else
		json_object_put(required);
	return to;
}

static void
bound_print(const struct option *o, int64_t v, struct buf *out)
{
	char text[32];

	if (o->kind == OPTION_SIZE)
		size_format(v, text, sizeof(text));
	else if (o->kind == OPTION_DURATION)
		duration_format(v, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%lld", (long long)v);
	buf_add_str(out, text);
}

static void
choices_docs(const char *choices, struct buf *out)
{
	struct json_object *list = choices_export(choices);
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++)
		buf_addf(out, "%s`%s`", i == 0 ? "" : ", ",
		    json_object_get_string(json_object_array_get_idx(list, i)));
	json_object_put(list);
}

static void
option_docs(const struct option *o, size_t skip, bool is_zh, struct buf *out)
{
	buf_addf(out, "| `%s`%s | %s | ", o->path + skip,
	    (o->flags & OPTION_REQUIRED) != 0 ?
	    (is_zh ? "（必填）" : " (required)") : "",
	    option_kind_name(o->kind));
	if (o->fallback != NULL)
		buf_addf(out, "`%s`", o->fallback[0] == '\0' ? "\"\"" :
		    o->fallback);
	buf_add_str(out, " | ");
	if (o->kind == OPTION_ENUM) {
		choices_docs(o->choices, out);
	} else if (o->min != 0 || o->max != 0) {
		bound_print(o, o->min, out);
		buf_add_str(out, "..");
		bound_print(o, o->max, out);
	}
	buf_addf(out, " | %s", is_zh ? o->help_zh : o->help_en);
	if ((o->flags & OPTION_SECRET) != 0)
		buf_add_str(out, is_zh ? "；保密" : "; secret");
	if ((o->flags & OPTION_TEMPLATE) != 0)
		buf_add_str(out, is_zh ? "；模板" : "; template");
	buf_add_str(out, " |\n");
}

void
schema_docs(const struct schema *s, const char *base, const char *language,
    struct buf *out)
{
	bool is_zh = strcmp(language, "zh") == 0;
	size_t i, n = strlen(base);

	buf_add_str(out, is_zh ?
	    "| 选项 | 类型 | 默认值 | 范围 | 说明 |\n|---|---|---|---|---|\n" :
	    "| option | type | default | bounds | meaning |\n"
	    "|---|---|---|---|---|\n");
	for (i = 0; i < s->n; i++) {
		if ((s->v[i].flags & OPTION_UNBUILT) != 0 || (n > 0 &&
		    (strncmp(s->v[i].path, base, n) != 0 ||
		    s->v[i].path[n] != '.')))
			continue;
		option_docs(&s->v[i], n > 0 ? n + 1 : 0, is_zh, out);
	}
}
