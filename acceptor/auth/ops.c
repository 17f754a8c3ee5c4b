#include "acceptor/auth/ops.h"

#include "acceptor/auth/attempt.h"
#include "acceptor/auth/desk.h"
#include "acceptor/auth/ops_user.h"
#include "acceptor/auth/policy.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/topic.h"
#include "ipc/proc.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_LEN 66000
#define REASON_MAX 512

static struct json_object *
done(const char *key, const char *value)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, key, value);
	return o;
}

void
ops_not_stored(uint64_t id)
{
	proc_reply_error(id, 500, "not_stored", "%s", store_why());
}

/* ---- rules ---------------------------------------------------------------- */

static void
acl_list(uint64_t id, struct json_object *args)
{
	struct json_object *list = json_object_new_array(), *o;
	const struct rule_line *r;

	(void)args;
	for (size_t i = 0; i < policy.rule_count; i++) {
		r = &policy.rules[i];
		o = json_object_new_object();
		json_add_u64(o, "position", i + 1);
		if (r->id != 0)
			json_add_u64(o, "id", r->id);
		json_add_str(o, "source", r->id == 0 ? "file" : "database");
		json_add_str(o, "rule", r->line);
		json_object_array_add(list, o);
	}
	proc_reply(id, 200, list);
}

static void
acl_add_rule(uint64_t id, struct json_object *args)
{
	const char *line = json_get_str(args, "rule", "");
	struct acl *probe = acl_new(false);
	struct json_object *o;
	const char *why;
	uint64_t rule;

	why = strlen(line) > LINE_MAX_LEN ? "the rule is too long" :
	    strpbrk(line, "\r\n") != NULL ? "a rule is one line" :
	    acl_add_line(probe, slice_str(line));
	acl_free(probe);
	if (why != NULL) {
		proc_reply_error(id, 422, "invalid", "the rule is not "
		    "understood: %s", why);
		return;
	}
	rule = policy_add_rule(slice_str(line));
	if (rule == 0) {
		ops_not_stored(id);
		return;
	}
	desk_tell();
	o = json_object_new_object();
	json_add_u64(o, "id", rule);
	json_add_str(o, "rule", line);
	proc_reply(id, 201, o);
}

static void
acl_delete(uint64_t id, struct json_object *args)
{
	uint64_t rule = json_get_u64(args, "id", 0);
	size_t i;

	for (i = 0; i < policy.rule_count && (rule == 0 ||
	    policy.rules[i].id != rule); i++)
		continue;
	if (i == policy.rule_count) {
		proc_reply_error(id, 404, "not_found", "no rule made by "
		    "command has this number; `acl ls` shows them");
		return;
	}
	if (!policy_remove_rule(rule)) {
		ops_not_stored(id);
		return;
	}
	desk_tell();
	proc_reply(id, 200, json_object_new_object());
}

static struct json_object *
explain(const struct acl_who *who, enum acl_access access, struct slice topic)
{
	struct json_object *o = json_object_new_object();
	bool is_allowed;
	size_t n = acl_explain(policy.acl, who, access, topic, &is_allowed);

	json_add_bool(o, "allowed", is_allowed);
	json_add_str(o, "rule", n == 0 ? "no rule applies" :
	    policy.rules[n - 1].line);
	if (n != 0)
		json_add_u64(o, "position", n);
	return o;
}

static bool
address_get(const char *text, uint8_t address[16])
{
	memset(address, 0, 16);
	if (inet_pton(AF_INET6, text, address) == 1)
		return true;
	address[10] = address[11] = 0xff;
	return inet_pton(AF_INET, text, address + 12) == 1;
}

static void
acl_tell_why(uint64_t id, struct json_object *args)
{
	const char *user = json_get_str(args, "username", NULL);
	struct slice topic = slice_str(json_get_str(args, "topic", ""));
	struct acl_who who = {
	    .client_id = slice_str(json_get_str(args, "client_id", "")),
	    .username = user == NULL ? SLICE_NULL : slice_str(user)};
	struct slice group, rest = topic;
	struct json_object *o;

	if (filter_share(topic, &group, &rest))
		topic = rest;
	if (filter_check(topic) != NULL) {
		proc_reply_error(id, 422, "invalid", "`topic` is neither a "
		    "topic nor a filter: %s", filter_check(topic));
		return;
	}
	if (!address_get(json_get_str(args, "address", "127.0.0.1"),
	    who.address)) {
		proc_reply_error(id, 422, "invalid",
		    "`address` is no address");
		return;
	}
	o = json_object_new_object();
	if (topic_check(topic) == NULL)
		json_object_object_add(o, "publish",
		    explain(&who, ACL_PUBLISH, topic));
	json_object_object_add(o, "subscribe",
	    explain(&who, ACL_SUBSCRIBE, topic));
	proc_reply(id, 200, o);
}

/* ---- bans ----------------------------------------------------------------- */

static const char *const ban_kinds[] = {"client", "user", "address"};

static bool
ban_kind_get(struct json_object *args, enum ban_kind *kind)
{
	const char *name = json_get_str(args, "kind", "");

	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, ban_kinds[i]) == 0) {
			*kind = (enum ban_kind)i;
			return true;
		}
	return false;
}

static struct json_object *
ban_json(const struct ban_line *b)
{
	struct json_object *o = json_object_new_object();
	char time[32];

	json_add_str(o, "kind", ban_kinds[b->kind]);
	json_add_str(o, "value", b->value);
	json_object_object_add(o, "until", b->until_ms == 0 ? NULL :
	    json_object_new_string(clock_rfc3339(b->until_ms, time,
		sizeof(time))));
	json_add_str(o, "reason", b->reason);
	return o;
}

static void
ban_list(uint64_t id, struct json_object *args)
{
	struct json_object *list = json_object_new_array();

	(void)args;
	policy_expire_bans(clock_wall_ms());
	for (size_t i = 0; i < policy.ban_count; i++)
		json_object_array_add(list, ban_json(&policy.bans[i]));
	proc_reply(id, 200, list);
}

/* What is wrong with it, or NULL. */
static const char *
ban_check(enum ban_kind kind, const char *value, const char *reason)
{
	struct acl *probe;
	const char *why = NULL;

	if (value[0] == '\0' || strlen(value) > 65535)
		return "whom it is about is missing or too long";
	if (strlen(reason) > REASON_MAX)
		return "the reason is too long";
	if (kind == BAN_ADDRESS) {
		probe = acl_new(false);
		why = acl_add(probe, false, ACL_BOTH, ACL_ADDRESS,
		    slice_str(value), SLICE_LIT("#"));
		acl_free(probe);
	}
	return why;
}

static void
ban_add(uint64_t id, struct json_object *args)
{
	const char *value = json_get_str(args, "value", "");
	const char *reason = json_get_str(args, "reason", "");
	uint64_t seconds = json_get_u64(args, "seconds", 0), until = 0;
	enum ban_kind kind;
	const char *why = "`kind` is client, user or address";

	if (ban_kind_get(args, &kind))
		why = ban_check(kind, value, reason);
	if (why != NULL) {
		proc_reply_error(id, 422, "invalid", "%s", why);
		return;
	}
	if (seconds > UINT32_MAX)
		seconds = UINT32_MAX;
	if (seconds > 0)
		until = clock_wall_ms() + seconds * 1000;
	if (!policy_put_ban(kind, slice_str(value), until,
	    slice_str(reason))) {
		ops_not_stored(id);
		return;
	}
	desk_tell();
	proc_reply(id, 201, done("value", value));
}

static void
ban_delete(uint64_t id, struct json_object *args)
{
	const char *value = json_get_str(args, "value", "");
	enum ban_kind kind;
	size_t i;

	if (!ban_kind_get(args, &kind)) {
		proc_reply_error(id, 422, "invalid",
		    "`kind` is client, user or address");
		return;
	}
	for (i = 0; i < policy.ban_count && (policy.bans[i].kind != kind ||
	    strcmp(policy.bans[i].value, value) != 0); i++)
		continue;
	if (i == policy.ban_count) {
		proc_reply_error(id, 404, "not_found",
		    "nobody is banned as this %s", ban_kinds[kind]);
		return;
	}
	if (!policy_remove_ban(kind, slice_str(value))) {
		ops_not_stored(id);
		return;
	}
	desk_tell();
	proc_reply(id, 200, json_object_new_object());
}

/* ---- the table ------------------------------------------------------------ */

static void
tell_metrics(uint64_t id, struct json_object *args)
{
	struct json_object *m = metrics_new();

	(void)args;
	attempt_metrics(m);
	proc_reply(id, 200, m);
}

static const struct {
	const char *name;
	void (*run)(uint64_t id, struct json_object *args);
	bool changes;
} table[] = {
    {"metrics", tell_metrics, false},
    {"user.list", user_list, false},
    {"user.add", user_add, true},
    {"user.passwd", user_passwd, true},
    {"user.delete", user_delete, true},
    {"acl.list", acl_list, false},
    {"acl.add", acl_add_rule, true},
    {"acl.delete", acl_delete, true},
    {"acl.explain", acl_tell_why, false},
    {"ban.list", ban_list, false},
    {"ban.add", ban_add, true},
    {"ban.delete", ban_delete, true},
};

void
ops_run(uint64_t id, struct slice op, struct json_object *args)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!slice_is(op, table[i].name))
			continue;
		if (table[i].changes && policy.is_damaged)
			ops_not_stored(id);
		else
			table[i].run(id, args);
		return;
	}
	proc_reply_error(id, 404, "unknown_operation",
	    "the auth process has no operation %.*s", SLICE_ARG(op));
}
