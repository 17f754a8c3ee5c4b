/* links: admin_pure ipc base */
#include "admin-server/live_json.h"
#include "base/json.h"
#include "base/props.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *
line_of(const struct ipc_deliver_item *item)
{
	static char text[1024];
	struct buf b;
	struct json_object *o;

	buf_init(&b);
	live_json_add(&b, item);
	snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	o = json_parse(buf_slice(&b));
	cr_assert_not_null(o, "%s", text);
	json_object_put(o);
	buf_fini(&b);
	return text;
}

Test(live, payloads_of_all_kinds)
{
	struct ipc_deliver_item i = {.topic = SLICE_LIT("a/b"),
	    .payload = SLICE_LIT(" {\"x\": 1} "), .flags = 1 | MSG_RETAIN,
	    .timestamp_ms = 5, .client_id = SLICE_LIT("c")};

	cr_assert_str_eq(line_of(&i), "{\"topic\":\"a/b\",\"payload\":"
	    "{\"x\":1},\"qos\":1,\"retain\":true,\"timestamp_ms\":5,"
	    "\"client_id\":\"c\",\"headers\":{}}");
	i.payload = SLICE_LIT("it's \"text\"\n");
	cr_assert_not_null(strstr(line_of(&i),
	    "\"payload\":\"it's \\\"text\\\"\\n\""));
	i.payload = SLICE_LIT("\xff\x00");
	cr_assert_not_null(strstr(line_of(&i),
	    "\"payload_base64\":\"/wA=\""));
	i.payload = SLICE_NULL;
	cr_assert_not_null(strstr(line_of(&i), "\"payload\":\"\""));
}

Test(live, headers_that_repeat_are_a_list)
{
	struct ipc_deliver_item i = {.topic = SLICE_LIT("t"),
	    .client_id = SLICE_EMPTY};
	struct buf b;

	buf_init(&b);
	props_add_header(&b, SLICE_LIT("k"), SLICE_LIT("1"));
	props_add(&b, PROP_CONTENT_TYPE, SLICE_LIT("x/y"));
	props_add_header(&b, SLICE_LIT("l"), SLICE_LIT("2"));
	props_add_header(&b, SLICE_LIT("k"), SLICE_LIT("3"));
	i.props = buf_slice(&b);
	cr_assert_not_null(strstr(line_of(&i),
	    "\"headers\":{\"k\":[\"1\",\"3\"],\"l\":\"2\"}"), "%s",
	    line_of(&i));
	cr_assert_not_null(strstr(line_of(&i), "\"content_type\":\"x/y\""));
	buf_fini(&b);
}
