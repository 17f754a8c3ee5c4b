#include "cli/run.h"

#include "base/json.h"
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* {"ids": [...]} of the arguments behind the connector's name. */
static struct json_object *
ids_body(const struct invocation *in)
{
	struct json_object *body = json_object_new_object();
	struct json_object *ids = json_object_new_array();

	for (size_t i = 1; i < in->argument_count; i++)
		json_object_array_add(ids,
		    json_object_new_string(in->arguments[i]));
	if (in->argument_count > 1)
		json_object_object_add(body, "ids", ids);
	else
		json_object_put(ids);
	return body;
}

/* What became of them; the exit status. */
static int
say_replayed(const struct invocation *in, struct json_object *body)
{
	uint64_t failed = json_get_u64(body, "failed", 0);

	printf("%" PRIu64 " dead letters of %s delivered, %" PRIu64
	    " failed, %" PRIu64 " left%s\n",
	    json_get_u64(body, "delivered", 0), in->arguments[0], failed,
	    json_get_u64(body, "left", 0),
	    json_get_bool(body, "running", false) ? "; it goes on" : "");
	return failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
say_purged(const struct invocation *in, struct json_object *body)
{
	printf("%" PRIu64 " dead letters of %s purged\n",
	    json_get_u64(body, "purged", 0), in->arguments[0]);
	return EXIT_DONE;
}

static int
send_ids(const struct invocation *in, struct json_object *body,
    int (*say)(const struct invocation *, struct json_object *))
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	char *path = api_path(in->command->path, in);
	bool ok = api_call("POST", path, body, &answer, &exit_status);

	free(path);
	json_object_put(body);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	else
		exit_status = say(in, answer.body);
	api_answer_fini(&answer);
	return exit_status;
}

int
run_dlq_replay(const struct invocation *in)
{
	struct json_object *body;
	int64_t rate = 0;

	if (invocation_has(in, OPTION_RATE) &&
	    (!int_parse(in->values[OPTION_RATE], &rate) || rate < 1)) {
		complain("--rate %s: must be a number above 0",
		    in->values[OPTION_RATE]);
		return EXIT_USAGE;
	}
	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	body = ids_body(in);
	if (rate > 0)
		json_add_u64(body, "rate", (uint64_t)rate);
	return send_ids(in, body, say_replayed);
}

int
run_dlq_purge(const struct invocation *in)
{
	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	return send_ids(in, ids_body(in), say_purged);
}

int
run_dlq_export(const struct invocation *in)
{
	struct json_object *rows;
	int exit_status = EXIT_DONE;
	char *path;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->command->path, in);
	rows = rows_get(path, &exit_status);
	free(path);
	if (rows == NULL)
		return exit_status;
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		printf("%s\n", json_object_to_json_string_ext(
		    json_object_array_get_idx(rows, i),
		    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(rows);
	return EXIT_DONE;
}

/* ---- audit ------------------------------------------------------------------- */

static int64_t
unaccounted_of(struct json_object *rows)
{
	struct json_object *v;
	int64_t sum = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		v = json_member(json_object_array_get_idx(rows, i),
		    "unaccounted");
		sum += v == NULL ? 0 : llabs(json_object_get_int64(v));
	}
	return sum;
}

/* Complains of each ledger that is not closed; the exit status. */
static int
audit_judge(struct json_object *rows)
{
	struct json_object *row, *v;
	int exit_status = EXIT_DONE;
	const char *name, *error;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		name = json_get_str(row, "name", "");
		error = json_get_str(row, "error", NULL);
		v = json_member(row, "unaccounted");
		if (error != NULL)
			complain("connector %s: %s", name, error);
		else if (v == NULL)
			complain("connector %s gave no ledger", name);
		else if (json_object_get_int64(v) != 0)
			complain("connector %s: %s records are unaccounted",
			    name, json_object_get_string(v));
		else
			continue;
		exit_status = EXIT_FAILED;
	}
	return exit_status;
}

static void
notes_print(struct json_object *rows, struct buf *out)
{
	struct json_object *row, *notes;

	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		notes = json_member(row, "notes");
		if (!json_object_is_type(notes, json_type_array))
			continue;
		for (size_t n = 0; n < json_object_array_length(notes); n++)
			buf_addf(out, "%s: %s\n", json_get_str(row, "name", ""),
			    json_object_get_string(
				json_object_array_get_idx(notes, n)));
	}
}

int
run_audit(const struct invocation *in)
{
	struct table_style style = style_of_stdout();
	struct json_object *rows;
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	struct buf b;
	char *path;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->argument_count == 0 ? "/audit" :
	    "/connectors/{1}/audit", in);
	ok = api_call("GET", path, NULL, &answer, &exit_status);
	free(path);
	if (!ok)
		return exit_status;
	rows = json_object_get(json_member(answer.body, "connectors"));
	if (rows == NULL) {
		rows = json_object_new_array();
		json_object_array_add(rows, json_object_get(answer.body));
	}
	if (in->is_json) {
		print_json(answer.body);
	} else {
		buf_init(&b);
		table_print(&b, in->command->shows, rows, &style);
		notes_print(rows, &b);
		buf_addf(&b, "%s unaccounted\n", unaccounted_of(rows) == 0 ?
		    "nothing is" : "records are");
		print_buf(&b);
		buf_fini(&b);
	}
	exit_status = audit_judge(rows);
	json_object_put(rows);
	api_answer_fini(&answer);
	return exit_status;
}
