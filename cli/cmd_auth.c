/* Users, access rules and bans. A password is never an argument. */
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "cli/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

/* Sends the body (put here) and says what was done. */
static int
auth_send(const struct invocation *in, struct json_object *body)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	const char *s = in->command->shows;
	char *path;
	bool ok;

	if (!api_open(in)) {
		json_object_put(body);
		return EXIT_NOT_RUNNING;
	}
	path = api_path(in->command->path, in);
	ok = api_call(in->command->method, path, body, &answer, &exit_status);
	free(path);
	json_object_put(body);
	if (!ok)
		return exit_status;
	if (in->is_json)
		print_json(answer.body);
	for (; !in->is_json && *s != '\0'; s++) {
		if (*s != '{') {
			putchar(*s);
			continue;
		}
		fputs(in->arguments[s[1] - '1'], stdout);
		s += 2;
	}
	if (!in->is_json && in->command->shows[0] != '\0')
		putchar('\n');
	api_answer_fini(&answer);
	return EXIT_DONE;
}

/* ---- passwords ---------------------------------------------------------------- */

static bool
line_read(char text[PASSWORD_MAX + 2])
{
	size_t n;

	if (fgets(text, PASSWORD_MAX + 2, stdin) == NULL) {
		complain("no password was given");
		return false;
	}
	n = strcspn(text, "\r\n");
	if (n == 0 || n > PASSWORD_MAX) {
		complain("a password has 1 to %d bytes", PASSWORD_MAX);
		return false;
	}
	text[n] = '\0';
	return true;
}

static bool
line_ask(const char *prompt, char text[PASSWORD_MAX + 2])
{
	struct termios before, silent;
	bool is_good;

	if (tcgetattr(STDIN_FILENO, &before) == -1)
		return line_read(text);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	is_good = line_read(text);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	fputc('\n', stderr);
	return is_good;
}

/* Once from a pipe, twice from a person. */
static bool
password_read(char text[PASSWORD_MAX + 2])
{
	char again[PASSWORD_MAX + 2];
	bool is_same;

	if (!isatty(STDIN_FILENO))
		return line_read(text);
	if (!line_ask("Password: ", text) || !line_ask("Again: ", again))
		return false;
	is_same = strcmp(text, again) == 0;
	explicit_bzero(again, sizeof(again));
	if (!is_same)
		complain("the two differ");
	return is_same;
}

static struct json_object *
password_body(void)
{
	char text[PASSWORD_MAX + 2];
	struct json_object *body = NULL;

	if (password_read(text)) {
		body = json_object_new_object();
		json_add_str(body, "password", text);
	}
	explicit_bzero(text, sizeof(text));
	return body;
}

int
run_user_add(const struct invocation *in)
{
	struct json_object *body = password_body();

	if (body == NULL)
		return EXIT_USAGE;
	json_add_str(body, "name", in->arguments[0]);
	return auth_send(in, body);
}

int
run_user_passwd(const struct invocation *in)
{
	struct json_object *body = password_body();

	return body == NULL ? EXIT_USAGE : auth_send(in, body);
}

/* ---- rules -------------------------------------------------------------------- */

int
run_acl_add(const struct invocation *in)
{
	struct json_object *body = json_object_new_object();
	struct buf rule;
	int status;

	buf_init(&rule);
	for (size_t i = 0; i < in->argument_count; i++)
		buf_addf(&rule, "%s%s", i == 0 ? "" : " ", in->arguments[i]);
	json_add_str(body, "rule", buf_cstr(&rule));
	status = auth_send(in, body);
	if (status == EXIT_DONE && !in->is_json)
		printf("rule added: %s\n", buf_cstr(&rule));
	buf_fini(&rule);
	return status;
}

int
run_acl_explain(const struct invocation *in)
{
	struct api_answer answer;
	int exit_status = EXIT_DONE;
	struct buf b;
	char *path;
	bool ok;

	if (!api_open(in))
		return EXIT_NOT_RUNNING;
	path = api_query(mem_strdup(in->command->path), "username",
	    in->arguments[0]);
	path = api_query(path, "topic", in->arguments[1]);
	if (invocation_has(in, OPTION_CLIENT))
		path = api_query(path, "client_id", in->values[OPTION_CLIENT]);
	if (invocation_has(in, OPTION_ADDRESS))
		path = api_query(path, "address", in->values[OPTION_ADDRESS]);
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

/* ---- bans --------------------------------------------------------------------- */

int
run_ban_add(const struct invocation *in)
{
	struct json_object *body = json_object_new_object();
	const char *time = in->values[OPTION_FOR];
	int64_t ms = 0;

	if (time != NULL && (!duration_parse(time, &ms) || ms < 1000)) {
		complain("--for %s: must be a time such as 10m", time);
		json_object_put(body);
		return EXIT_USAGE;
	}
	json_add_str(body, "kind", in->arguments[0]);
	json_add_str(body, "value", in->arguments[1]);
	json_add_u64(body, "seconds", (uint64_t)ms / 1000);
	if (invocation_has(in, OPTION_REASON))
		json_add_str(body, "reason", in->values[OPTION_REASON]);
	return auth_send(in, body);
}
