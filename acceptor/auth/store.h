/*
 * store - DATA/auth/auth.db: users, rules and bans made by command.
 *
 * Opened when it is there, made by the first change. Written here only; the
 * caller keeps everything in memory beside it. What returned true is on
 * disk.
 */
#ifndef ACCEPTOR_AUTH_STORE_H
#define ACCEPTOR_AUTH_STORE_H

#include "acceptor/auth/users.h"

struct store_ops {
	void (*on_user)(struct slice name, struct slice hash,
	    const struct scram_secret *scram);
	void (*on_rule)(uint64_t id, struct slice line);
	void (*on_ban)(uint8_t kind, struct slice value, uint64_t until_ms,
	    struct slice reason);
};

/* Reads all of it; false: store_why says what is wrong with it. */
bool store_load(const struct store_ops *ops);
const char *store_why(void);

bool store_put_user(struct slice name, struct slice hash,
    const struct scram_secret *scram);
bool store_remove_user(struct slice name);
/* Its id, 0 on failure. */
uint64_t store_add_rule(struct slice line);
bool store_remove_rule(uint64_t id);
bool store_put_ban(uint8_t kind, struct slice value, uint64_t until_ms,
    struct slice reason);
bool store_remove_ban(uint8_t kind, struct slice value);

#endif
