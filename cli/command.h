/*
 * command - the table of commands and what the user wrote.
 *
 * Pure: parsing finds the command and checks options and the number of
 * arguments against the tables, commands.def and options.def.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXIT_DONE 0
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_NOT_RUNNING 3

enum option_id {
#define CLI_OPTION(ID, name, letter, argument, help) OPTION_##ID,
#include "cli/options.def"
#undef CLI_OPTION
	OPTION_IDS,
};

#define OPTION_BIT(ID) (UINT64_C(1) << OPTION_##ID)
#define OPTIONS_GLOBAL \
	(OPTION_BIT(SOCKET) | OPTION_BIT(JSON) | OPTION_BIT(HELP))

struct cli_option {
	const char *name;
	char letter;
	const char *argument;
	const char *help;
};

extern const struct cli_option cli_options[OPTION_IDS];

struct invocation;

struct command {
	const char *group, *verb;
	const char *arguments;
	uint64_t options;
	int (*run)(const struct invocation *);
	const char *method, *path, *shows;
	const char *help;
};

struct command_table {
	const struct command *v;
	size_t n;
};

#define INVOCATION_VALUES_MAX 64	/* of one option that may repeat */

struct invocation {
	const struct command *command;
	const char *const *arguments;
	size_t argument_count;
	uint64_t given;			/* options */
	/* The last value of each option; all of them in order. */
	const char *values[OPTION_IDS];
	struct {
		enum option_id id;
		const char *value;
	} all[INVOCATION_VALUES_MAX];
	size_t all_count;
	bool is_json;
	bool wants_help;
};

/* The table of commands.def. */
const struct command_table *commands(void);

/*
 * Parses the words after the program's name; they are reordered: arguments
 * go to the front. False: text says what is wrong. A command that only asks
 * for help needs no arguments.
 */
bool invocation_parse(struct invocation *in, const struct command_table *t,
    char **words, size_t count, char *text, size_t cap);
bool invocation_has(const struct invocation *in, enum option_id id);

/* At least and at most so many arguments; SIZE_MAX: no limit. */
void command_arity(const struct command *c, size_t *min, size_t *max);
/* "connector ls" in out. */
char *command_name(const struct command *c, char *out, size_t cap);
/* The command of these words, and how many of them name it; or NULL. */
const struct command *command_find(const struct command_table *t,
    char *const *words, size_t count, size_t *used);

#endif
