#include "base/json_path.h"

#include "base/json_text.h"
#include "base/mem.h"

#include <stdlib.h>

#define STEPS_MAX 32

struct step {
	char *name;		/* NULL: index */
	size_t len;
	size_t index;
};

struct json_path {
	size_t n;
	struct step steps[STEPS_MAX];
};

static bool
is_name(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-' || c >= 0x80;
}

static const char *
parse_name(struct slice text, size_t *at, struct step *step)
{
	size_t start = ++*at;

	while (*at < text.len && is_name(text.p[*at]))
		++*at;
	if (*at == start)
		return "expected a name after \".\"";
	step->len = *at - start;
	step->name = slice_dup(slice_of(text.p + start, step->len));
	return NULL;
}

/* ["..."]: the string is looked for as JSON has it. */
static const char *
parse_quoted(struct slice text, size_t *at, struct step *step)
{
	size_t end = *at + 1;
	struct slice string;
	struct buf name;

	while (end < text.len && text.p[end] != '"')
		end += text.p[end] == '\\' ? 2 : 1;
	if (end >= text.len)
		return "a quoted name does not end";
	string = slice_of(text.p + *at, end + 1 - *at);
	if (!json_check(string))
		return "a quoted name is not a JSON string";
	buf_init(&name);
	json_add_unquoted(&name, string);
	step->len = buf_len(&name);
	step->name = slice_dup(buf_slice(&name));
	buf_fini(&name);
	*at = end + 1;
	return NULL;
}

static const char *
parse_index(struct slice text, size_t *at, struct step *step)
{
	size_t start = *at;

	step->index = 0;
	while (*at < text.len && text.p[*at] >= '0' && text.p[*at] <= '9') {
		if (*at - start == 9)
			return "an index is too large";
		step->index = step->index * 10 + (size_t)(text.p[*at] - '0');
		++*at;
	}
	return *at == start ? "expected a number or a quoted name after \"[\""
			    : NULL;
}

static const char *
parse_bracket(struct slice text, size_t *at, struct step *step)
{
	const char *fault;

	++*at;
	if (*at < text.len && text.p[*at] == '"')
		fault = parse_quoted(text, at, step);
	else
		fault = parse_index(text, at, step);
	if (fault != NULL)
		return fault;
	if (*at >= text.len || text.p[*at] != ']')
		return "expected \"]\"";
	++*at;
	return NULL;
}

struct json_path *
json_path_parse(struct slice text, size_t *used, const char **fault)
{
	struct json_path *path = mem_zalloc(1, sizeof(*path));
	size_t at = 0;

	*fault = NULL;
	while (*fault == NULL && at < text.len &&
	    (text.p[at] == '.' || text.p[at] == '[')) {
		if (path->n == STEPS_MAX)
			*fault = "a path has more than 32 steps";
		else if (text.p[at] == '.')
			*fault = parse_name(text, &at, &path->steps[path->n]);
		else
			*fault = parse_bracket(text, &at,
			    &path->steps[path->n]);
		if (path->n < STEPS_MAX)
			path->n++;
	}
	*used = at;
	if (*fault == NULL)
		return path;
	json_path_free(path);
	return NULL;
}

void
json_path_free(struct json_path *path)
{
	size_t i;

	if (path == NULL)
		return;
	for (i = 0; i < path->n; i++)
		free(path->steps[i].name);
	free(path);
}

size_t
json_path_steps(const struct json_path *path)
{
	return path->n;
}

static bool
step_find(const struct step *step, struct slice doc, struct slice *value)
{
	struct slice name, want = slice_of(step->name, step->len);
	size_t at = 0, i = 0;

	if (json_kind_of(doc) !=
	    (step->name != NULL ? JSON_OBJECT : JSON_ARRAY))
		return false;
	while (json_member_next(doc, &at, &name, value)) {
		if (step->name == NULL) {
			if (i++ == step->index)
				return true;
		} else if (json_string_is(name, want)) {
			return true;
		}
	}
	return false;
}

bool
json_path_find(const struct json_path *path, struct slice doc,
    struct slice *value)
{
	size_t i;

	*value = doc;
	for (i = 0; i < path->n; i++) {
		if (!step_find(&path->steps[i], doc, value))
			return false;
		doc = *value;
	}
	return true;
}
