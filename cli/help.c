#include "cli/run.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS_WIDTH 24

static void
print_options(uint64_t options)
{
	const struct cli_option *o;
	char left[64];

	for (unsigned id = 0; id < OPTION_IDS; id++) {
		if ((options >> id & 1) == 0)
			continue;
		o = &cli_options[id];
		snprintf(left, sizeof(left), "%c%c %s--%s%s%s",
		    o->letter != 0 ? '-' : ' ', o->letter != 0 ? o->letter : ' ',
		    " ", o->name, o->argument != NULL ? " " : "",
		    o->argument != NULL ? o->argument : "");
		printf("  %-30s %s\n", left, o->help);
	}
}

static void
print_command(const struct command *c)
{
	char name[64];

	printf("usage: bulkhead %s%s%s%s\n\n%s\n\n",
	    command_name(c, name, sizeof(name)),
	    c->arguments[0] != '\0' ? " " : "", c->arguments,
	    c->options != 0 ? " [OPTION...]" : "", c->help);
	print_options(c->options | OPTIONS_GLOBAL);
}

static void
print_all(const char *group)
{
	const struct command_table *t = commands();
	char left[96], name[64];

	printf("usage: bulkhead [--socket PATH] COMMAND ...\n\n");
	for (size_t i = 0; i < t->n; i++) {
		if (group != NULL && strcmp(group, t->v[i].group) != 0)
			continue;
		snprintf(left, sizeof(left), "%s %s",
		    command_name(&t->v[i], name, sizeof(name)),
		    t->v[i].arguments);
		printf("  %-*s  %s\n", COMMANDS_WIDTH + 8, left, t->v[i].help);
	}
	printf("\n");
	print_options(OPTIONS_GLOBAL);
	printf("\nExit status: 0 done, 1 failed, 2 usage or invalid input, 3 "
	    "nothing runs.\n");
}

static bool
is_group(const char *word)
{
	const struct command_table *t = commands();

	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i].group, word) == 0)
			return true;
	return false;
}

int
run_help(const struct invocation *in)
{
	const struct command *c = in->command;
	size_t used;

	if (c != NULL && c->run == run_help)
		c = in->argument_count == 0 ? NULL : command_find(commands(),
		    (char *const *)in->arguments, in->argument_count, &used);
	if (c != NULL) {
		print_command(c);
		return EXIT_DONE;
	}
	if (in->argument_count == 0) {
		print_all(NULL);
		return EXIT_DONE;
	}
	if (is_group(in->arguments[0])) {
		print_all(in->arguments[0]);
		return EXIT_DONE;
	}
	complain("there is no command %s; see `bulkhead help`",
	    in->arguments[0]);
	return EXIT_USAGE;
}

/* ---- completion -------------------------------------------------------------- */

static void
print_option_words(uint64_t options)
{
	for (unsigned id = 0; id < OPTION_IDS; id++)
		if ((options >> id & 1) != 0)
			printf(" --%s", cli_options[id].name);
}

/* First words: verbs without a group, and each group once. */
static void
print_first_words(void)
{
	const struct command_table *t = commands();
	const char *last = "";

	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].group[0] == '\0')
			printf(" %s", t->v[i].verb);
		else if (strcmp(t->v[i].group, last) != 0)
			printf(" %s", t->v[i].group);
		last = t->v[i].group;
	}
}

static void
print_cases(void)
{
	const struct command_table *t = commands();
	const struct command *c;

	for (size_t i = 0; i < t->n; i++) {
		c = &t->v[i];
		if (c->group[0] != '\0' &&
		    (i == 0 || strcmp(t->v[i - 1].group, c->group) != 0)) {
			printf("\t'%s ') words=\"", c->group);
			for (size_t k = i; k < t->n &&
			    strcmp(t->v[k].group, c->group) == 0; k++)
				printf("%s%s", k > i ? " " : "", t->v[k].verb);
			printf("\" ;;\n");
		}
	}
	for (size_t i = 0; i < t->n; i++) {
		c = &t->v[i];
		printf("\t'%s%s%s'*) words=\"", c->group,
		    c->group[0] != '\0' ? " " : "", c->verb);
		print_option_words(c->options | OPTIONS_GLOBAL);
		printf("\" ;;\n");
	}
}

static void
print_bash(void)
{
	printf("_bulkhead() {\n"
	    "\tlocal words line=\"${COMP_WORDS[*]:1:COMP_CWORD-1} \"\n"
	    "\tcase \"$line\" in\n"
	    "\t' ') words=\"");
	print_first_words();
	printf("\" ;;\n");
	print_cases();
	printf("\tesac\n"
	    "\tCOMPREPLY=($(compgen -W \"$words\" -- "
	    "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
	    "\tcase \"${COMP_WORDS[COMP_CWORD]}\" in\n"
	    "\t-*) ;;\n"
	    "\t*) case \"$line\" in check*|*create*|*update*|*test*|*plan*|"
	    "run*|pub*)\n"
	    "\t\tCOMPREPLY+=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))"
	    " ;;\n\tesac ;;\n\tesac\n}\n"
	    "complete -F _bulkhead bulkhead\n");
}

int
run_completion(const struct invocation *in)
{
	bool is_zsh = strcmp(in->arguments[0], "zsh") == 0;

	if (!is_zsh && strcmp(in->arguments[0], "bash") != 0) {
		complain("completion is there for bash and zsh, not for %s",
		    in->arguments[0]);
		return EXIT_USAGE;
	}
	if (is_zsh)
		printf("#compdef bulkhead\n"
		    "autoload -U +X bashcompinit && bashcompinit\n");
	print_bash();
	return EXIT_DONE;
}

/* ---- the manual page ---------------------------------------------------------- */

/* A text in roff: what would be a request or an escape is not. */
static void
print_roff(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else
			putchar(*s);
	}
	putchar('\n');
}

static void
print_manual_options(uint64_t options)
{
	const struct cli_option *o;

	for (unsigned id = 0; id < OPTION_IDS; id++) {
		if ((options >> id & 1) == 0)
			continue;
		o = &cli_options[id];
		printf(".It ");
		if (o->letter != 0)
			printf("Fl %c , ", o->letter);
		printf("Fl \\-%s%s%s\n", o->name,
		    o->argument != NULL ? " Ar " : "",
		    o->argument != NULL ? o->argument : "");
		print_roff(o->help);
	}
}

static void
print_manual_command(const struct command *c)
{
	char name[64];

	printf(".It Cm %s%s%s\n", command_name(c, name, sizeof(name)),
	    c->arguments[0] != '\0' ? " Ar " : "", c->arguments);
	print_roff(c->help);
	if (c->options == 0)
		return;
	printf(".Bl -tag -width Ds -compact\n");
	print_manual_options(c->options);
	printf(".El\n");
}

int
run_manual(const struct invocation *in)
{
	const struct command_table *t = commands();

	(void)in;
	printf(".Dd $Mdocdate: November 21 2026 $\n.Dt BULKHEAD 1\n.Os Bulkhead %s\n"
	    ".Sh NAME\n.Nm bulkhead\n.Nd run and operate a message broker\n"
	    ".Sh SYNOPSIS\n.Nm\n.Op Fl \\-socket Ar PATH\n.Ar COMMAND ...\n"
	    ".Sh OPTIONS\n.Bl -tag -width Ds\n", BULKHEAD_VERSION);
	print_manual_options(OPTIONS_GLOBAL);
	printf(".El\n.Sh COMMANDS\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < t->n; i++)
		print_manual_command(&t->v[i]);
	printf(".El\n.Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
	    ".It Ev BULKHEAD_SOCKET\nThe admin socket.\n"
	    ".It Ev NO_COLOR\nNo colour, even on a terminal.\n.El\n"
	    ".Sh EXIT STATUS\n0 done, 1 failed, 2 usage or invalid input, 3 "
	    "nothing runs.\n");
	return EXIT_DONE;
}
