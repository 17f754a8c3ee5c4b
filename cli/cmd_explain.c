#include "cli/run.h"

#include "base/config_types.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

static void
add_attribute(struct buf *b, const char *text)
{
	buf_addf(b, "%s%s", buf_len(b) > 0 ? ", " : "", text);
}

static void
add_value(struct buf *b, const char *what, struct json_object *v)
{
	if (v == NULL)
		return;
	buf_addf(b, "%s%s", buf_len(b) > 0 ? ", " : "", what);
	cell_format(b, v, "");
}

static void
add_bounds(struct buf *b, struct json_object *min, struct json_object *max)
{
	if (min == NULL || max == NULL)
		return;
	add_value(b, "", min);
	buf_add_str(b, "..");
	cell_format(b, max, "");
}

/* "enum, one of post, put, default post, template" */
static void
add_attributes(struct buf *b, struct json_object *o)
{
	static const char *const flags[] = {"required", "secret", "template"};

	add_attribute(b, json_get_str(o, "type", ""));
	add_value(b, "one of ", json_member(o, "choices"));
	add_bounds(b, json_member(o, "min"), json_member(o, "max"));
	add_value(b, "default ", json_member(o, "default"));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (json_get_bool(o, flags[i], false))
			add_attribute(b, flags[i]);
}

static void
print_options(struct json_object *options, const char *prefix)
{
	struct json_object *o;
	char name[128];
	struct buf b;

	if (!json_object_is_type(options, json_type_array))
		return;
	buf_init(&b);
	for (size_t i = 0; i < json_object_array_length(options); i++) {
		o = json_object_array_get_idx(options, i);
		snprintf(name, sizeof(name), "%s%s", prefix,
		    json_get_str(o, "name", ""));
		buf_clear(&b);
		add_attributes(&b, o);
		printf("\n  %s (%s)\n    %s\n", name, buf_cstr(&b),
		    json_get_str(json_member(o, "help"), "en", ""));
		snprintf(name, sizeof(name), "%s%s.", prefix,
		    json_get_str(o, "name", ""));
		print_options(json_member(o, "options"), name);
	}
	buf_fini(&b);
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
	if (in->is_json) {
		print_json(type->description);
		return EXIT_DONE;
	}
	printf("%s: %s\n", type->name, type->help_en);
	print_options(json_member(type->description, "options"), "");
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
