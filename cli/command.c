#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const struct cli_option cli_options[OPTION_IDS] = {
#define CLI_OPTION(ID, name, letter, argument, help) \
	[OPTION_##ID] = {name, letter, argument, help},
#include "cli/options.def"
#undef CLI_OPTION
};

bool
invocation_has(const struct invocation *in, enum option_id id)
{
	return (in->given & (UINT64_C(1) << id)) != 0;
}

char *
command_name(const struct command *c, char *out, size_t cap)
{
	snprintf(out, cap, "%s%s%s", c->group,
	    c->group[0] != '\0' && c->verb[0] != '\0' ? " " : "", c->verb);
	return out;
}

void
command_arity(const struct command *c, size_t *min, size_t *max)
{
	const char *s = c->arguments;
	size_t n;

	for (*min = *max = 0; *s != '\0'; s += strspn(s + n, " ") + n) {
		n = strcspn(s, " ");
		*min += s[0] != '[';
		if (memmem(s, n, "...", 3) != NULL)
			*max = SIZE_MAX;
		if (*max != SIZE_MAX)
			++*max;
	}
}

const struct command *
command_find(const struct command_table *t, char *const *words, size_t count,
    size_t *used)
{
	const struct command *c;

	for (size_t i = 0; count >= 2 && i < t->n; i++) {
		c = &t->v[i];
		if (c->group[0] != '\0' && strcmp(c->group, words[0]) == 0 &&
		    strcmp(c->verb, words[1]) == 0) {
			*used = 2;
			return c;
		}
	}
	for (size_t i = 0; count >= 1 && i < t->n; i++)
		if (t->v[i].group[0] == '\0' &&
		    strcmp(t->v[i].verb, words[0]) == 0) {
			*used = 1;
			return &t->v[i];
		}
	return NULL;
}

/* ---- parsing --------------------------------------------------------------- */

struct parser {
	struct invocation *in;
	char **words;
	size_t count, at;
	size_t plain;		/* words that are no options, moved to front */
	char *text;
	size_t cap;
};

static bool
fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
fail(struct parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->text, p->cap, fmt, ap);
	va_end(ap);
	return false;
}

static bool
option_take(struct parser *p, enum option_id id, const char *value)
{
	struct invocation *in = p->in;

	in->given |= UINT64_C(1) << id;
	in->values[id] = value;
	if (value == NULL)
		return true;
	if (in->all_count == INVOCATION_VALUES_MAX)
		return fail(p, "too many options");
	in->all[in->all_count].id = id;
	in->all[in->all_count++].value = value;
	return true;
}

/* The option's own word is words[at]; value: what stood behind its `=`. */
static bool
option_finish(struct parser *p, enum option_id id, const char *value)
{
	const struct cli_option *o = &cli_options[id];

	if (o->argument == NULL && value != NULL)
		return fail(p, "--%s takes no value", o->name);
	if (o->argument != NULL && value == NULL) {
		if (p->at + 1 == p->count)
			return fail(p, "--%s wants %s", o->name, o->argument);
		value = p->words[++p->at];
	}
	return option_take(p, id, value);
}

static bool
parse_long(struct parser *p, uint64_t allowed)
{
	const char *word = p->words[p->at] + 2;
	const char *mark = strchr(word, '=');
	size_t n = mark == NULL ? strlen(word) : (size_t)(mark - word);

	for (unsigned id = 0; id < OPTION_IDS; id++)
		if ((allowed >> id & 1) != 0 &&
		    strlen(cli_options[id].name) == n &&
		    strncmp(cli_options[id].name, word, n) == 0)
			return option_finish(p, (enum option_id)id,
			    mark == NULL ? NULL : mark + 1);
	return fail(p, "unknown option --%.*s", (int)n, word);
}

/* "-l", "-m TEXT", "-mTEXT", "-lr". */
static bool
parse_short(struct parser *p, uint64_t allowed)
{
	const char *s = p->words[p->at] + 1;
	unsigned id;

	for (; *s != '\0'; s++) {
		for (id = 0; id < OPTION_IDS; id++)
			if ((allowed >> id & 1) != 0 &&
			    cli_options[id].letter == *s)
				break;
		if (id == OPTION_IDS)
			return fail(p, "unknown option -%c", *s);
		if (cli_options[id].argument != NULL)
			return option_finish(p, (enum option_id)id,
			    s[1] != '\0' ? s + 1 : NULL);
		if (!option_take(p, (enum option_id)id, NULL))
			return false;
	}
	return true;
}

/* What may be an option before the command is known: all of them. */
static uint64_t
options_allowed(const struct parser *p, const struct command_table *t)
{
	size_t used;
	const struct command *c = command_find(t, p->words, p->plain, &used);

	return c == NULL ? OPTIONS_GLOBAL : c->options | OPTIONS_GLOBAL;
}

static bool
parse_words(struct parser *p, const struct command_table *t)
{
	bool is_open = true;
	char *word;

	for (p->at = 0; p->at < p->count; p->at++) {
		word = p->words[p->at];
		if (!is_open || word[0] != '-' || word[1] == '\0') {
			p->words[p->plain++] = word;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			is_open = false;
			continue;
		}
		if (!(word[1] == '-' ? parse_long(p, options_allowed(p, t)) :
		    parse_short(p, options_allowed(p, t))))
			return false;
	}
	return true;
}

/* "connector" alone: which verbs are there? */
static bool
fail_unknown(struct parser *p, const struct command_table *t)
{
	char verbs[256] = "";
	size_t n;

	if (p->plain == 0)
		return fail(p, "a command is wanted");
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].group[0] == '\0' ||
		    strcmp(t->v[i].group, p->words[0]) != 0)
			continue;
		n = strlen(verbs);
		snprintf(verbs + n, sizeof(verbs) - n, "%s%s",
		    n > 0 ? ", " : "", t->v[i].verb);
	}
	if (verbs[0] == '\0')
		return fail(p, "unknown command %s", p->words[0]);
	return fail(p, "%s wants one of: %s", p->words[0], verbs);
}

bool
invocation_parse(struct invocation *in, const struct command_table *t,
    char **words, size_t count, char *text, size_t cap)
{
	struct parser p = {.in = in, .words = words, .count = count,
	    .text = text, .cap = cap};
	size_t used = 0, min, max;
	char name[64];

	memset(in, 0, sizeof(*in));
	if (!parse_words(&p, t))
		return false;
	in->is_json = invocation_has(in, OPTION_JSON);
	in->wants_help = invocation_has(in, OPTION_HELP);
	in->command = command_find(t, words, p.plain, &used);
	in->arguments = (const char *const *)words + used;
	in->argument_count = p.plain - used;
	if (in->wants_help)
		return true;
	if (in->command == NULL)
		return fail_unknown(&p, t);
	command_arity(in->command, &min, &max);
	if (in->argument_count >= min && in->argument_count <= max)
		return true;
	return fail(&p, "usage: bulkhead %s %s",
	    command_name(in->command, name, sizeof(name)),
	    in->command->arguments);
}
