#include "cli/run.h"

#include <locale.h>
#include <stdlib.h>

#define O(ID) OPTION_BIT(ID)
static const struct command table[] = {
#define COMMAND(group, verb, arguments, options, run, method, path, shows, \
    help)                                                                  \
	{group, verb, arguments, options, run_##run, method, path, shows, help},
#include "cli/commands.def"
#undef COMMAND
};
#undef O

static const struct command_table commands_all = {table,
    sizeof(table) / sizeof(table[0])};

const struct command_table *
commands(void)
{
	return &commands_all;
}

int
main(int argc, char **argv)
{
	struct invocation in;
	char text[512];

	setlocale(LC_CTYPE, "C.UTF-8");
	if (!invocation_parse(&in, &commands_all, argv + 1,
	    argc < 1 ? 0 : (size_t)argc - 1, text, sizeof(text))) {
		complain("%s; see `bulkhead help`", text);
		return EXIT_USAGE;
	}
	if (in.wants_help)
		return run_help(&in);
	return in.command->run(&in);
}
