#include "cli/run.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/topic.h"
#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- create ------------------------------------------------------------------ */

static struct json_object *
retention_body(const struct invocation *in)
{
	const char *time = in->values[OPTION_RETENTION_TIME];
	const char *size = in->values[OPTION_RETENTION_SIZE];
	struct json_object *o = json_object_new_object();
	int64_t v;

	if (time != NULL && !duration_parse(time, &v)) {
		complain("--retention-time %s: must be a time such as 7d",
		    time);
		json_object_put(o);
		return NULL;
	}
	if (time != NULL)
		json_add_u64(o, "time_ms", (uint64_t)v);
	if (size != NULL && !size_parse(size, &v)) {
		complain("--retention-size %s: must be a size such as 10GiB",
		    size);
		json_object_put(o);
		return NULL;
	}
	if (size != NULL)
		json_add_u64(o, "size", (uint64_t)v);
	return o;
}

static struct json_object *
stream_body(const struct invocation *in)
{
	struct json_object *body = json_object_new_object();
	struct json_object *topics = json_object_new_array();
	struct json_object *retention = retention_body(in);
	const char *partitions = in->values[OPTION_PARTITIONS];
	int64_t n = 1;

	json_add_str(body, "name", in->arguments[0]);
	json_object_object_add(body, "topics", topics);
	for (size_t i = 0; i < in->all_count; i++)
		if (in->all[i].id == OPTION_TOPICS)
			json_object_array_add(topics,
			    json_object_new_string(in->all[i].value));
	if (partitions != NULL && (!int_parse(partitions, &n) || n < 1)) {
		complain("--partitions %s: must be a number above 0",
		    partitions);
		json_object_put(retention);
		retention = NULL;
	}
	if (retention == NULL) {
		json_object_put(body);
		return NULL;
	}
	json_add_u64(body, "partitions", (uint64_t)n);
	json_object_object_add(body, "retention", retention);
	return body;
}

int
run_stream_create(const struct invocation *in)
{
	struct json_object *body;
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	bool ok;

	if (!invocation_has(in, OPTION_TOPICS)) {
		complain("stream create wants --topics FILTER");
		return EXIT_USAGE;
	}
	body = stream_body(in);
	if (body == NULL)
		return EXIT_USAGE;
	ok = api_open(in);
	exit_status = EXIT_NOT_RUNNING;
	ok = ok && api_call("POST", "/streams", body, &answer, &exit_status);
	json_object_put(body);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	else
		printf("stream %s created\n", in->arguments[0]);
	api_answer_fini(&answer);
	return EXIT_DONE;
}

/* ---- reading ------------------------------------------------------------------ */

struct printer {
	const struct invocation *in;
	bool is_json;
	bool has_offset;	/* records of a stream, not live messages */
	bool filters;		/* the arguments are filters */
	uint64_t left;		/* 0: no limit */
};

static void
print_message(const struct printer *p, struct json_object *o)
{
	struct json_object *v = json_member(o, "payload");
	struct buf b;

	buf_init(&b);
	if (p->has_offset) {
		cell_format(&b, json_member(o, "partition"), "");
		buf_add_str(&b, "/");
		cell_format(&b, json_member(o, "offset"), "");
		buf_add_str(&b, " ");
	}
	cell_format(&b, json_member(o, "topic"), "");
	buf_add_str(&b, " ");
	if (v == NULL)
		v = json_member(o, "payload_base64");
	if (json_object_is_type(v, json_type_string))
		cell_format(&b, v, "");
	else if (v != NULL)
		buf_add_slice(&b, json_text(v));
	buf_add_str(&b, "\n");
	print_buf(&b);
	buf_fini(&b);
}

static bool
is_wanted(const struct printer *p, struct json_object *o)
{
	struct slice topic = slice_str(json_get_str(o, "topic", ""));

	for (size_t i = 0; i < p->in->argument_count; i++)
		if (topic_match(slice_str(p->in->arguments[i]), topic))
			return true;
	return !p->filters;
}

static bool
on_line(void *arg, struct slice line)
{
	struct printer *p = arg;
	struct json_object *o = json_parse(line);

	if (json_member(o, "topic") == NULL) {
		complain("%.*s", SLICE_ARG(line));	/* dropped, damaged */
		json_object_put(o);
		return true;
	}
	if (is_wanted(p, o)) {
		if (p->is_json)
			printf("%.*s\n", SLICE_ARG(line));
		else
			print_message(p, o);
		if (p->left > 0 && --p->left == 0) {
			json_object_put(o);
			return false;
		}
	}
	json_object_put(o);
	return true;
}

static bool
count_parse(const struct invocation *in, uint64_t *count)
{
	int64_t v = 0;

	*count = 0;
	if (!invocation_has(in, OPTION_COUNT))
		return true;
	if (!int_parse(in->values[OPTION_COUNT], &v) || v < 1) {
		complain("--count %s: must be a number above 0",
		    in->values[OPTION_COUNT]);
		return false;
	}
	*count = (uint64_t)v;
	return true;
}

int
run_stream_read(const struct invocation *in)
{
	struct printer p = {.in = in, .is_json = in->is_json,
	    .has_offset = true};
	int exit_status;
	char *path;

	if (!count_parse(in, &p.left))
		return EXIT_USAGE;
	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->command->path, in);
	if (invocation_has(in, OPTION_FROM))
		path = api_query(path, "from", in->values[OPTION_FROM]);
	if (invocation_has(in, OPTION_PARTITION))
		path = api_query(path, "partition",
		    in->values[OPTION_PARTITION]);
	if (invocation_has(in, OPTION_COUNT))
		path = api_query(path, "limit", in->values[OPTION_COUNT]);
	if (invocation_has(in, OPTION_FOLLOW))
		path = api_query(path, "follow", "true");
	exit_status = api_stream(path, on_line, &p);
	free(path);
	return exit_status;
}

static char *
sub_path(const struct invocation *in)
{
	char *path;
	struct invocation stream = *in;

	if (invocation_has(in, OPTION_STREAM)) {
		stream.arguments = &in->values[OPTION_STREAM];
		stream.argument_count = 1;
		path = api_path("/streams/{1}/records", &stream);
		path = api_query(path, "follow", "true");
		return api_query(path, "from", invocation_has(in, OPTION_FROM) ?
		    in->values[OPTION_FROM] : "latest");
	}
	path = mem_strdup(in->command->path);
	for (size_t i = 0; i < in->argument_count; i++)
		path = api_query(path, "filter", in->arguments[i]);
	if (invocation_has(in, OPTION_RETAINED))
		path = api_query(path, "retained", "true");
	return path;
}

int
run_sub(const struct invocation *in)
{
	struct printer p = {.in = in, .is_json = in->is_json,
	    .has_offset = invocation_has(in, OPTION_STREAM),
	    .filters = invocation_has(in, OPTION_STREAM)};
	int exit_status;
	char *path;

	if (!count_parse(in, &p.left))
		return EXIT_USAGE;
	if (invocation_has(in, OPTION_FROM) && !p.has_offset) {
		complain("--from goes with --stream NAME");
		return EXIT_USAGE;
	}
	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = sub_path(in);
	exit_status = api_stream(path, on_line, &p);
	free(path);
	return exit_status;
}
