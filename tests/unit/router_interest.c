/* links: router_room */
#include "router/interest.h"

#include "base/mem.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

static char told[4096];

static void
on_wanted(void *owner, unsigned slot, bool add, struct slice filter)
{
	size_t n = strlen(told);

	(void)owner;
	snprintf(told + n, sizeof(told) - n, "%u%c%.*s ", slot,
	    add ? '+' : '-', SLICE_ARG(filter));
}

static const char *
take_told(void)
{
	static char last[4096];

	memcpy(last, told, sizeof(last));
	told[0] = '\0';
	return last;
}

static struct sub *
sub_make(const char *filter)
{
	struct sub *s = mem_zalloc(1, sizeof(*s) + strlen(filter));

	s->len = (uint16_t)strlen(filter);
	memcpy(s->text, filter, s->len);
	return s;
}

static void
setup(struct interest *in)
{
	interest_init(in);
	in->on_wanted = on_wanted;
	interest_attach(in, 0);
	interest_attach(in, 1);
	cr_assert_str_eq(take_told(), "");
}

#define A SLICE_LIT("a")

Test(router_interest, a_process_is_not_told_of_its_own_wish)
{
	struct interest in;

	setup(&in);
	interest_add_slot(&in, A, 0);
	cr_assert_str_eq(take_told(), "1+a ");
	cr_assert(in.has_grown);
	interest_add_slot(&in, A, 0);
	cr_assert_str_eq(take_told(), "");
	interest_add_slot(&in, A, 1);
	cr_assert_str_eq(take_told(), "0+a ");
	interest_remove_slot(&in, A, 0);
	cr_assert_str_eq(take_told(), "1-a ");
	interest_remove_slot(&in, A, 1);
	cr_assert_str_eq(take_told(), "0-a ");
	interest_fini(&in);
}

Test(router_interest, streams_and_sessions_are_outside_everybody)
{
	struct interest in;
	struct sub *s = sub_make("a"), *s2 = sub_make("a");
	struct stream *st = (struct stream *)&in;

	setup(&in);
	interest_add_stream(&in, A, st);
	cr_assert_str_eq(take_told(), "0+a 1+a ");
	interest_add_slot(&in, A, 0);
	interest_add_sub(&in, s);
	interest_add_sub(&in, s2);
	interest_remove_stream(&in, A, st);
	cr_assert_str_eq(take_told(), "");
	interest_remove_sub(&in, s);
	interest_remove_sub(&in, s2);
	cr_assert_str_eq(take_told(), "0-a ");
	interest_clear_slot(&in, 0);
	cr_assert_str_eq(take_told(), "1-a ");
	free(s);
	free(s2);
	interest_fini(&in);
}

Test(router_interest, a_new_process_is_told_everything)
{
	struct interest in;

	setup(&in);
	interest_add_slot(&in, A, 0);
	interest_add_slot(&in, SLICE_LIT("b/#"), 2);
	take_told();
	interest_attach(&in, 2);
	cr_assert_str_eq(take_told(), "2+a ");
	interest_fini(&in);
}

struct seen {
	int filters;
	uint64_t slots;
	uint32_t subs;
};

static void
on_match(const struct filter *f, void *arg)
{
	struct seen *seen = arg;

	seen->filters++;
	seen->slots |= f->slots;
	seen->subs += f->subs_len;
}

Test(router_interest, matches_by_topic)
{
	struct interest in;
	struct sub *s = sub_make("+/b");
	struct seen seen = {0};

	setup(&in);
	interest_add_slot(&in, SLICE_LIT("a/#"), 3);
	interest_add_slot(&in, SLICE_LIT("#"), 5);
	interest_add_slot(&in, SLICE_LIT("x"), 6);
	interest_add_sub(&in, s);
	interest_match(&in, SLICE_LIT("a/b"), on_match, &seen);
	cr_assert_eq(seen.filters, 3);
	cr_assert_eq(seen.slots, 1u << 3 | 1u << 5);
	cr_assert_eq(seen.subs, 1);
	interest_remove_sub(&in, s);
	free(s);
	interest_fini(&in);
}
