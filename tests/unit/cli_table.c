/* links: cli_pure base */
#include "base/json.h"
#include "cli/table.h"

#include <criterion/criterion.h>
#include <locale.h>

static struct buf out;

static const char *
print(const char *columns, const char *rows, size_t width, bool colour)
{
	struct json_object *o = json_parse(slice_str(rows));
	struct table_style style = {width, colour};

	setlocale(LC_CTYPE, "C.UTF-8");
	cr_assert_not_null(o);
	buf_clear(&out);
	table_print(&out, columns, o, &style);
	json_object_put(o);
	return buf_cstr(&out);
}

Test(table, columns_align)
{
	cr_assert_str_eq(print("name counters.dlq:DLQ up_s:UP:seconds",
	    "[{\"name\":\"a\",\"counters\":{\"dlq\":5},\"up_s\":3700},"
	    "{\"name\":\"long\",\"counters\":{\"dlq\":1234},\"up_s\":null}]",
	    0, false),
	    "NAME   DLQ    UP\n"
	    "a        5  1h1m\n"
	    "long  1234     -\n");
}

Test(table, no_rows_are_a_heading)
{
	cr_assert_str_eq(print("client_id x", "[]", 0, true),
	    "CLIENT-ID  X\n");
}

Test(table, the_widest_column_is_cut)
{
	cr_assert_str_eq(print("a b", "[{\"a\":\"abcdefghijklmnop\","
	    "\"b\":\"12\"}]", 14, false),
	    "A           B\nabcdefghi…  12\n");
	cr_assert_str_eq(print("a b", "[{\"a\":\"日本語日本語日本語\","
	    "\"b\":\"12\"}]", 14, false),
	    "A           B\n日本語日…   12\n");
}

Test(table, nothing_steers_the_terminal)
{
	print("a", "[{\"a\":\"x\\u001b[31m\\n\\u009b\\u0007y\"}]", 0, false);
	cr_assert_str_eq(buf_cstr(&out), "A\nx?[31m???y\n");
}

Test(table, states_have_colours_where_wanted)
{
	cr_assert_not_null(strstr(print("state",
	    "[{\"state\":\"running\"}]", 0, true), "\x1b[32mrunning\x1b[0m"));
	cr_assert_null(strstr(print("state",
	    "[{\"state\":\"running\"}]", 0, false), "\x1b"));
}

static const char *
cell(const char *json, const char *format)
{
	struct json_object *o = json_parse(slice_str(json));

	buf_clear(&out);
	cell_format(&out, o, format);
	json_object_put(o);
	return buf_cstr(&out);
}

Test(cell, formats)
{
	cr_assert_str_eq(cell("512", "bytes"), "512 B");
	cr_assert_str_eq(cell("1536", "bytes"), "1.5 KiB");
	cr_assert_str_eq(cell("214748364800", "bytes"), "200 GiB");
	cr_assert_str_eq(cell("59", "seconds"), "59s");
	cr_assert_str_eq(cell("61", "seconds"), "1m1s");
	cr_assert_str_eq(cell("90000", "seconds"), "1d1h");
	cr_assert_str_eq(cell("0.26", "percent"), "0.3");
	cr_assert_str_eq(cell("[\"a\",\"b\"]", ""), "a, b");
	cr_assert_str_eq(cell("[1,2]", "count"), "2");
	cr_assert_str_eq(cell("{\"signal\":9,\"status\":0}", "exit"),
	    "signal 9");
	cr_assert_str_eq(cell("{\"signal\":null,\"status\":1}", "exit"),
	    "exit 1");
	cr_assert_str_eq(cell("{\"signal\":\"SIGKILL\"}", "exit"),
	    "signal SIGKILL");
	cr_assert_str_eq(cell("{\"signal\":9,\"signal_name\":\"SIGKILL\"}",
	    "exit"), "SIGKILL");
	cr_assert_str_eq(cell("1500", "time"), "1970-01-01T00:00:01.500Z");
	cr_assert_str_eq(cell("true", ""), "true");
}

Test(tree, objects_are_indented)
{
	struct json_object *o = json_parse(SLICE_LIT("{\"a\":1,\"b\":{\"c\":"
	    "null},\"d\":[{\"e\":\"x\"}],\"f\":[1,2],\"g\":{},"
	    "\"h\":\"l1\\nl2\"}"));

	buf_clear(&out);
	tree_print(&out, o, 0);
	cr_assert_str_eq(buf_cstr(&out), "a: 1\nb:\n  c: -\nd:\n  -\n"
	    "    e: x\nf: 1, 2\ng: {}\nh:\n  l1\n  l2\n", "%s",
	    buf_cstr(&out));
	json_object_put(o);
}
