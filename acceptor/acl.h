/*
 * acl - who may publish and subscribe to what.
 *
 * Pure. Rules are tried in order, the first that applies decides; where
 * none does, the answer is the list's default. A publish asks about a topic.
 * A subscription asks about a filter, and may not reach what a publish could
 * not (protocols.md, MQTT): an allowing rule must cover the whole filter, a
 * denying one applies as soon as the two have any topic in common.
 *
 * In a rule's filter %c stands for the client identifier and %u for the user
 * name, each as a whole level or a part of one; a value with '/', '+' or '#'
 * in it, or an absent one, makes an allowing rule not apply and a denying one
 * apply to every such topic ('+' in its place).
 */
#ifndef ACCEPTOR_ACL_H
#define ACCEPTOR_ACL_H

#include "base/slice.h"

enum acl_access { ACL_PUBLISH = 1, ACL_SUBSCRIBE = 2, ACL_BOTH = 3 };

enum acl_subject {
	ACL_ALL,
	ACL_USER,	/* of this name */
	ACL_CLIENT,	/* of this client identifier */
	ACL_ADDRESS,	/* from this network, a.b.c.d/n or its IPv6 form */
};

struct acl_who {
	struct slice client_id;
	struct slice username;	/* null: none */
	uint8_t address[16];	/* IPv4 as ::ffff:a.b.c.d */
};

struct acl;

struct acl *acl_new(bool default_allow);
void acl_free(struct acl *a);

/* NULL, or what is wrong with the rule (a loan). subject "" for ACL_ALL. */
const char *acl_add(struct acl *a, bool allow, enum acl_access access,
    enum acl_subject subject, struct slice name, struct slice filter);
/*
 * A rule as a line of the ACL file:
 *	allow|deny user NAME|client ID|address NET|all publish|subscribe|both FILTER
 * Words are separated by spaces; the filter is the rest of the line.
 */
const char *acl_add_line(struct acl *a, struct slice line);
size_t acl_count(const struct acl *a);

bool acl_may_publish(
    const struct acl *a, const struct acl_who *who, struct slice topic);
/* The filter without $share/GROUP/. */
bool acl_may_subscribe(
    const struct acl *a, const struct acl_who *who, struct slice filter);
/* The number of the rule that decides, from 1; 0 the default. */
size_t acl_explain(const struct acl *a, const struct acl_who *who,
    enum acl_access access, struct slice topic, bool *allowed);

/* Whether some topic matches both filters. */
bool filter_intersects(struct slice a, struct slice b);

#endif
