#include "cli/run.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct table_style
style_of_stdout(void)
{
	struct table_style s = {0};
	struct winsize w;

	if (!isatty(STDOUT_FILENO))
		return s;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		s.width = w.ws_col;
	s.has_colour = getenv("NO_COLOR") == NULL;
	return s;
}

void
print_buf(const struct buf *b)
{
	fwrite(buf_data(b), 1, buf_len(b), stdout);
}

void
print_json(struct json_object *o)
{
	printf("%s\n", json_object_to_json_string_ext(o,
	    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
	    JSON_C_TO_STRING_NOSLASHESCAPE));
}

bool
file_read(const char *path, struct buf *out)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	size_t n;
	bool ok;

	if (f == NULL) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	do {
		n = fread(buf_reserve(out, 65536), 1, 65536, f);
		buf_commit(out, n);
	} while (n > 0 && buf_len(out) < (size_t)64 << 20);
	ok = !ferror(f);
	if (!ok)
		complain("%s: %s", path, strerror(errno));
	if (f != stdin)
		fclose(f);
	return ok;
}

char *
libexec_path(const char *name)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path, *slash;

	if (n <= 0)
		return mem_strdup(name);
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	path = mem_printf("%s/../libexec/bulkhead/%s", self, name);
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return mem_printf("%s/%s", self, name);
}

struct json_object *
rows_get(const char *path, int *exit_status)
{
	struct json_object *rows = json_object_new_array(), *items;
	struct api_answer answer;
	char *page = mem_strdup(path);
	const char *cursor;

	do {
		if (!api_call("GET", page, NULL, &answer, exit_status)) {
			free(page);
			json_object_put(rows);
			return NULL;
		}
		free(page);
		page = NULL;
		items = json_member(answer.body, "items");
		for (size_t i = 0; json_object_is_type(items, json_type_array) &&
		    i < json_object_array_length(items); i++)
			json_object_array_add(rows, json_object_get(
			    json_object_array_get_idx(items, i)));
		cursor = json_get_str(answer.body, "cursor", NULL);
		if (cursor != NULL)
			page = api_query(mem_strdup(path), "cursor", cursor);
		api_answer_fini(&answer);
	} while (page != NULL);
	return rows;
}

int
run_list(const struct invocation *in)
{
	struct table_style style = style_of_stdout();
	struct json_object *rows;
	int exit_status;
	struct buf b;
	char *path;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->command->path, in);
	rows = rows_get(path, &exit_status);
	free(path);
	if (rows == NULL)
		return exit_status;
	if (in->is_json) {
		print_json(rows);
	} else {
		buf_init(&b);
		table_print(&b, in->command->shows, rows, &style);
		print_buf(&b);
		buf_fini(&b);
	}
	json_object_put(rows);
	return EXIT_DONE;
}

int
run_show(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	struct buf b;
	char *path;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->command->path, in);
	ok = api_call("GET", path, NULL, &answer, &exit_status);
	free(path);
	if (!ok)
		return exit_status;
	if (in->is_json) {
		print_json(answer.body);
	} else {
		buf_init(&b);
		tree_print(&b, answer.body, 0);
		print_buf(&b);
		buf_fini(&b);
	}
	api_answer_fini(&answer);
	return EXIT_DONE;
}

/* "connector {1} paused" */
static void
say_done(const struct invocation *in)
{
	const char *s = in->command->shows;
	size_t i;

	for (; *s != '\0'; s++) {
		if (*s != '{') {
			putchar(*s);
			continue;
		}
		i = (size_t)(s[1] - '1');
		fputs(i < in->argument_count ? in->arguments[i] : "", stdout);
		s += 2;
	}
	putchar('\n');
}

int
run_act(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	char *path;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_path(in->command->path, in);
	ok = api_call(in->command->method, path, NULL, &answer, &exit_status);
	free(path);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	else
		say_done(in);
	api_answer_fini(&answer);
	return EXIT_DONE;
}

int
run_status(const struct invocation *in)
{
	struct table_style style = style_of_stdout();
	struct json_object *reasons, *processes;
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	const char *state;
	struct buf b;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	if (!api_call("GET", "/status", NULL, &answer, &exit_status))
		return exit_status;
	if (in->is_json) {
		print_json(answer.body);
		api_answer_fini(&answer);
		return EXIT_DONE;
	}
	buf_init(&b);
	processes = json_member(answer.body, "processes");
	if (json_object_is_type(processes, json_type_array))
		table_print(&b, in->command->shows, processes, &style);
	state = json_get_str(answer.body, "state", "unknown");
	reasons = json_member(answer.body, "reasons");
	if (style.has_colour)
		buf_add_str(&b, strcmp(state, "healthy") == 0 ? "\x1b[32m" :
		    "\x1b[31m");
	buf_add_str(&b, state);
	if (style.has_colour)
		buf_add_str(&b, "\x1b[0m");
	for (size_t i = 0; json_object_is_type(reasons, json_type_array) &&
	    i < json_object_array_length(reasons); i++) {
		buf_add_str(&b, i == 0 ? ": " : "; ");
		cell_format(&b, json_object_array_get_idx(reasons, i), "");
	}
	buf_add_str(&b, "\n");
	print_buf(&b);
	buf_fini(&b);
	api_answer_fini(&answer);
	return EXIT_DONE;
}
