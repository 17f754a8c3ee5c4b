/* links: acceptor_mqtt */
#include "acceptor/mqtt/route.h"
#include "acceptor/mqtt/mqtt.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* Groups as subs and routes see them; whose turn it is, the e2e tests. */
static struct subs subs;
static struct wanted wanted;
static struct routes routes;
static int firsts, lasts, ends;
static struct client alice, bob;
static struct subscription *of_alice, *of_bob;

static void
on_first(struct filter *f)
{
	(void)f;
	firsts++;
}

static void
on_last(struct filter *f)
{
	(void)f;
	lasts++;
}

static void
on_group_end(struct group *g)
{
	cr_assert_eq(g->count, 0);
	ends++;
}

static void
start(void)
{
	firsts = lasts = ends = 0;
	of_alice = of_bob = NULL;
	subs_init(&subs, on_first, on_last);
	subs.on_group_end = on_group_end;
	wanted_init(&wanted);
	routes_init(&routes, &subs, &wanted);
}

static void
stop(void)
{
	while (of_alice != NULL)
		subs_remove(&subs, &of_alice, of_alice);
	while (of_bob != NULL)
		subs_remove(&subs, &of_bob, of_bob);
	routes_fini(&routes);
	subs_fini(&subs);
}

TestSuite(shared, .init = start, .fini = stop);

static struct subscription *
add(struct client *c, struct subscription **list, const char *filter)
{
	bool existed;

	return subs_add(&subs, c, list, slice_str(filter), &existed);
}

/* The router hears of the filter, once, whoever wants it. */
Test(shared, groups_hang_on_their_filter)
{
	struct subscription *a = add(&alice, &of_alice, "$share/g/a/+");
	struct subscription *b = add(&bob, &of_bob, "$share/g/a/+");
	struct subscription *plain = add(&bob, &of_bob, "a/+");
	const struct route *r;

	cr_assert_eq(firsts, 1);
	cr_assert_eq(a->group, b->group);
	cr_assert_eq(a->group->count, 2);
	cr_assert_null(plain->group);
	cr_assert_eq(plain->filter, a->filter);
	cr_assert_eq(subs_find(&subs, &alice, of_alice,
	    SLICE_LIT("$share/g/a/+")), a);
	cr_assert_eq(subs_find(&subs, &bob, of_bob, SLICE_LIT("a/+")), plain);
	cr_assert_null(subs_find(&subs, &alice, of_alice, SLICE_LIT("a/+")));
	cr_assert_null(subs_find(&subs, &alice, of_alice,
	    SLICE_LIT("$share/h/a/+")));
	r = route_find(&routes, SLICE_LIT("a/b"));
	cr_assert_eq(r->count, 1);
	cr_assert_eq(r->group_count, 1);
	cr_assert_eq(r->groups[0], a->group);
	subs_remove(&subs, &of_bob, plain);
	cr_assert_eq(lasts, 0);
	subs_remove(&subs, &of_alice, a);
	cr_assert_eq(ends, 0);
	subs_remove(&subs, &of_bob, b);
	cr_assert_eq(ends, 1);
	cr_assert_eq(lasts, 1);
	r = route_find(&routes, SLICE_LIT("a/b"));
	cr_assert_eq(r->group_count, 0);
}

/* Who holds a group keeps it beyond its last member. */
Test(shared, groups_outlive_their_members)
{
	struct subscription *a = add(&alice, &of_alice, "$share/g/#");
	struct group *g = a->group;

	g->references++;
	subs_remove(&subs, &of_alice, a);
	cr_assert_eq(ends, 1);
	cr_assert_null(g->filter);
	/* A new one of its name is another. */
	a = add(&alice, &of_alice, "$share/g/#");
	cr_assert_neq(a->group, g);
	group_release(g);
}

/* The turn passes on when the one whose it is goes. */
Test(shared, turn_moves_on)
{
	struct subscription *a = add(&alice, &of_alice, "$share/g/x");
	struct subscription *b = add(&bob, &of_bob, "$share/g/x");

	a->group->cursor = b;
	subs_remove(&subs, &of_bob, b);
	cr_assert_eq(a->group->cursor, a);
	a->group->cursor = a;
	b = add(&bob, &of_bob, "$share/g/x");
	subs_remove(&subs, &of_alice, a);
	cr_assert_null(b->group->cursor);
}
