/* links: worker base */
#include "connector-worker/http_url.h"
#include "connector-worker/order_map.h"

#include <criterion/criterion.h>

Test(http_url, whole)
{
	static const struct {
		const char *url;
		const char *host, *authority, *rest;
		unsigned port;
		bool is_https;
	} rows[] = {
	    {"http://h", "h", "h", "", 80, false},
	    {"https://h/", "h", "h", "/", 443, true},
	    {"HTTP://h:8080/a/b?c=d", "h", "h:8080", "/a/b?c=d", 8080, false},
	    {"http://[::1]:81?x", "::1", "[::1]:81", "?x", 81, false},
	    {"http://[::1]", "::1", "[::1]", "", 80, false},
	    {"https://h:65535#f", "h", "h:65535", "#f", 65535, true},
	    {"http://h/...", "h", "h", "/...", 80, false},
	    {"http://h/.a/b./..c", "h", "h", "/.a/b./..c", 80, false},
	    {"http://h/?a=/../", "h", "h", "/?a=/../", 80, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct http_url u;
		const char *wrong =
		    http_url_check(slice_str(rows[i].url), true, &u);

		cr_assert_null(wrong, "%s: %s", rows[i].url, wrong);
		cr_assert(slice_is(u.host, rows[i].host), "%s", rows[i].url);
		cr_assert(slice_is(u.authority, rows[i].authority));
		cr_assert(slice_is(u.rest, rows[i].rest));
		cr_assert_eq(u.port, rows[i].port);
		cr_assert_eq(u.is_https, rows[i].is_https);
	}
}

Test(http_url, refused)
{
	static const char *const rows[] = {"", "h", "ftp://h/", "http:/h",
	    "http://", "http:///x", "http://:80/", "http://a@h/",
	    "http://a:b@h/", "http://h:/", "http://h:0/", "http://h:65536/",
	    "http://h:x/", "http://h:123456/", "http://[::1/", "http://[]/",
	    "http://[::1]x/", "http://h h/", "http://h%41/", "http://h\\x/",
	    "http://h/a b", "http://h/a\n", "http://h/..", "http://h/.",
	    "http://h/../a", "http://h/a/./b", "http://h/a/..?x"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct http_url u;

		cr_assert_not_null(http_url_check(slice_str(rows[i]), true, &u),
		    "%s", rows[i]);
	}
}

Test(http_url, a_template_may_not_stand_in_host_or_port)
{
	static const char *const good[] = {
	    "http://h/", "http://h?x=", "http://h/a/"};
	static const char *const bad[] = {
	    "http://", "http://h", "http://h:80", "https://h:"};
	struct http_url u;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert_null(http_url_check(slice_str(good[i]), false, &u));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert_not_null(
		    http_url_check(slice_str(bad[i]), false, &u));
}

Test(order_map, many)
{
	struct order_map m = {0};
	static int values[1000];

	cr_assert_null(order_map_find(&m, 7));
	for (int turn = 0; turn < 2; turn++) {
		for (uint64_t i = 1; i <= 1000; i++) {
			void **v = order_map_add(&m, i << 40);

			cr_assert_null(*v);
			*v = &values[i - 1];
		}
		for (uint64_t i = 1; i <= 1000; i++)
			cr_assert_eq(
			    order_map_find(&m, i << 40), &values[i - 1]);
		cr_assert_null(order_map_find(&m, 5));
		cr_assert_eq(*order_map_add(&m, 1u << 30 | 0ull), NULL);
		order_map_clear(&m);
		cr_assert_null(order_map_find(&m, 1ull << 40));
		cr_assert_eq(m.used, 0);
	}
	order_map_fini(&m);
}
