/*
 * What only the type's own program knows of a definition: `connector-TYPE
 * --check`, a pure function in a process of its own.
 */
#include "base/config_private.h"

#include "base/tool.h"

#include <stdio.h>
#include <string.h>

#define CHECK_MS 10000

/* What the schema has refused the program finds missing: told once. */
static bool
is_told(const struct faults *faults, const char *path)
{
	for (size_t i = 0; i < faults->n; i++)
		if (strcmp(faults->v[i].path, path) == 0)
			return true;
	return false;
}

static void
faults_take(const struct config_doc *doc, const char *base,
    struct json_object *list)
{
	size_t i, n = json_object_is_type(list, json_type_array) ?
	    json_object_array_length(list) : 0;
	struct json_object *f;
	char path[CONFIG_PATH_MAX];

	for (i = 0; i < n; i++) {
		f = json_object_array_get_idx(list, i);
		snprintf(path, sizeof(path), "%.150s.%.300s", base,
		    json_get_str(f, "path", ""));
		if (!is_told(doc->faults, path))
			config_fault(doc, path, "%s",
			    json_get_str(f, "message", ""));
	}
}

void
type_check(const struct config_doc *doc, const char *name,
    struct json_object *resolved, const struct config_input *in)
{
	char program[4200], base[160], why[200] = "answered nonsense";
	struct tool tool = {.path = program, .argument = "--check",
	    .uid = in->tool_uid};
	struct json_object *whole, *answer = NULL;
	struct buf output;
	int status;

	if (in->libexec == NULL ||
	    types_find(in->types, json_get_str(resolved, "type", "")) == NULL)
		return;
	snprintf(program, sizeof(program), "%s/connector-%s", in->libexec,
	    json_get_str(resolved, "type", ""));
	snprintf(base, sizeof(base), "connectors.%.100s", name);
	whole = json_object_new_object();
	json_object_object_foreach(resolved, key, v)
		json_object_object_add(whole, key, json_object_get(v));
	json_add_str(whole, "name", name);
	buf_init(&output);
	status = tool_run(&tool, json_text(whole), &output, CHECK_MS, why,
	    sizeof(why));
	if (status == 0 || status == 2)
		answer = json_parse(buf_slice(&output));
	if (status == 2 && answer != NULL)
		faults_take(doc, base, answer);
	else if (status != 0)
		config_fault(doc, base, "its type's program %s: %s", program,
		    why);
	json_object_put(answer);
	json_object_put(whole);
	buf_fini(&output);
}
