#include "acceptor/access.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/topic.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define REMEMBERED 8192u	/* outcomes; a power of 2 */

struct ban {
	uint64_t until_ms;
	uint8_t kind;
	char *value;
	struct acl *net;	/* of an address: denies it, or NULL */
};

struct ban_list {
	struct ban *v;
	size_t count;
};

/* What a client may publish to, as it was found. */
struct outcome {
	uint64_t conn;
	uint64_t serial;
	uint64_t generation;
	bool is_allowed;
};

struct access_state access_state = {.generation = 1};

static struct {
	struct outcome *outcomes;
	struct ban_list bans;
	/* Told in part. */
	struct acl *next_rules;
	struct ban_list next_bans;
	bool has_policy, has_bans;
} access;

void
access_init(bool is_required)
{
	access_state.is_required = is_required;
}

/* ---- rules --------------------------------------------------------------- */

static bool
may(const struct access_who *who, enum acl_access what, struct slice topic)
{
	bool is_allowed = true;

	if (who->own != NULL &&
	    acl_explain(who->own, &who->who, what, topic, &is_allowed) != 0)
		return is_allowed;
	if (access_state.rules != NULL)
		acl_explain(access_state.rules, &who->who, what, topic,
		    &is_allowed);
	return is_allowed;
}

static struct outcome *
outcome_of(uint64_t conn, uint64_t serial)
{
	uint64_t h = (conn * UINT64_C(0x9e3779b97f4a7c15)) ^
	    (serial * UINT64_C(0xc2b2ae3d27d4eb4f));

	if (access.outcomes == NULL)
		access.outcomes = mem_zalloc(REMEMBERED,
		    sizeof(*access.outcomes));
	return &access.outcomes[(h >> 32) & (REMEMBERED - 1)];
}

bool
access_may_publish(const struct access_who *who, uint64_t serial,
    struct slice topic)
{
	bool is_allowed = may(who, ACL_PUBLISH, topic);

	if (serial != 0)
		*outcome_of(who->conn, serial) = (struct outcome){who->conn,
		    serial, access_state.generation, is_allowed};
	return is_allowed;
}

bool
access_remembers(uint64_t conn, uint64_t serial, bool *is_allowed)
{
	const struct outcome *o = outcome_of(conn, serial);

	*is_allowed = o->is_allowed;
	return serial != 0 && o->conn == conn && o->serial == serial &&
	    o->generation == access_state.generation;
}

bool
access_may_subscribe(const struct access_who *who, struct slice filter)
{
	struct slice group, rest;

	if (filter_share(filter, &group, &rest))
		filter = rest;
	return may(who, ACL_SUBSCRIBE, filter);
}

bool
access_may_receive(const struct access_who *who, struct slice topic)
{
	return may(who, ACL_SUBSCRIBE, topic);
}

bool
access_policy(const struct ipc_auth_policy *m)
{
	struct ipc_list rules = m->rules;
	struct ipc_auth_rule item;
	const char *why;

	if (access.next_rules == NULL)
		access.next_rules = acl_new(m->denies_rest == 0);
	while (ipc_next_auth_rule(&rules, &item) > 0) {
		why = acl_add_line(access.next_rules, item.line);
		if (why != NULL)
			log_error("an access rule is not understood: %s", why);
	}
	if (m->more)
		return false;
	acl_free(access_state.rules);
	access_state.rules = NULL;
	if (m->denies_rest || acl_count(access.next_rules) > 0)
		access_state.rules = access.next_rules;
	else
		acl_free(access.next_rules);
	access.next_rules = NULL;
	access_state.generation++;
	access_state.needs_login = m->needs_login != 0;
	access_state.takes_anonymous = m->takes_anonymous != 0;
	access_state.denies_rest = m->denies_rest != 0;
	access.has_policy = true;
	access_state.is_known = access.has_bans;
	return true;
}

/* ---- bans ---------------------------------------------------------------- */

static void
bans_fini(struct ban_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->v[i].value);
		acl_free(l->v[i].net);
	}
	free(l->v);
	*l = (struct ban_list){0};
}

/* An address is a rule that denies it everything. */
static struct acl *
net_new(struct slice net)
{
	struct acl *a = acl_new(true);

	if (acl_add(a, false, ACL_BOTH, ACL_ADDRESS, net, SLICE_LIT("#")) !=
	    NULL)
		log_error("a ban is not understood: %.*s", SLICE_ARG(net));
	return a;
}

static bool
ban_is_about(const struct ban *b, const struct acl_who *who)
{
	if (b->kind == 0)
		return slice_is(who->client_id, b->value);
	if (b->kind == 1)
		return !slice_is_null(who->username) &&
		    slice_is(who->username, b->value);
	return !acl_may_publish(b->net, who, SLICE_LIT("x"));
}

bool
access_is_banned(const struct acl_who *who, uint64_t now_ms)
{
	const struct ban *b = access.bans.v;

	for (; b < access.bans.v + access.bans.count; b++)
		if ((b->until_ms == 0 || b->until_ms > now_ms) &&
		    ban_is_about(b, who))
			return true;
	return false;
}

void
access_link_closed(void)
{
	acl_free(access.next_rules);
	access.next_rules = NULL;
	bans_fini(&access.next_bans);
}

bool
access_bans(const struct ipc_auth_bans *m)
{
	struct ban_list *l = &access.next_bans;
	struct ipc_list bans = m->bans;
	struct ipc_auth_ban item;

	while (ipc_next_auth_ban(&bans, &item) > 0) {
		l->v = mem_realloc(l->v, (l->count + 1) * sizeof(*l->v));
		l->v[l->count++] = (struct ban){item.until_ms, item.kind,
		    slice_dup(item.value),
		    item.kind == 2 ? net_new(item.value) : NULL};
	}
	if (m->more)
		return false;
	bans_fini(&access.bans);
	access.bans = *l;
	*l = (struct ban_list){0};
	access.has_bans = true;
	access_state.is_known = access.has_policy;
	return true;
}

/* ---- addresses ----------------------------------------------------------- */

bool
access_address(const char *text, uint8_t address[16])
{
	char host[INET6_ADDRSTRLEN];
	const char *end = strrchr(text, ':');
	size_t n;

	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
	} else if (end != NULL && strchr(text, ':') != end) {
		end = NULL;	/* IPv6 without a port */
	}
	n = end == NULL ? strlen(text) : (size_t)(end - text);
	memset(address, 0, 16);
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(AF_INET, host, address + 12) == 1) {
		address[10] = address[11] = 0xff;
		return true;
	}
	if (inet_pton(AF_INET6, host, address) == 1)
		return true;
	memset(address, 0, 16);
	return false;
}
