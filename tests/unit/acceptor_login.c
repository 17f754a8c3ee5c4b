/* links: auth_room acceptor_auth base */
#include "acceptor/auth/http_call.h"
#include "acceptor/auth/rules_json.h"
#include "base/json.h"

#include <criterion/criterion.h>

static char *
lines_of(const char *json, bool expected)
{
	struct json_object *o = json_parse(slice_str(json));
	struct buf b = {0};
	char *text;
	bool is_good = rules_json_get(o, &b);

	cr_expect_eq(is_good, expected, "%s", json);
	text = slice_dup(is_good ? buf_slice(&b) : SLICE_EMPTY);
	buf_fini(&b);
	json_object_put(o);
	return text;
}

Test(rules_json, forms)
{
	cr_assert_str_eq(lines_of("[\"deny all both x\"]", true),
	    "deny all both x\n");
	cr_assert_str_eq(lines_of("{\"publish\":[\"a\"],\"subscribe\":"
	    "[\"b/#\"],\"both\":[\"c\"]}", true), "allow all publish a\n"
	    "allow all subscribe b/#\nallow all both c\n");
	cr_assert_str_eq(lines_of("[]", true), "");
}

Test(rules_json, refused)
{
	static const char *const bad[] = {"1", "\"allow all both a\"",
	    "[1]", "[[\"a\"]]", "{\"other\":[\"a\"]}", "{\"publish\":\"a\"}",
	    "[\"allow all both a\\nallow all both #\"]",
	    "{\"both\":[\"a\\nallow all both #\"]}", "{\"both\":[\"a/#/b\"]}",
	    "[\"allow all both a\\u0000b\"]", "[\"allow nobody\"]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		lines_of(bad[i], false);
}

Test(http_answer, all)
{
	static const struct {
		long status;
		const char *body;
		enum verdict v;
	} cases[] = {
	    {204, "", ALLOWED}, {401, "", DENIED}, {403, "x", DENIED},
	    {500, "", UNAVAILABLE}, {302, "", UNAVAILABLE},
	    {0, "", UNAVAILABLE}, {200, "", UNAVAILABLE},
	    {200, "{}", UNAVAILABLE}, {200, "[]", UNAVAILABLE},
	    {200, "{\"result\":\"allow\"}", ALLOWED},
	    {200, "{\"result\":\"deny\"}", DENIED},
	    {200, "{\"result\":\"ignore\"}", UNKNOWN},
	    {200, "{\"result\":true}", UNAVAILABLE},
	    {200, "{\"result\":\"allow\",\"acl\":\"#\"}", UNAVAILABLE},
	    {200, "{\"result\":\"allow\",\"acl\":[\"allow all both a\"],"
		  "\"username\":\"u\"}", ALLOWED},
	};
	struct found f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f = (struct found){0};
		cr_expect_eq(http_answer_read(cases[i].status,
		    slice_str(cases[i].body), &f), cases[i].v, "%s",
		    cases[i].body);
		buf_fini(&f.username);
		buf_fini(&f.rules);
	}
}
