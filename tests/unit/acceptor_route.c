/* links: acceptor_mqtt */
#include "acceptor/mqtt/route.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Only its address is looked at. */
struct client {
	int none;
};

static struct {
	int first, last;
} seen;

static void
on_first(struct filter *f)
{
	(void)f;
	seen.first++;
}

static void
on_last(struct filter *f)
{
	(void)f;
	seen.last++;
}

static struct subs subs;
static struct wanted wanted;
static struct routes routes;
static struct client alice, bob;
static struct subscription *of_alice, *of_bob;

static void
begin(void)
{
	seen.first = seen.last = 0;
	of_alice = of_bob = NULL;
	subs_init(&subs, on_first, on_last);
	wanted_init(&wanted);
	routes_init(&routes, &subs, &wanted);
}

static void
end(void)
{
	while (of_alice != NULL)
		subs_remove(&subs, &of_alice, of_alice);
	while (of_bob != NULL)
		subs_remove(&subs, &of_bob, of_bob);
	routes_fini(&routes);
	wanted_fini(&wanted);
	subs_fini(&subs);
}

TestSuite(route, .init = begin, .fini = end);

static struct subscription *
sub(struct client *c, struct subscription **list, const char *filter)
{
	bool existed;

	return subs_add(&subs, c, list, slice_str(filter), &existed);
}

Test(route, subscriptions)
{
	struct subscription *a = sub(&alice, &of_alice, "a/+"), *b;
	bool existed;

	cr_assert_eq(seen.first, 1);
	b = sub(&bob, &of_bob, "a/+");
	cr_assert_eq(seen.first, 1);
	cr_assert_neq(a, b);
	cr_assert_eq(subs_add(&subs, &alice, &of_alice, SLICE_LIT("a/+"),
	    &existed), a);
	cr_assert(existed);
	cr_assert_eq(subs_find(&subs, &bob, of_bob, SLICE_LIT("a/+")), b);
	cr_assert_null(subs_find(&subs, &bob, of_bob, SLICE_LIT("a")));
	sub(&alice, &of_alice, "b");
	cr_assert_null(subs_find(&subs, &bob, of_bob, SLICE_LIT("b")));
	cr_assert_eq(subs.count, 3);
	subs_remove(&subs, &of_alice, a);
	cr_assert_eq(seen.last, 0);
	subs_remove(&subs, &of_bob, b);
	cr_assert_eq(seen.last, 1);
	cr_assert_eq(subs.count, 1);
	cr_assert_null(of_bob);
}

Test(route, many_lists)
{
	static struct subscription *lists[200];
	static struct client clients[200];
	char filter[16];
	size_t i, k;

	for (i = 0; i < 200; i++)
		for (k = 0; k <= i % 7; k++) {
			snprintf(filter, sizeof(filter), "f/%zu", k);
			sub(&clients[i], &lists[i], filter);
		}
	for (i = 0; i < 200; i++)
		cr_assert_eq(subs_find(&subs, &clients[i], lists[i],
		    SLICE_LIT("f/3")) != NULL, i % 7 >= 3);
	for (i = 0; i < 200; i++)
		while (lists[i] != NULL)
			subs_remove(&subs, &lists[i],
			    i % 2 == 0 || lists[i]->of_next == NULL ?
			    lists[i] : lists[i]->of_next);
	cr_assert_eq(seen.first, 7);
	cr_assert_eq(seen.last, 7);
}

Test(route, follows_every_change)
{
	const struct route *r;
	struct subscription *a;

	r = route_find(&routes, SLICE_LIT("a/b"));
	cr_assert_not_null(r);
	cr_assert_eq(r->count, 0);
	cr_assert_not(r->is_wanted);
	a = sub(&alice, &of_alice, "a/+");
	sub(&bob, &of_bob, "#");
	sub(&alice, &of_alice, "a/b");
	r = route_find(&routes, SLICE_LIT("a/b"));
	cr_assert_eq(r->count, 3);
	cr_assert(r->subs[0]->client == r->subs[1]->client ||
	    r->subs[1]->client == r->subs[2]->client);
	cr_assert_eq(route_find(&routes, SLICE_LIT("a/b")), r, "remembered");
	subs_remove(&subs, &of_alice, a);
	cr_assert_eq(route_find(&routes, SLICE_LIT("a/b"))->count, 2);
	wanted_add(&wanted, SLICE_LIT("a/#"));
	cr_assert(route_find(&routes, SLICE_LIT("a/b"))->is_wanted);
	cr_assert_not(route_find(&routes, SLICE_LIT("b"))->is_wanted);
	wanted_remove(&wanted, SLICE_LIT("a/#"));
	cr_assert_not(route_find(&routes, SLICE_LIT("a/b"))->is_wanted);
	wanted_add(&wanted, SLICE_LIT("a/#"));
	wanted_clear(&wanted);
	cr_assert_not(route_find(&routes, SLICE_LIT("a/b"))->is_wanted);
}

Test(route, only_of_topics)
{
	static char deep[1024];

	cr_assert_null(route_find(&routes, SLICE_LIT("a/+")));
	cr_assert_null(route_find(&routes, SLICE_LIT("")));
	cr_assert_null(route_find(&routes, SLICE_LIT("\xff")));
	memset(deep, '/', sizeof(deep));
	cr_assert_null(route_find(&routes, slice_of(deep, 256)));
	cr_assert_not_null(route_find(&routes, slice_of(deep, 255)));
}

Test(route, more_topics_than_places)
{
	char topic[32];
	int i, round;

	sub(&alice, &of_alice, "t/+");
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 20000; i++) {
			snprintf(topic, sizeof(topic), "t/%d", i);
			cr_assert_eq(route_find(&routes,
			    slice_str(topic))->count, 1);
		}
	}
}

Test(route, generation_page)
{
	uint64_t generation = 5;
	int fd = memfd_create("page", 0);

	cr_assert(wanted_is_stale(&wanted), "no router yet");
	cr_assert_eq(ftruncate(fd, 4096), 0);
	cr_assert_eq(pwrite(fd, &generation, 8, 0), 8);
	cr_assert_not(wanted_map(&wanted, -1));
	cr_assert(wanted_map(&wanted, fd));
	cr_assert(wanted_is_stale(&wanted));
	wanted_apply(&wanted, 5);
	cr_assert_not(wanted_is_stale(&wanted));
	generation++;
	cr_assert_eq(pwrite(fd, &generation, 8, 0), 8);
	cr_assert(wanted_is_stale(&wanted));
	close(fd);
}
