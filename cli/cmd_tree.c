#include "cli/run.h"

#include "base/config.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STOP_POLL_MS 50

/* ---- run --------------------------------------------------------------------- */

int
run_run(const struct invocation *in)
{
	static const enum option_id options[] = {OPTION_CONFIG, OPTION_DATA,
	    OPTION_LISTEN, OPTION_PORT_OFFSET};
	static const char *const names[] = {"-c", "--data", "--listen",
	    "--port-offset"};
	char *args[10], *path = libexec_path("supervisor");
	size_t n = 0;

	args[n++] = path;
	for (size_t i = 0; i < 4; i++)
		if (invocation_has(in, options[i])) {
			args[n++] = mem_strdup(names[i]);
			args[n++] = mem_strdup(in->values[options[i]]);
		}
	args[n] = NULL;
	execv(path, args);
	complain("%s: %s; is Bulkhead installed whole?", path,
	    strerror(errno));
	return EXIT_FAILED;
}

/* ---- check ------------------------------------------------------------------- */

static int
print_schema(const struct connector_types *types)
{
	struct json_object *schema = config_export_schema(types);

	print_json(schema);
	json_object_put(schema);
	return EXIT_DONE;
}

static void
print_faults(const struct invocation *in, const char *path,
    const struct faults *faults)
{
	struct json_object *list;
	struct buf b;

	if (in->is_json) {
		list = faults_json(faults);
		print_json(list);
		json_object_put(list);
		return;
	}
	buf_init(&b);
	for (size_t i = 0; i < faults->n; i++) {
		buf_clear(&b);
		fault_print(&faults->v[i], &b);
		complain("%s: %s", path, buf_cstr(&b));
	}
	if (faults->total > faults->n)
		complain("%s: and %zu more faults", path,
		    faults->total - faults->n);
	buf_fini(&b);
}

static int
check_file(const struct invocation *in, const struct connector_types *types,
    const char *libexec)
{
	/* What the types' programs say of a definition is asked too. */
	struct config_input input = {.types = types,
	    .is_root = geteuid() == 0,
	    .libexec = libexec};
	const char *path = in->arguments[0];
	struct config *config;
	struct faults faults;
	struct buf text;

	buf_init(&text);
	if (!file_read(path, &text)) {
		buf_fini(&text);
		return EXIT_USAGE;
	}
	faults_init(&faults);
	config = config_parse(buf_slice(&text), &input, &faults);
	faults_sort(&faults);
	if (config == NULL)
		print_faults(in, path, &faults);
	else if (in->is_json)
		printf("[]\n");
	else
		printf("%s: good\n", path);
	buf_fini(&text);
	faults_fini(&faults);
	if (config == NULL)
		return EXIT_USAGE;
	config_free(config);
	return EXIT_DONE;
}

int
run_check(const struct invocation *in)
{
	struct connector_types types = {0};
	char *path = libexec_path("types.json"), why[512];
	int exit_status;

	if (in->argument_count == 0 && !invocation_has(in, OPTION_SCHEMA)) {
		complain("check wants a FILE, or --schema");
		free(path);
		return EXIT_USAGE;
	}
	if (!types_load(&types, path, why, sizeof(why))) {
		complain("%s: %s", path, why);
		free(path);
		return EXIT_FAILED;
	}
	*strrchr(path, '/') = '\0';
	exit_status = invocation_has(in, OPTION_SCHEMA) ?
	    print_schema(&types) : check_file(in, &types, path);
	free(path);
	types_fini(&types);
	return exit_status;
}

/* ---- reload and plan ----------------------------------------------------------- */

/* "create connector to-file: detail", or whatever text the plan is. */
static void
print_plan(struct json_object *body)
{
	struct json_object *plan = json_member(body, "plan"), *item;
	const char *detail;
	struct buf b;

	if (json_object_is_type(plan, json_type_string)) {
		printf("%s\n", json_object_get_string(plan));
		return;
	}
	if (!json_object_is_type(plan, json_type_array) ||
	    json_object_array_length(plan) == 0) {
		printf("nothing changes\n");
		return;
	}
	buf_init(&b);
	for (size_t i = 0; i < json_object_array_length(plan); i++) {
		item = json_object_array_get_idx(plan, i);
		if (json_object_is_type(item, json_type_string)) {
			cell_format(&b, item, "");
			buf_add_str(&b, "\n");
			continue;
		}
		cell_format(&b, json_member(item, "action"), "");
		buf_add_str(&b, " ");
		cell_format(&b, json_member(item, "what"), "");
		buf_add_str(&b, " ");
		cell_format(&b, json_member(item, "name"), "");
		detail = json_get_str(item, "detail", "");
		if (detail[0] != '\0') {
			buf_add_str(&b, ": ");
			cell_format(&b, json_member(item, "detail"), "");
		}
		buf_add_str(&b, "\n");
	}
	print_buf(&b);
	buf_fini(&b);
}

static int
say_plan(const struct invocation *in, struct api_answer *answer)
{
	if (in->is_json)
		print_json(answer->body);
	else
		print_plan(answer->body);
	api_answer_fini(answer);
	return EXIT_DONE;
}

int
run_reload(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	if (!api_call("POST", "/reload", NULL, &answer, &exit_status))
		return exit_status;
	return say_plan(in, &answer);
}

int
run_config_plan(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_USAGE;
	struct buf text;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	buf_init(&text);
	ok = file_read(in->arguments[0], &text) &&
	    api_send("POST", "/config/plan", "application/yaml",
	    buf_slice(&text), &answer, &exit_status);
	buf_fini(&text);
	return ok ? say_plan(in, &answer) : exit_status;
}

/* ---- stop ---------------------------------------------------------------------- */

/* Until the process that listened is gone, or nobody listens any more. */
static void
wait_gone(const struct invocation *in, int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	const struct timespec pause = {0, STOP_POLL_MS * 1000000L};

	(void)in;
	if (pidfd != -1) {
		while (poll(&p, 1, -1) == -1 && errno == EINTR)
			;
		close(pidfd);
		return;
	}
	while (access(api_socket(), F_OK) == 0)
		nanosleep(&pause, NULL);
}

int
run_stop(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE, pidfd = -1;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	if (api_server_pid() > 0)
		pidfd = (int)syscall(SYS_pidfd_open, api_server_pid(), 0);
	if (!api_call("POST", "/stop", NULL, &answer, &exit_status))
		return exit_status;
	api_answer_fini(&answer);
	wait_gone(in, pidfd);
	if (in->is_json)
		printf("{\"stopped\": true}\n");
	else
		printf("stopped\n");
	return EXIT_DONE;
}

int
run_version(const struct invocation *in)
{
	if (in->is_json)
		printf("{\"version\": \"%s\"}\n", BULKHEAD_VERSION);
	else
		printf("bulkhead %s\n", BULKHEAD_VERSION);
	return EXIT_DONE;
}
