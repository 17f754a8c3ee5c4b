#include "acceptor/acl.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/topic.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

struct rule {
	bool allow;
	enum acl_access access;
	enum acl_subject subject;
	char *name;
	char *filter;
	bool has_placeholder;
	uint8_t net[16];
	unsigned bits;
};

struct acl {
	struct rule *rules;
	size_t count;
	bool default_allow;
};

struct acl *
acl_new(bool default_allow)
{
	struct acl *a = mem_zalloc(1, sizeof(*a));

	a->default_allow = default_allow;
	return a;
}

void
acl_free(struct acl *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->count; i++) {
		free(a->rules[i].name);
		free(a->rules[i].filter);
	}
	free(a->rules);
	free(a);
}

size_t
acl_count(const struct acl *a)
{
	return a->count;
}

/* "10.0.0.0/8", "::1", ... */
static bool
net_parse(const char *text, uint8_t net[16], unsigned *bits)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	unsigned long given, offset = 0;
	char *end;

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	memset(net, 0, 16);
	if (inet_pton(AF_INET, host, net + 12) == 1) {
		net[10] = net[11] = 0xff;
		offset = 96;
	} else if (inet_pton(AF_INET6, host, net) != 1) {
		return false;
	}
	*bits = 128;
	if (slash == NULL)
		return true;
	given = strtoul(slash + 1, &end, 10);
	if (slash[1] < '0' || slash[1] > '9' || *end != '\0' ||
	    given > 128 - offset)
		return false;
	*bits = (unsigned)(offset + given);
	return true;
}

static bool
net_holds(const struct rule *r, const uint8_t address[16])
{
	unsigned whole = r->bits / 8, rest = r->bits % 8;

	if (memcmp(r->net, address, whole) != 0)
		return false;
	return rest == 0 ||
	    ((r->net[whole] ^ address[whole]) & (0xff << (8 - rest)) & 0xff) ==
	    0;
}

const char *
acl_add(struct acl *a, bool allow, enum acl_access access,
    enum acl_subject subject, struct slice name, struct slice filter)
{
	struct rule r = {.allow = allow, .access = access, .subject = subject};
	const char *why = filter_check(filter);

	if (why != NULL)
		return why;
	if (subject != ACL_ALL && name.len == 0)
		return "the rule names nobody";
	r.name = slice_dup(name);
	if (subject == ACL_ADDRESS && !net_parse(r.name, r.net, &r.bits)) {
		free(r.name);
		return "not an address or network";
	}
	r.filter = slice_dup(filter);
	r.has_placeholder =
	    strstr(r.filter, "%c") != NULL || strstr(r.filter, "%u") != NULL;
	a->rules = mem_realloc(a->rules, (a->count + 1) * sizeof(r));
	a->rules[a->count++] = r;
	return NULL;
}

static struct slice
take_word(struct slice *line)
{
	struct slice word;
	size_t n = 0;

	while (line->len > 0 && *line->p == ' ')
		*line = slice_of(line->p + 1, line->len - 1);
	while (n < line->len && line->p[n] != ' ')
		n++;
	word = slice_of(line->p, n);
	*line = slice_of(line->p + n, line->len - n);
	return word;
}

const char *
acl_add_line(struct acl *a, struct slice line)
{
	struct slice verb = take_word(&line), who = take_word(&line);
	struct slice name = SLICE_EMPTY, access;
	enum acl_subject subject;

	if (!slice_is(verb, "allow") && !slice_is(verb, "deny"))
		return "a rule begins with allow or deny";
	if (slice_is(who, "all"))
		subject = ACL_ALL;
	else if (slice_is(who, "user"))
		subject = ACL_USER;
	else if (slice_is(who, "client"))
		subject = ACL_CLIENT;
	else if (slice_is(who, "address"))
		subject = ACL_ADDRESS;
	else
		return "expected all, user, client or address";
	if (subject != ACL_ALL)
		name = take_word(&line);
	access = take_word(&line);
	if (!slice_is(access, "publish") && !slice_is(access, "subscribe") &&
	    !slice_is(access, "both"))
		return "expected publish, subscribe or both";
	while (line.len > 0 && *line.p == ' ')
		line = slice_of(line.p + 1, line.len - 1);
	return acl_add(a, slice_is(verb, "allow"),
	    slice_is(access, "publish")	      ? ACL_PUBLISH
		: slice_is(access, "subscribe") ? ACL_SUBSCRIBE
						: ACL_BOTH,
	    subject, name, line);
}

static bool
rule_is_about(const struct rule *r, const struct acl_who *who)
{
	switch (r->subject) {
	case ACL_ALL:
		return true;
	case ACL_USER:
		return !slice_is_null(who->username) &&
		    slice_is(who->username, r->name);
	case ACL_CLIENT:
		return slice_is(who->client_id, r->name);
	case ACL_ADDRESS:
		return net_holds(r, who->address);
	}
	return false;
}

/* A value that would change the filter's shape must not get in. */
static bool
is_plain(struct slice s)
{
	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '/' || s.p[i] == '+' || s.p[i] == '#' ||
		    s.p[i] == '\0')
			return false;
	return true;
}

/* The level with the placeholders filled in; false: it cannot be. */
static bool
level_expand(struct slice level, const struct acl_who *who, struct buf *out)
{
	struct slice value;

	for (size_t i = 0; i < level.len; i++) {
		if (level.p[i] != '%' || i + 1 == level.len ||
		    (level.p[i + 1] != 'c' && level.p[i + 1] != 'u')) {
			buf_add_u8(out, level.p[i]);
			continue;
		}
		value = level.p[++i] == 'c' ? who->client_id : who->username;
		if (!is_plain(value))
			return false;
		buf_add_slice(out, value);
	}
	return true;
}

/* The rule's filter for this client; false: an allowing one is void. */
static bool
rule_expand(const struct rule *r, const struct acl_who *who, struct buf *out)
{
	struct slice rest = slice_str(r->filter), level;
	bool is_first = true;
	size_t at;

	while (topic_next(&rest, &level)) {
		if (!is_first)
			buf_add_u8(out, '/');
		is_first = false;
		at = buf_len(out);
		if (level_expand(level, who, out))
			continue;
		if (r->allow)
			return false;
		out->len = out->off + at;
		buf_add_u8(out, '+');
	}
	return true;
}

static bool
levels_intersect(struct slice a, struct slice b)
{
	struct slice x, y, more_a, more_b;

	more_a = a;
	more_b = b;
	bool has_a = topic_next(&more_a, &x), has_b = topic_next(&more_b, &y);

	if (!has_a && !has_b)
		return true;
	if (has_a && slice_is(x, "#"))
		return levels_intersect(more_a, b) ||
		    (has_b && levels_intersect(a, more_b));
	if (has_b && slice_is(y, "#"))
		return levels_intersect(a, more_b) ||
		    (has_a && levels_intersect(more_a, b));
	if (!has_a || !has_b)
		return false;
	if (!slice_is(x, "+") && !slice_is(y, "+") && !slice_eq(x, y))
		return false;
	return levels_intersect(more_a, more_b);
}

static bool
first_is_dollar(struct slice s)
{
	return s.len > 0 && s.p[0] == '$';
}

static bool
first_is_wild(struct slice s)
{
	return s.len > 0 && (s.p[0] == '#' || s.p[0] == '+') &&
	    (s.len == 1 || s.p[1] == '/');
}

bool
filter_intersects(struct slice a, struct slice b)
{
	/* Wildcards in front do not reach $ topics (MQTT 5, 4.7.2). */
	if ((first_is_dollar(a) && first_is_wild(b)) ||
	    (first_is_dollar(b) && first_is_wild(a)))
		return false;
	return levels_intersect(a, b);
}

static bool
rule_applies(const struct rule *r, const struct acl_who *who,
    enum acl_access access, struct slice topic)
{
	struct buf expanded = {0};
	struct slice filter = slice_str(r->filter);
	bool applies;

	if ((r->access & access) == 0 || !rule_is_about(r, who))
		return false;
	if (r->has_placeholder) {
		if (!rule_expand(r, who, &expanded)) {
			buf_fini(&expanded);
			return false;
		}
		filter = buf_slice(&expanded);
	}
	if (access == ACL_PUBLISH)
		applies = topic_match(filter, topic);
	else
		applies = r->allow ? filter_covers(filter, topic)
				   : filter_intersects(filter, topic);
	buf_fini(&expanded);
	return applies;
}

size_t
acl_explain(const struct acl *a, const struct acl_who *who,
    enum acl_access access, struct slice topic, bool *allowed)
{
	for (size_t i = 0; i < a->count; i++)
		if (rule_applies(&a->rules[i], who, access, topic)) {
			*allowed = a->rules[i].allow;
			return i + 1;
		}
	*allowed = a->default_allow;
	return 0;
}

bool
acl_may_publish(
    const struct acl *a, const struct acl_who *who, struct slice topic)
{
	bool allowed;

	acl_explain(a, who, ACL_PUBLISH, topic, &allowed);
	return allowed;
}

bool
acl_may_subscribe(
    const struct acl *a, const struct acl_who *who, struct slice filter)
{
	bool allowed;

	acl_explain(a, who, ACL_SUBSCRIBE, filter, &allowed);
	return allowed;
}
