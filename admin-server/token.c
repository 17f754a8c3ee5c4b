#include "admin-server/token.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <strings.h>

struct token {
	char *name, *text;
	enum token_role role;
};

static struct {
	struct token *v;
	size_t count;
} tokens;

static enum token_role
role_of(const char *name)
{
	if (strcmp(name, "admin") == 0)
		return ROLE_ADMIN;
	if (strcmp(name, "operator") == 0)
		return ROLE_OPERATOR;
	return strcmp(name, "viewer") == 0 ? ROLE_VIEWER : ROLE_NONE;
}

static void
tokens_clear(void)
{
	for (size_t i = 0; i < tokens.count; i++) {
		explicit_bzero(tokens.v[i].text, strlen(tokens.v[i].text));
		free(tokens.v[i].text);
		free(tokens.v[i].name);
	}
	free(tokens.v);
	tokens.v = NULL;
	tokens.count = 0;
}

void
tokens_configure(struct json_object *all)
{
	tokens_clear();
	if (!json_object_is_type(all, json_type_object))
		return;
	json_object_object_foreach(all, name, o) {
		const char *text = json_get_str(o, "token", "");

		if (text[0] == '\0')
			continue;
		tokens.v = mem_realloc(tokens.v,
		    (tokens.count + 1) * sizeof(*tokens.v));
		tokens.v[tokens.count++] = (struct token){mem_strdup(name),
		    mem_strdup(text), role_of(json_get_str(o, "role", ""))};
	}
}

bool
tokens_exist(void)
{
	return tokens.count > 0;
}

/* Every byte of what was given is looked at. */
static bool
is_same(struct slice given, const char *text)
{
	size_t n = strlen(text);
	unsigned differs = given.len != n;

	for (size_t i = 0; i < given.len; i++)
		differs |= given.p[i] ^ (uint8_t)text[n == 0 ? 0 : i % n];
	return differs == 0;
}

enum token_role
token_check(struct slice authorization, const char **name)
{
	enum token_role role = ROLE_NONE;
	struct slice given;

	*name = "";
	if (slice_is_null(authorization) || authorization.len < 8 ||
	    strncasecmp((const char *)authorization.p, "Bearer ", 7) != 0)
		return ROLE_NONE;
	given = slice_of(authorization.p + 7, authorization.len - 7);
	for (size_t i = 0; i < tokens.count; i++)
		if (is_same(given, tokens.v[i].text)) {
			role = tokens.v[i].role;
			*name = tokens.v[i].name;
		}
	return role;
}

enum token_role
token_needed(const struct route *route)
{
	static const char *const operators[] = {"connector_pause",
	    "connector_resume", "connector_restart", "connector_test",
	    "dlq_replay", "client_kick", "publish", "ban_add", "ban_delete"};

	if (route->method == METHOD_GET || route->method == METHOD_HEAD)
		return ROLE_VIEWER;
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(route->name, operators[i]) == 0)
			return ROLE_OPERATOR;
	return ROLE_ADMIN;
}
