/*
 * policy - the users, rules and bans in force, of files and of commands.
 *
 * In memory whole; changes by command are stored first (store.h). Acceptors
 * are sent the rules and bans by desk.h whenever they change.
 */
#ifndef ACCEPTOR_AUTH_POLICY_H
#define ACCEPTOR_AUTH_POLICY_H

#include "acceptor/acl.h"
#include "acceptor/auth/store.h"
#include "ipc/messages.h"

#include <json-c/json.h>

enum ban_kind { BAN_CLIENT = 0, BAN_USER = 1, BAN_ADDRESS = 2 };

struct rule_line {
	uint64_t id;		/* 0: of the file */
	char *line;
};

struct ban_line {
	uint8_t kind;
	char *value;
	char *reason;
	uint64_t until_ms;	/* 0: for ever */
};

struct policy {
	bool required;
	bool allow_anonymous;
	bool is_damaged;	/* the database cannot be read: nobody new */
	uint64_t cache_ms;
	struct users *file_users, *own_users;
	struct rule_line *rules;	/* of the file first */
	size_t rule_count, file_rule_count;
	struct ban_line *bans;
	size_t ban_count;
	struct acl *acl;	/* of all rules */
};
extern struct policy policy;

/* At the start, and again after a reload. */
void policy_configure(struct json_object *config);
void policy_load(void);

/* What acceptors are told. */
bool policy_needs_login(void);
bool policy_denies_rest(void);
/* The file's users go before those of commands. */
const struct user *policy_user(struct slice name);

/* Changes by command; false: not stored, store_why. */
bool policy_put_user(struct slice name, struct slice hash,
    const struct scram_secret *scram);
bool policy_remove_user(struct slice name);
uint64_t policy_add_rule(struct slice line);
bool policy_remove_rule(uint64_t id);
bool policy_put_ban(enum ban_kind kind, struct slice value,
    uint64_t until_ms, struct slice reason);
bool policy_remove_ban(enum ban_kind kind, struct slice value);
/* Those whose time is over go. */
void policy_expire_bans(uint64_t now_ms);

#endif
