/*
 * users - names and what their passwords are checked against. Pure.
 */
#ifndef ACCEPTOR_AUTH_USERS_H
#define ACCEPTOR_AUTH_USERS_H

#include "acceptor/auth/scram.h"

#define USERNAME_LEN_MAX 65535

struct user {
	struct user *next;
	char *name;
	char *hash;
	bool has_scram;
	struct scram_secret scram;
};

struct users;

struct users *users_new(void);
void users_free(struct users *u);
size_t users_count(const struct users *u);
/* NULL: nobody has this name. A loan until the users change. */
const struct user *users_find(const struct users *u, struct slice name);
/* Adds or replaces; scram may be NULL. */
void users_put(struct users *u, struct slice name, struct slice hash,
    const struct scram_secret *scram);
bool users_remove(struct users *u, struct slice name);
/* Sorted by name is the caller's business. */
void users_each(const struct users *u,
    void (*cb)(const struct user *user, void *arg), void *arg);

/*
 * A users file: NAME:HASH on each line; empty lines and those that begin
 * with # are left out. NULL after a fault, with the line's number and what
 * is wrong in why; never with a part of the line.
 */
struct users *users_parse(struct slice text, char *why, size_t cap);

#endif
