/* links: acceptor_auth base */
#include "acceptor/acl.h"

#include <criterion/criterion.h>

static struct acl *
acl_of(bool def, const char *const *lines)
{
	struct acl *a = acl_new(def);

	for (; *lines != NULL; lines++) {
		const char *why = acl_add_line(a, slice_str(*lines));

		cr_assert_null(why, "%s: %s", *lines, why);
	}
	return a;
}

#define RULES(def, ...) acl_of(def, (const char *const[]){__VA_ARGS__, NULL})

static struct acl_who
who(const char *client, const char *user)
{
	struct acl_who w = {.client_id = slice_str(client),
	    .username = user == NULL ? SLICE_NULL : slice_str(user)};

	w.address[10] = w.address[11] = 0xff;
	memcpy(w.address + 12, "\x0a\1\2\3", 4);
	return w;
}

static bool
publishes(struct acl *a, struct acl_who w, const char *topic)
{
	return acl_may_publish(a, &w, slice_str(topic));
}

static bool
subscribes(struct acl *a, struct acl_who w, const char *filter)
{
	return acl_may_subscribe(a, &w, slice_str(filter));
}

Test(acl, the_first_rule_that_applies_decides)
{
	struct acl *a = RULES(false, "deny user bob publish plant/secret",
	    "allow user bob both plant/#", "allow all subscribe public/+");

	cr_assert_not(publishes(a, who("c", "bob"), "plant/secret"));
	cr_assert(publishes(a, who("c", "bob"), "plant/a/b"));
	cr_assert_not(publishes(a, who("c", "eve"), "plant/a"));
	cr_assert_not(publishes(a, who("c", NULL), "plant/a"));
	cr_assert(subscribes(a, who("c", NULL), "public/x"));
	cr_assert_not(publishes(a, who("c", NULL), "public/x"));
	acl_free(a);
}

Test(acl, a_filter_reaches_no_further_than_a_publish)
{
	struct acl *a = RULES(true, "deny all both plant/+/secret",
	    "allow all both plant/#");

	cr_assert_not(subscribes(a, who("c", NULL), "#"));
	cr_assert_not(subscribes(a, who("c", NULL), "plant/#"));
	cr_assert_not(subscribes(a, who("c", NULL), "plant/1/+"));
	cr_assert_not(subscribes(a, who("c", NULL), "+/1/secret"));
	cr_assert(subscribes(a, who("c", NULL), "plant/1/open"));
	acl_free(a);
	a = RULES(false, "allow all subscribe plant/+/temp");
	cr_assert(subscribes(a, who("c", NULL), "plant/+/temp"));
	cr_assert(subscribes(a, who("c", NULL), "plant/1/temp"));
	cr_assert_not(subscribes(a, who("c", NULL), "plant/1/+"));
	cr_assert_not(subscribes(a, who("c", NULL), "plant/#"));
	acl_free(a);
}

Test(acl, placeholders_are_whole_plain_values)
{
	struct acl *a = RULES(false, "deny all both vault/%u",
	    "allow all both dev/%c/#", "allow all both u-%u/x",
	    "allow all both vault/+");

	cr_assert(publishes(a, who("d1", NULL), "dev/d1/temp"));
	cr_assert_not(publishes(a, who("d1", NULL), "dev/d2/temp"));
	/* a client identifier that would widen the filter gives nothing */
	cr_assert_not(publishes(a, who("+", NULL), "dev/d2/temp"));
	cr_assert_not(subscribes(a, who("#", NULL), "dev/#"));
	cr_assert_not(publishes(a, who("a/b", NULL), "dev/a/b/c"));
	cr_assert(publishes(a, who("d1", "eva"), "u-eva/x"));
	cr_assert_not(publishes(a, who("d1", NULL), "u-/x"));
	/* ... and escapes no denial */
	cr_assert_not(publishes(a, who("d1", "+"), "vault/7"));
	cr_assert_not(publishes(a, who("d1", NULL), "vault/7"));
	cr_assert(publishes(a, who("d1", "eva"), "vault/7"));
	acl_free(a);
}

Test(acl, addresses)
{
	struct acl *a = RULES(false, "allow address 10.1.0.0/16 both #",
	    "allow address ::1 both x");
	struct acl_who w = who("c", NULL);

	cr_assert(publishes(a, w, "a"));
	w.address[13] = 2;
	cr_assert_not(publishes(a, w, "a"));
	memset(w.address, 0, 16);
	w.address[15] = 1;
	cr_assert(publishes(a, w, "x"));
	acl_free(a);
}

Test(acl, wildcards_leave_dollar_topics_alone)
{
	struct acl *a = RULES(false, "allow all both #");

	cr_assert_not(subscribes(a, who("c", NULL), "$SYS/#"));
	cr_assert(subscribes(a, who("c", NULL), "#"));
	acl_free(a);
	a = RULES(true, "deny all subscribe $SYS/#");
	cr_assert(subscribes(a, who("c", NULL), "#"));
	cr_assert_not(subscribes(a, who("c", NULL), "$SYS/broker"));
	acl_free(a);
}

Test(acl, faults_of_lines)
{
	static const char *const bad[] = {"", "permit all both #",
	    "allow nobody both #", "allow user both #", "allow all read #",
	    "allow all both", "allow all both a/#/b",
	    "allow address 10.0.0.0/33 both #", "allow address x both #"};
	struct acl *a = acl_new(false);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not_null(
		    acl_add_line(a, slice_str(bad[i])), "%s", bad[i]);
	cr_assert_eq(acl_count(a), 0);
	acl_free(a);
}

Test(acl, intersections)
{
	static const struct {
		const char *a, *b;
		bool yes;
	} cases[] = {{"a/+", "+/b", true}, {"a/+", "b/+", false},
	    {"a/#", "a", true}, {"a/#", "+/b/c", true}, {"#", "a/b", true},
	    {"a/b", "a/b/c", false}, {"+", "a/b", false}, {"$x/#", "#", false},
	    {"$x/#", "$x/+", true}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cr_assert_eq(filter_intersects(slice_str(cases[i].a),
				 slice_str(cases[i].b)),
		    cases[i].yes, "%s %s", cases[i].a, cases[i].b);
		cr_assert_eq(filter_intersects(slice_str(cases[i].b),
				 slice_str(cases[i].a)),
		    cases[i].yes);
	}
}
