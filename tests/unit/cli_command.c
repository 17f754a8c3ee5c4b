/* links: cli_pure base */
#include "cli/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define O(ID) OPTION_BIT(ID)
static const struct command rows[] = {
#define COMMAND(group, verb, arguments, options, run, method, path, shows, \
    help) \
	{group, verb, arguments, options, NULL, method, path, shows, help},
#include "cli/commands.def"
#undef COMMAND
};
static const struct command_table table = {rows,
    sizeof(rows) / sizeof(rows[0])};

static struct invocation in;
static char text[256];

static bool
parse(const char *command)
{
	static char line[512];
	static char *words[32];
	size_t n = 0;

	snprintf(line, sizeof(line), "%s", command);
	for (char *s = strtok(line, " "); s != NULL; s = strtok(NULL, " "))
		words[n++] = s;
	return invocation_parse(&in, &table, words, n, text, sizeof(text));
}

Test(command, every_command_is_found)
{
	char name[64], line[128];

	for (size_t i = 0; i < table.n; i++) {
		snprintf(line, sizeof(line), "%s --help",
		    command_name(&table.v[i], name, sizeof(name)));
		cr_assert(parse(line), "%s: %s", line, text);
		cr_assert_eq(in.command, &table.v[i], "%s", name);
		cr_assert(in.wants_help);
	}
}

Test(command, no_option_letter_stands_twice_in_a_command)
{
	for (size_t i = 0; i < table.n; i++)
		for (unsigned a = 0; a < OPTION_IDS; a++)
			for (unsigned b = 0; b < a; b++)
				if ((table.v[i].options >> a & 1) != 0 &&
				    (table.v[i].options >> b & 1) != 0 &&
				    cli_options[a].letter != 0)
					cr_assert_neq(cli_options[a].letter,
					    cli_options[b].letter);
}

Test(command, options_stand_anywhere)
{
	cr_assert(parse("--socket /s connector show x --json"));
	cr_assert_str_eq(in.values[OPTION_SOCKET], "/s");
	cr_assert_str_eq(in.command->verb, "show");
	cr_assert_eq(in.argument_count, 1);
	cr_assert_str_eq(in.arguments[0], "x");
	cr_assert(in.is_json);
	cr_assert(parse("pub -m=x --qos=1 -rH a=b t -H c=d"));
	cr_assert_str_eq(in.arguments[0], "t");
	cr_assert_str_eq(in.values[OPTION_MESSAGE], "=x");
	cr_assert_str_eq(in.values[OPTION_QOS], "1");
	cr_assert(invocation_has(&in, OPTION_RETAIN));
	cr_assert_str_eq(in.values[OPTION_HEADER], "c=d");
	cr_assert_eq(in.all_count, 4);
	cr_assert(parse("pub -m -5 t"));
	cr_assert_str_eq(in.values[OPTION_MESSAGE], "-5");
	cr_assert(parse("sub -- -x"));
	cr_assert_str_eq(in.arguments[0], "-x");
	cr_assert(parse("check -"));
	cr_assert_str_eq(in.arguments[0], "-");
}

Test(command, a_group_goes_before_a_verb)
{
	cr_assert(parse("sub ls"));
	cr_assert_str_eq(in.command->group, "sub");
	cr_assert(parse("sub a/#"));
	cr_assert_str_eq(in.command->group, "");
}

Test(command, what_is_wrong_is_said)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{"", "a command is wanted"},
		{"nosuch", "unknown command nosuch"},
		{"connector", "one of: ls, show, create"},
		{"connector nosuch", "one of: ls"},
		{"connector show", "usage: bulkhead connector show NAME"},
		{"connector show a b", "usage"},
		{"connector ls x", "usage"},
		{"status --nosuch", "unknown option --nosuch"},
		{"status -x", "unknown option -x"},
		{"status --qos 1", "unknown option --qos"},
		{"status --json=1", "--json takes no value"},
		{"pub t --qos", "--qos wants N"},
		{"pub", "usage: bulkhead pub TOPIC"},
		{"sub", "usage"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_not(parse(cases[i].line), "%s", cases[i].line);
		cr_assert_not_null(strstr(text, cases[i].text), "%s: %s",
		    cases[i].line, text);
	}
}

Test(command, arguments_are_counted)
{
	size_t min, max;

	command_arity(&(struct command){.arguments = ""}, &min, &max);
	cr_assert(min == 0 && max == 0);
	command_arity(&(struct command){.arguments = "A [B]"}, &min, &max);
	cr_assert(min == 1 && max == 2);
	command_arity(&(struct command){.arguments = "A [B...]"}, &min, &max);
	cr_assert(min == 1 && max == SIZE_MAX);
	command_arity(&(struct command){.arguments = "A..."}, &min, &max);
	cr_assert(min == 1 && max == SIZE_MAX);
}
