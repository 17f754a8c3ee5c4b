/*
 * access - what clients may do, as the auth process has told it.
 *
 * Holds the whole of the access rules and bans; nothing is asked per
 * message. Publishing is checked against the topic, and the outcome is
 * remembered per connection and topic as long as the rules stay; a
 * subscription is checked against its filter (acceptor/acl.h).
 * Without rules every check is one comparison.
 *
 * One per acceptor; it starts closed where access_init says that there is an
 * auth process, until that one has told the rules.
 */
#ifndef ACCEPTOR_ACCESS_H
#define ACCEPTOR_ACCESS_H

#include "acceptor/acl.h"
#include "ipc/messages.h"

/* Whoever asks. own: rules of this client alone, before all others; or NULL. */
struct access_who {
	struct acl_who who;
	const struct acl *own;
	uint64_t conn;
};

struct access_state {
	struct acl *rules;	/* NULL: everything is allowed */
	uint64_t generation;	/* of the rules */
	bool is_required;	/* there is an auth process... */
	bool is_known;		/* ...and it has told the rules and bans */
	bool needs_login;
	bool takes_anonymous;
	bool denies_rest;
};
extern struct access_state access_state;

/* From the configuration, again after a reload. */
void access_init(bool is_required);

/* False: nobody can be let in yet. */
static inline bool
access_is_open(void)
{
	return access_state.is_known || !access_state.is_required;
}

/* Are there rules at all, for a client whose own are given? */
static inline bool
access_has_rules(const struct acl *own)
{
	return access_state.rules != NULL || own != NULL;
}

/*
 * topic_serial: a number that stands for the topic and for no other one, for
 * as long as the process lives; 0: none, the outcome is not remembered.
 */
bool access_remembers(uint64_t conn, uint64_t topic_serial, bool *is_allowed);
bool access_may_publish(const struct access_who *who, uint64_t topic_serial,
    struct slice topic);
/* May be "$share/GROUP/FILTER": the filter counts. */
bool access_may_subscribe(const struct access_who *who, struct slice filter);
/* May a message of this topic be delivered to it, whatever the filter was? */
bool access_may_receive(const struct access_who *who, struct slice topic);
bool access_is_banned(const struct acl_who *who, uint64_t now_ms);

/* "1.2.3.4:567", "[::1]:567" or without a port; false: not an address. */
bool access_address(const char *text, uint8_t address[16]);

/* Frames of the auth process: true when all was told, and now counts. */
bool access_policy(const struct ipc_auth_policy *m);
bool access_bans(const struct ipc_auth_bans *m);
/* The link is gone: what was told in part is nothing. */
void access_link_closed(void);

#endif
