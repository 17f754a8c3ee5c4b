#include "cli/run.h"

#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml_doc.h"
#include "cli/definitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The file's definitions; NULL: said why. */
static struct json_object *
definitions_read(const char *path)
{
	struct json_object *list = NULL;
	struct faults faults;
	struct buf text, b;

	buf_init(&text);
	buf_init(&b);
	faults_init(&faults);
	if (file_read(path, &text)) {
		list = definitions_of(buf_slice(&text), &faults);
		for (size_t i = 0; i < faults.n; i++) {
			buf_add_str(&b, i > 0 ? "; " : "");
			fault_print(&faults.v[i], &b);
		}
		if (list == NULL)
			complain("%s: %s", path, buf_cstr(&b));
	}
	faults_fini(&faults);
	buf_fini(&text);
	buf_fini(&b);
	return list;
}

static int
send_definition(const struct invocation *in, struct json_object *definition,
    const char *done)
{
	const char *name = json_get_str(definition, "name", NULL);
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	struct buf path;
	bool ok;

	if (name == NULL) {
		complain("%s: the definition wants a name", in->arguments[0]);
		return EXIT_USAGE;
	}
	buf_init(&path);
	buf_add_str(&path, in->command->path);
	if (strcmp(in->command->method, "PUT") == 0)
		buf_addf(&path, "/%s", name);
	ok = api_call(in->command->method, buf_cstr(&path), definition,
	    &answer, &exit_status);
	buf_fini(&path);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	else
		printf("connector %s %s\n", name, done);
	api_answer_fini(&answer);
	return EXIT_DONE;
}

static int
send_definitions(const struct invocation *in, const char *done)
{
	struct json_object *list;
	int exit_status = EXIT_DONE, got;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	list = definitions_read(in->arguments[0]);
	if (list == NULL)
		return EXIT_USAGE;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		got = send_definition(in, json_object_array_get_idx(list, i),
		    done);
		exit_status = got != EXIT_DONE ? got : exit_status;
	}
	json_object_put(list);
	return exit_status;
}

int
run_connector_create(const struct invocation *in)
{
	return send_definitions(in, "created");
}

int
run_connector_update(const struct invocation *in)
{
	return send_definitions(in, "updated");
}

/* ---- test ------------------------------------------------------------------- */

static int
say_tested(const struct invocation *in, const char *name,
    struct api_answer *answer)
{
	bool ok = json_get_bool(answer->body, "ok", false);
	struct json_object *found = json_member(answer->body, "found"), *row;
	struct buf b;

	buf_init(&b);
	if (in->is_json) {
		print_json(answer->body);
	} else {
		for (size_t i = 0; json_object_is_type(found, json_type_array) &&
		    i < json_object_array_length(found); i++) {
			row = json_object_array_get_idx(found, i);
			cell_format(&b, json_member(row, "what"), "");
			buf_add_str(&b, ": ");
			cell_format(&b, json_member(row, "value"), "");
			buf_add_str(&b, "\n");
		}
		if (ok)
			buf_addf(&b, "connector %s: the target is good\n",
			    name);
		print_buf(&b);
	}
	buf_fini(&b);
	if (!ok)
		complain("connector %s: %s", name, json_get_str(answer->body,
		    "reason", "the test failed"));
	api_answer_fini(answer);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int
test_definition(const struct invocation *in, struct json_object *definition)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;

	if (!api_call("POST", "/connector-test", definition, &answer,
	    &exit_status))
		return exit_status;
	return say_tested(in, json_get_str(definition, "name", "test"),
	    &answer);
}

static int
test_file(const struct invocation *in)
{
	struct json_object *list = definitions_read(in->arguments[0]);
	int exit_status = EXIT_DONE, got;

	if (list == NULL)
		return EXIT_USAGE;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		got = test_definition(in, json_object_array_get_idx(list, i));
		exit_status = got != EXIT_DONE ? got : exit_status;
	}
	json_object_put(list);
	return exit_status;
}

int
run_connector_test(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	struct stat st;
	char *path;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	if (stat(in->arguments[0], &st) == 0 && S_ISREG(st.st_mode))
		return test_file(in);
	path = api_path("/connectors/{1}/test", in);
	ok = api_call("POST", path, NULL, &answer, &exit_status);
	free(path);
	return ok ? say_tested(in, in->arguments[0], &answer) : exit_status;
}

/* ---- reset ------------------------------------------------------------------ */

int
run_connector_reset(const struct invocation *in)
{
	struct json_object *body;
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	char *path;
	bool ok;

	if (!invocation_has(in, OPTION_TO)) {
		complain("connector reset wants --to: earliest, latest, an "
		    "offset or an RFC 3339 time");
		return EXIT_USAGE;
	}
	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	body = json_object_new_object();
	json_add_str(body, "to", in->values[OPTION_TO]);
	if (invocation_has(in, OPTION_PARTITION))
		json_add_str(body, "partition", in->values[OPTION_PARTITION]);
	path = api_path(in->command->path, in);
	ok = api_call("POST", path, body, &answer, &exit_status);
	free(path);
	json_object_put(body);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	else
		printf("connector %s reads on from %s\n", in->arguments[0],
		    in->values[OPTION_TO]);
	api_answer_fini(&answer);
	return EXIT_DONE;
}
