/* links: admin_pure base */
#include "admin-server/page.h"
#include "base/json.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *
page_of(const char *body, const char *args)
{
	static char text[512];
	struct json_object *b = json_parse(slice_str(body));
	struct json_object *a = json_parse(slice_str(args));
	struct json_object *page = page_new(b, a);

	snprintf(text, sizeof(text), "%s", json_object_to_json_string_ext(page,
	    JSON_C_TO_STRING_PLAIN));
	json_object_put(page);
	json_object_put(a);
	json_object_put(b);
	return text;
}

Test(page, rows_are_found_and_cut)
{
	cr_assert_str_eq(page_of("[1,2,3]", "{}"),
	    "{\"items\":[1,2,3],\"cursor\":null}");
	cr_assert_str_eq(page_of("[1,2,3]", "{\"limit\":2}"),
	    "{\"items\":[1,2],\"cursor\":\"2\"}");
	cr_assert_str_eq(page_of("{\"streams\":[1,2,3]}",
	    "{\"limit\":2,\"cursor\":\"2\"}"),
	    "{\"items\":[3],\"cursor\":null}");
	cr_assert_str_eq(page_of("{\"items\":[1]}", "{\"cursor\":\"9\"}"),
	    "{\"items\":[],\"cursor\":null}");
}

Test(page, who_pages_by_itself_is_believed)
{
	cr_assert_str_eq(page_of("{\"items\":[1,2,3],\"cursor\":\"k\"}",
	    "{\"limit\":2,\"cursor\":\"j\"}"),
	    "{\"items\":[1,2,3],\"cursor\":\"k\"}");
	cr_assert_str_eq(page_of("{\"items\":[],\"next_cursor\":null}", "{}"),
	    "{\"items\":[],\"cursor\":null}");
}

Test(page, no_rows_are_no_rows)
{
	cr_assert_str_eq(page_of("{}", "{}"), "{\"items\":[],\"cursor\":null}");
	cr_assert_str_eq(page_of("7", "{}"), "{\"items\":[],\"cursor\":null}");
}
