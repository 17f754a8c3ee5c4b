/* links: cli_pure base */
#include "base/json.h"
#include "cli/definitions.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *
read(const char *text)
{
	static char out[512];
	struct faults faults;
	struct json_object *list;
	struct buf b;

	faults_init(&faults);
	list = definitions_of(slice_str(text), &faults);
	if (list != NULL) {
		snprintf(out, sizeof(out), "%s",
		    json_object_to_json_string_ext(list,
		    JSON_C_TO_STRING_PLAIN));
	} else {
		cr_assert_gt(faults.n, 0);
		buf_init(&b);
		fault_print(&faults.v[0], &b);
		snprintf(out, sizeof(out), "! %s", buf_cstr(&b));
		buf_fini(&b);
	}
	json_object_put(list);
	faults_fini(&faults);
	return out;
}

Test(definitions, all_forms)
{
	const char *one = "[{\"name\":\"x\",\"type\":\"file\"}]";

	cr_assert_str_eq(read("name: x\ntype: file\n"), one);
	cr_assert_str_eq(read("{\"name\": \"x\", \"type\": \"file\"}"), one);
	cr_assert_str_eq(read("x: {name: x, type: file}"), one);
	cr_assert_str_eq(read("connectors: {x: {type: file}}"),
	    "[{\"type\":\"file\",\"name\":\"x\"}]");
	cr_assert_str_eq(read("a: {type: file}\nb: {type: webhook}\n"),
	    "[{\"type\":\"file\",\"name\":\"a\"},"
	    "{\"type\":\"webhook\",\"name\":\"b\"}]");
}

Test(definitions, scalars_keep_what_was_written)
{
	cr_assert_str_eq(read("name: x\ntype: t\nconfig: {a: 5, b: '5', "
	    "c: no, d: true, e: 1MiB, f: 010, g: ~, h: [1, x]}\n"),
	    "[{\"name\":\"x\",\"type\":\"t\",\"config\":{\"a\":5,"
	    "\"b\":\"5\",\"c\":\"no\",\"d\":true,\"e\":\"1MiB\","
	    "\"f\":\"010\",\"g\":null,\"h\":[1,\"x\"]}}]");
}

Test(definitions, what_is_none_is_refused)
{
	cr_assert_eq(read("")[0], '!');
	cr_assert_eq(read("[1]")[0], '!');
	cr_assert_eq(read("{}")[0], '!');
	cr_assert_eq(read("x: 5")[0], '!');
	cr_assert_eq(read("a: [")[0], '!');
}
