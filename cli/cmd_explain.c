#include "cli/run.h"

#include "base/config_types.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static const char option_columns[] =
    "name:OPTION type:TYPE default:DEFAULT bounds:BOUNDS flags:FLAGS "
    "text:HELP";

static void
add_bounds(struct json_object *row, struct json_object *option)
{
	struct json_object *min = json_member(option, "min");
	struct json_object *max = json_member(option, "max");
	struct json_object *choices = json_member(option, "choices");
	char text[128];

	if (choices != NULL) {
		json_object_object_add(row, "bounds", json_object_get(choices));
		return;
	}
	if (min == NULL && max == NULL)
		return;
	snprintf(text, sizeof(text), "%s..%s",
	    min == NULL ? "" : json_object_get_string(min),
	    max == NULL ? "" : json_object_get_string(max));
	json_add_str(row, "bounds", text);
}

static void
add_flags(struct json_object *row, struct json_object *option)
{
	static const char *const names[] = {"required", "secret", "template"};
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_get_bool(option, names[i], false))
			json_object_array_add(list,
			    json_object_new_string(names[i]));
	json_object_object_add(row, "flags", list);
}

static void
add_options(struct json_object *rows, struct json_object *options,
    const char *prefix)
{
	struct json_object *o, *row, *inner;
	char name[128];

	if (!json_object_is_type(options, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(options); i++) {
		o = json_object_array_get_idx(options, i);
		row = json_object_new_object();
		snprintf(name, sizeof(name), "%s%s", prefix,
		    json_get_str(o, "name", ""));
		json_add_str(row, "name", name);
		json_add_str(row, "type", json_get_str(o, "type", ""));
		json_object_object_add(row, "default",
		    json_object_get(json_member(o, "default")));
		add_bounds(row, o);
		add_flags(row, o);
		json_add_str(row, "text",
		    json_get_str(json_member(o, "help"), "en", ""));
		json_object_array_add(rows, row);
		inner = json_member(o, "options");
		if (inner != NULL) {
			snprintf(name, sizeof(name), "%s%s.", prefix,
			    json_get_str(o, "name", ""));
			add_options(rows, inner, name);
		}
	}
}

static void
print_rows(const char *columns, struct json_object *rows)
{
	struct table_style style = style_of_stdout();
	struct buf b;

	buf_init(&b);
	table_print(&b, columns, rows, &style);
	print_buf(&b);
	buf_fini(&b);
}

static int
explain_all(const struct invocation *in, const struct connector_types *types)
{
	struct json_object *rows = json_object_new_array(), *row;

	for (size_t i = 0; i < types->n; i++) {
		row = json_object_new_object();
		json_add_str(row, "name", types->v[i].name);
		json_add_str(row, "help", types->v[i].help_en);
		json_object_array_add(rows, row);
	}
	if (in->is_json)
		print_json(rows);
	else
		print_rows("name:TYPE help", rows);
	json_object_put(rows);
	return EXIT_DONE;
}

static int
explain_one(const struct invocation *in, const struct connector_type *type)
{
	struct json_object *rows;

	if (in->is_json) {
		print_json(type->description);
		return EXIT_DONE;
	}
	rows = json_object_new_array();
	add_options(rows, json_member(type->description, "options"), "");
	printf("%s: %s\n\n", type->name, type->help_en);
	print_rows(option_columns, rows);
	json_object_put(rows);
	return EXIT_DONE;
}

int
run_connector_explain(const struct invocation *in)
{
	const struct connector_type *type;
	struct connector_types types = {0};
	char *path = libexec_path("types.json");
	char why[512];
	int exit_status;

	if (!types_load(&types, path, why, sizeof(why))) {
		complain("%s: %s", path, why);
		free(path);
		return EXIT_FAILED;
	}
	free(path);
	if (in->argument_count == 0) {
		exit_status = explain_all(in, &types);
	} else if ((type = types_find(&types, in->arguments[0])) != NULL) {
		exit_status = explain_one(in, type);
	} else {
		complain("there is no connector type %s; see `bulkhead "
		    "connector explain`", in->arguments[0]);
		exit_status = EXIT_FAILED;
	}
	types_fini(&types);
	return exit_status;
}
