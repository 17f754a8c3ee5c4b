/* links: admin_pure proto_http base */
#include "admin-server/token.h"
#include "base/json.h"

#include <criterion/criterion.h>

static void
configure(void)
{
	struct json_object *o = json_parse(SLICE_LIT("{"
	    "\"ann\":{\"role\":\"viewer\",\"token\":\"0123456789abcdef\"},"
	    "\"bob\":{\"role\":\"operator\",\"token\":\"fedcba9876543210\"},"
	    "\"eve\":{\"role\":\"god\",\"token\":\"xxxxxxxxxxxxxxxx\"},"
	    "\"joe\":{\"role\":\"admin\",\"token\":\"aaaaaaaaaaaaaaaa\"}}"));

	tokens_configure(o);
	json_object_put(o);
}

static enum token_role
role(const char *header)
{
	const char *name;

	return token_check(slice_str(header), &name);
}

Test(token, roles)
{
	const char *name;

	cr_assert_not(tokens_exist());
	cr_assert_eq(role("Bearer aaaaaaaaaaaaaaaa"), ROLE_NONE);
	configure();
	cr_assert(tokens_exist());
	cr_assert_eq(role("Bearer 0123456789abcdef"), ROLE_VIEWER);
	cr_assert_eq(role("bearer fedcba9876543210"), ROLE_OPERATOR);
	cr_assert_eq(role("Bearer aaaaaaaaaaaaaaaa"), ROLE_ADMIN);
	cr_assert_eq(role("Bearer xxxxxxxxxxxxxxxx"), ROLE_NONE);
	token_check(SLICE_LIT("Bearer aaaaaaaaaaaaaaaa"), &name);
	cr_assert_str_eq(name, "joe");
}

Test(token, wrong_ones)
{
	static const char *const bad[] = {"", "Bearer", "Bearer ",
	    "Bearer a", "Bearer aaaaaaaaaaaaaaa", "Bearer aaaaaaaaaaaaaaaaa",
	    "Bearer 0123456789abcdef0123456789abcdef", "Basic aaaaaaaaaaaaaaaa",
	    "aaaaaaaaaaaaaaaa", "Bearer  aaaaaaaaaaaaaaaa"};

	configure();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(role(bad[i]), ROLE_NONE, "%s", bad[i]);
	cr_assert_eq(token_check(SLICE_NULL, &(const char *){NULL}),
	    ROLE_NONE);
	tokens_configure(NULL);
	cr_assert_eq(role("Bearer aaaaaaaaaaaaaaaa"), ROLE_NONE);
}

Test(token, routes)
{
	cr_assert_eq(token_needed(&(struct route){.name = "status",
	    .method = METHOD_GET}), ROLE_VIEWER);
	cr_assert_eq(token_needed(&(struct route){.name = "client_kick",
	    .method = METHOD_DELETE}), ROLE_OPERATOR);
	cr_assert_eq(token_needed(&(struct route){.name = "user_add",
	    .method = METHOD_POST}), ROLE_ADMIN);
	cr_assert_eq(token_needed(&(struct route){.name = "of tomorrow",
	    .method = METHOD_PUT}), ROLE_ADMIN);
}
