#include "acceptor/auth/policy.h"

#include "acceptor/auth/methods.h"
#include "base/config.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"

#include <stdio.h>
#include <stdlib.h>

struct policy policy;

/* ---- rules ---------------------------------------------------------------- */

static void
acl_build(void)
{
	acl_free(policy.acl);
	policy.acl = acl_new(!policy_denies_rest());
	for (size_t i = 0; i < policy.rule_count; i++)
		acl_add_line(policy.acl, slice_str(policy.rules[i].line));
}

static void
rule_insert(size_t at, uint64_t id, struct slice line)
{
	policy.rules = mem_realloc(policy.rules,
	    (policy.rule_count + 1) * sizeof(*policy.rules));
	memmove(&policy.rules[at + 1], &policy.rules[at],
	    (policy.rule_count - at) * sizeof(*policy.rules));
	policy.rules[at] = (struct rule_line){id, slice_dup(line)};
	policy.rule_count++;
}

static void
rule_take_out(size_t at)
{
	free(policy.rules[at].line);
	policy.rule_count--;
	memmove(&policy.rules[at], &policy.rules[at + 1],
	    (policy.rule_count - at) * sizeof(*policy.rules));
}

/* The next line that says something; its number counts up. */
static bool
line_next(struct slice *text, struct slice *line, unsigned *number)
{
	const uint8_t *end;

	while (text->len > 0) {
		end = memchr(text->p, '\n', text->len);
		*line = slice_of(text->p, end == NULL ? text->len :
		    (size_t)(end - text->p));
		*text = slice_of(text->p + line->len + (end != NULL),
		    text->len - line->len - (end != NULL));
		++*number;
		if (line->len > 0 && line->p[line->len - 1] == '\r')
			line->len--;
		if (line->len > 0 && line->p[0] != '#')
			return true;
	}
	return false;
}

static bool
rules_check(struct slice text, char *why, size_t cap)
{
	struct acl *a = acl_new(false);
	const char *fault = NULL;
	unsigned number = 0;
	struct slice line;

	while (fault == NULL && line_next(&text, &line, &number))
		fault = acl_add_line(a, line);
	acl_free(a);
	if (fault != NULL)
		snprintf(why, cap, "line %u: %s", number, fault);
	return fault == NULL;
}

/* All of a good file, or nothing of a bad one. */
static void
file_rules_set(struct slice text)
{
	char why[256], shown[320];
	unsigned number = 0;
	struct slice line;

	if (!rules_check(text, why, sizeof(why))) {
		snprintf(shown, sizeof(shown), "auth.acl_file: %s; what was "
		    "in force stays", why);
		proc_degraded("acl_file", shown);
		return;
	}
	proc_degraded("acl_file", NULL);
	while (policy.file_rule_count > 0) {
		rule_take_out(0);
		policy.file_rule_count--;
	}
	while (line_next(&text, &line, &number))
		rule_insert(policy.file_rule_count++, 0, line);
}

static void
file_users_set(struct slice text)
{
	char why[256], shown[320];
	struct users *u = users_parse(text, why, sizeof(why));

	if (u == NULL) {
		snprintf(shown, sizeof(shown), "auth.users_file: %s; what was "
		    "in force stays", why);
		proc_degraded("users_file", shown);
		return;
	}
	proc_degraded("users_file", NULL);
	users_free(policy.file_users);
	policy.file_users = u;
}

static struct slice
file_text(struct json_object *config, const char *name)
{
	struct json_object *text = json_member(json_member(config, "files"),
	    name);

	if (!json_object_is_type(text, json_type_string))
		return SLICE_EMPTY;
	return slice_of(json_object_get_string(text),
	    (size_t)json_object_get_string_len(text));
}

void
policy_configure(struct json_object *config)
{
	struct json_object *auth = json_member(config, "auth");

	if (policy.own_users == NULL) {
		policy.own_users = users_new();
		policy.file_users = users_new();
	}
	policy.required = auth_is_configured(auth);
	policy.allow_anonymous = json_get_bool(auth, "allow_anonymous",
	    false);
	policy.cache_ms = json_get_u64(auth, "cache", 60000);
	proc_degraded("methods",
	    methods_configure(auth, json_member(config, "files")));
	file_users_set(file_text(config, "users"));
	file_rules_set(file_text(config, "acl"));
	acl_build();
}

bool
policy_needs_login(void)
{
	return policy.required || policy.is_damaged ||
	    users_count(policy.file_users) + users_count(policy.own_users) > 0;
}

bool
policy_denies_rest(void)
{
	return policy_needs_login() || policy.rule_count > 0;
}

/* ---- the database --------------------------------------------------------- */

static void
on_user(struct slice name, struct slice hash,
    const struct scram_secret *scram)
{
	users_put(policy.own_users, name, hash, scram);
}

static void
on_rule(uint64_t id, struct slice line)
{
	rule_insert(policy.rule_count, id, line);
}

static void
ban_add(uint8_t kind, struct slice value, uint64_t until_ms,
    struct slice reason)
{
	policy.bans = mem_realloc(policy.bans,
	    (policy.ban_count + 1) * sizeof(*policy.bans));
	policy.bans[policy.ban_count++] = (struct ban_line){kind,
	    slice_dup(value), slice_dup(reason), until_ms};
}

void
policy_load(void)
{
	static const struct store_ops ops = {on_user, on_rule, ban_add};

	policy.is_damaged = !store_load(&ops);
	if (policy.is_damaged)
		proc_degraded("database", store_why());
	acl_build();
}

/* ---- users ---------------------------------------------------------------- */

const struct user *
policy_user(struct slice name)
{
	const struct user *u = users_find(policy.file_users, name);

	return u != NULL ? u : users_find(policy.own_users, name);
}

bool
policy_put_user(struct slice name, struct slice hash,
    const struct scram_secret *scram)
{
	if (!store_put_user(name, hash, scram))
		return false;
	users_put(policy.own_users, name, hash, scram);
	acl_build();
	return true;
}

bool
policy_remove_user(struct slice name)
{
	if (!store_remove_user(name))
		return false;
	users_remove(policy.own_users, name);
	acl_build();
	return true;
}

uint64_t
policy_add_rule(struct slice line)
{
	uint64_t id = store_add_rule(line);

	if (id == 0)
		return 0;
	rule_insert(policy.rule_count, id, line);
	acl_build();
	return id;
}

bool
policy_remove_rule(uint64_t id)
{
	if (!store_remove_rule(id))
		return false;
	for (size_t i = 0; i < policy.rule_count; i++)
		if (policy.rules[i].id == id)
			rule_take_out(i--);
	acl_build();
	return true;
}

/* ---- bans ----------------------------------------------------------------- */

static void
ban_take_out(size_t at)
{
	free(policy.bans[at].value);
	free(policy.bans[at].reason);
	policy.bans[at] = policy.bans[--policy.ban_count];
}

static void
ban_forget(enum ban_kind kind, struct slice value)
{
	for (size_t i = 0; i < policy.ban_count; i++)
		if (policy.bans[i].kind == kind &&
		    slice_is(value, policy.bans[i].value))
			ban_take_out(i--);
}

bool
policy_put_ban(enum ban_kind kind, struct slice value, uint64_t until_ms,
    struct slice reason)
{
	if (!store_put_ban((uint8_t)kind, value, until_ms, reason))
		return false;
	ban_forget(kind, value);
	ban_add((uint8_t)kind, value, until_ms, reason);
	return true;
}

bool
policy_remove_ban(enum ban_kind kind, struct slice value)
{
	if (!store_remove_ban((uint8_t)kind, value))
		return false;
	ban_forget(kind, value);
	return true;
}

void
policy_expire_bans(uint64_t now_ms)
{
	struct ban_line *b;

	for (size_t i = 0; i < policy.ban_count; i++) {
		b = &policy.bans[i];
		if (b->until_ms == 0 || b->until_ms > now_ms)
			continue;
		if (!store_remove_ban(b->kind, slice_str(b->value)))
			return;
		ban_take_out(i--);
	}
}
