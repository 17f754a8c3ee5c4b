/* links: acceptor ipc base */
#include "acceptor/access.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void
policy(bool denies_rest, const char *const *lines)
{
	struct ipc_batch b = {0};

	for (; *lines != NULL; lines++)
		ipc_add_auth_rule(&b,
		    &(struct ipc_auth_rule){slice_str(*lines)});
	access_policy(&(struct ipc_auth_policy){.needs_login = 1,
	    .denies_rest = denies_rest, .rules = ipc_batch_list(&b)});
	buf_fini(&b.bytes);
}

#define POLICY(rest, ...) \
	policy(rest, (const char *const[]){__VA_ARGS__, NULL})

static void
bans(uint8_t kind, const char *value, uint64_t until)
{
	struct ipc_batch b = {0};

	if (value != NULL)
		ipc_add_auth_ban(&b,
		    &(struct ipc_auth_ban){kind, slice_str(value), until});
	access_bans(&(struct ipc_auth_bans){.bans = ipc_batch_list(&b)});
	buf_fini(&b.bytes);
}

static struct access_who
ann(void)
{
	struct access_who w = {.conn = 5};

	w.who.client_id = SLICE_LIT("c");
	w.who.username = SLICE_LIT("ann");
	access_address("10.1.2.3:99", w.who.address);
	return w;
}

Test(access, opens)
{
	access_init(false);
	cr_assert(access_is_open());
	access_init(true);
	cr_assert_not(access_is_open());
	POLICY(true, "allow all both a");
	cr_assert_not(access_is_open(), "the bans are not known");
	bans(0, NULL, 0);
	cr_assert(access_is_open());
}

Test(access, remembers_until_rules_change)
{
	struct access_who w = ann();
	bool allowed;

	POLICY(true, "allow user ann publish a");
	cr_assert_not(access_remembers(5, 1, &allowed));
	cr_assert(access_may_publish(&w, 1, SLICE_LIT("a")));
	cr_assert(access_remembers(5, 1, &allowed) && allowed);
	cr_assert_not(access_may_publish(&w, 2, SLICE_LIT("b")));
	cr_assert(access_remembers(5, 2, &allowed) && !allowed);
	cr_assert_not(access_remembers(6, 1, &allowed));
	cr_assert_not(access_remembers(5, 0, &allowed));
	POLICY(true, "allow user ann publish b");
	cr_assert_not(access_remembers(5, 1, &allowed));
	cr_assert_not(access_may_publish(&w, 1, SLICE_LIT("a")));
	cr_assert(access_may_publish(&w, 2, SLICE_LIT("b")));
}

Test(access, own_rules_go_first)
{
	struct access_who w = ann();
	struct acl *own = acl_new(true);

	acl_add_line(own, SLICE_LIT("deny all publish a/secret"));
	acl_add_line(own, SLICE_LIT("allow all both mine"));
	POLICY(true, "allow user ann both a/#");
	w.own = own;
	cr_assert(access_may_publish(&w, 0, SLICE_LIT("a/x")));
	cr_assert_not(access_may_publish(&w, 0, SLICE_LIT("a/secret")));
	cr_assert(access_may_publish(&w, 0, SLICE_LIT("mine")));
	cr_assert_not(access_may_publish(&w, 0, SLICE_LIT("other")));
	acl_free(own);
}

Test(access, shared_subscriptions)
{
	struct access_who w = ann();

	POLICY(true, "allow all subscribe a/#");
	cr_assert(access_may_subscribe(&w, SLICE_LIT("$share/g/a/+")));
	cr_assert_not(access_may_subscribe(&w, SLICE_LIT("$share/g/#")));
	cr_assert(access_may_receive(&w, SLICE_LIT("a/1")));
	cr_assert_not(access_may_receive(&w, SLICE_LIT("b")));
}

Test(access, bans)
{
	struct access_who w = ann();

	bans(0, "c", 0);
	cr_assert(access_is_banned(&w.who, 1));
	bans(0, "d", 0);
	cr_assert_not(access_is_banned(&w.who, 1));
	bans(1, "ann", 50);
	cr_assert(access_is_banned(&w.who, 49));
	cr_assert_not(access_is_banned(&w.who, 50));
	bans(2, "10.0.0.0/8", 0);
	cr_assert(access_is_banned(&w.who, 1));
	bans(2, "11.0.0.0/8", 0);
	cr_assert_not(access_is_banned(&w.who, 1));
	bans(0, NULL, 0);
	cr_assert_not(access_is_banned(&w.who, 1));
}

Test(access, half_told_is_nothing)
{
	struct access_who w = ann();
	struct ipc_batch b = {0};

	POLICY(true, "allow all both a");
	ipc_add_auth_rule(&b, &(struct ipc_auth_rule){
	    SLICE_LIT("allow all both b")});
	cr_assert_not(access_policy(&(struct ipc_auth_policy){.more = 1,
	    .denies_rest = 1, .rules = ipc_batch_list(&b)}));
	buf_fini(&b.bytes);
	cr_assert_not(access_may_publish(&w, 0, SLICE_LIT("b")));
	access_link_closed();
	POLICY(true, "allow all both c");
	cr_assert_not(access_may_publish(&w, 0, SLICE_LIT("b")));
	cr_assert(access_may_publish(&w, 0, SLICE_LIT("c")));
}

Test(access, addresses)
{
	uint8_t a[16];

	cr_assert(access_address("1.2.3.4:5", a));
	cr_assert(a[10] == 0xff && a[12] == 1 && a[15] == 4);
	cr_assert(access_address("1.2.3.4", a));
	cr_assert(access_address("[::1]:5", a) && a[15] == 1);
	cr_assert(access_address("::1", a) && a[15] == 1);
	cr_assert_not(access_address("unknown", a));
	cr_assert_not(access_address("", a));
}
