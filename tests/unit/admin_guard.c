/* links: admin_pure proto_http base */
#include "admin-server/guard.h"

#include <criterion/criterion.h>

static const char *
check(const char *host, const char *origin, bool is_public)
{
	struct http_request r = {.headers = {
	    {SLICE_LIT("Host"), slice_str(host)},
	    {SLICE_LIT("Origin"), slice_str(origin)}},
	    .header_count = origin == NULL ? 1 : 2};

	return guard_check(&r, is_public);
}

Test(guard, names_of_this_machine_pass)
{
	cr_assert_null(check("localhost:18080", NULL, false));
	cr_assert_null(check("LOCALHOST", NULL, false));
	cr_assert_null(check("127.0.0.1:1", NULL, false));
	cr_assert_null(check("[::1]:18080", NULL, false));
	cr_assert_null(check("broker.example:80", NULL, true));
	cr_assert_null(check("127.0.0.1:1", "http://127.0.0.1:1", false));
}

Test(guard, names_of_others_do_not)
{
	cr_assert_not_null(check("evil.example:18080", NULL, false));
	cr_assert_not_null(check("", NULL, false));
	cr_assert_not_null(check("[::1", NULL, false));
	cr_assert_not_null(check("localhost.evil.example", NULL, false));
}

Test(guard, requests_across_sites_are_refused)
{
	cr_assert_not_null(check("localhost:1", "http://evil.example", false));
	cr_assert_not_null(check("localhost:1", "null", false));
	cr_assert_not_null(check("localhost:1", "http://localhost:2", false));
}
