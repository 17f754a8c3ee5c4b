#include "base/encode.h"
#include "base/json_path.h"
#include "base/json_text.h"
#include "base/template.h"
#include "base/utf8.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct slice
s(const char *text)
{
	return slice_str(text);
}

static const struct record_header headers[] = {
	{{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}},
	{{(const uint8_t *)"b:c", 3}, {(const uint8_t *)"x\"y", 3}},
	{{(const uint8_t *)"a", 1}, {(const uint8_t *)"\xff", 1}},
};

static struct record
record_of(const char *payload)
{
	return (struct record){
		.stream = s("st"),
		.incarnation = 0x1f,
		.partition = 2,
		.offset = 77,
		.topic = s("plant/7/temp"),
		.key = s("plant/7/temp"),
		.payload = s(payload),
		.timestamp_ms = 1700000000123,
		.qos = 1,
		.client_id = s("dev\"1"),
		.protocol = s("mqtt"),
		.headers = headers,
		.headers_len = 3,
	};
}

/* The text of a template for a payload; "fault: ..." where one is. */
static const char *
render(const char *text, const char *payload, template_escape *escape)
{
	static struct buf out;
	static char fault[200];
	struct record rec = record_of(payload);
	struct template *t = template_parse(s(text), fault, sizeof(fault));
	struct template_input in;
	const char *why;

	buf_clear(&out);
	if (t == NULL) {
		buf_addf(&out, "fault: %s", fault);
		return buf_cstr(&out);
	}
	template_input_init(&in);
	template_input_set(&in, &rec);
	if (!template_render(t, &in, &out, escape, &why)) {
		buf_clear(&out);
		buf_addf(&out, "refused: %s", why);
	}
	template_input_fini(&in);
	template_free(t);
	return buf_cstr(&out);
}

struct render_case {
	const char *text, *payload, *want;
};

static const struct render_case renders[] = {
	{"", "", ""},
	{"plain $ {x} $", "", "plain $ {x} $"},
	{"$${topic}", "", "${topic}"},
	{"${topic}", "", "plant/7/temp"},
	{"<${topic[1]}>", "", "<7>"},
	{"<${topic[9]}>", "", "<>"},
	{"${topic[9]|none}", "", "none"},
	{"${payload}", "abc", "abc"},
	{"${payload.a}", "{\"a\": \"x\\ny\"}", "x\ny"},
	{"${payload.a.b[1]}", "{\"a\":{\"b\":[1, 2.50]}}", "2.50"},
	{"${payload.a}", "{\"a\":{\"b\" : [ 1, 2 ]}}", "{\"b\":[1,2]}"},
	{"${payload[\"a b\"]}", "{\"a b\":true}", "true"},
	{"${payload[1]}", "[1,null,3]", ""},
	{"${payload[1]|z}", "[1,null,3]", "z"},
	{"${payload.x|\\}\\\\}", "{}", "}\\"},
	{"${payload.x|}", "{}", ""},
	{"${payload.x}", "no json", "refused: the payload is not JSON"},
	{"${payload.x|d}", "no json", "d"},
	{"${payload.x:number}", "{\"x\":\"12e3\"}", "12e3"},
	{"${payload.x:number}", "{\"x\":\"12,3\"}",
	    "refused: a value is not a number"},
	{"${payload:number}", "-1", "-1"},
	{"${payload.x:number|7}", "{}", "7"},
	{"${payload.x:bool}", "{\"x\":1}", "true"},
	{"${payload.x:bool}", "{\"x\":\"false\"}", "false"},
	{"${payload.x:bool}", "{\"x\":2}", "refused: a value is not a bool"},
	{"${payload.x:json}", "{\"x\":\"a\\\"b\"}", "\"a\\\"b\""},
	{"${payload:json}", "{ \"a\" : 1 }", "{\"a\":1}"},
	{"${payload:json}", "not", "\"not\""},
	{"${payload:json}", "\xff", "refused: a value is not UTF-8 and cannot "
	    "be JSON"},
	{"${payload:base64}", "\xff\xfe", "//4="},
	{"${headers.a}", "", "1"},
	{"${headers[\"b:c\"]}", "", "x\"y"},
	{"${headers.none|-}", "", "-"},
	{"${timestamp_ms}", "", "1700000000123"},
	{"${timestamp}", "", "2023-11-14T22:13:20.123Z"},
	{"${timestamp:%Y-%m-%d %H:%M:%S %j %y %e %s %L %F %T %%}", "",
	    "2023-11-14 22:13:20 318 23 14 1700000000 123 2023-11-14 22:13:20 "
	    "%"},
	{"${id}", "", "st.000000000000001f-2-77"},
	{"${qos}/${retain}/${partition}/${offset}", "", "1/false/2/77"},
	{"${username}", "", ""},
	{"${username|anonymous}", "", "anonymous"},
	{"${client_id} ${protocol} ${stream} ${key}", "",
	    "dev\"1 mqtt st plant/7/temp"},
	{"${content_type}${response_topic}${correlation_data}", "", ""},
	{"${nope}", "", "fault: column 3: there is no field \"nope\""},
	{"${topic", "", "fault: column 8: expected \"}\""},
	{"${topic[x]}", "", "fault: column 9: expected a level's number and "
	    "\"]\""},
	{"ab${payload.}", "",
	    "fault: column 13: expected a name after \".\""},
	{"${payload.a:int}", "", "fault: column 13: there is no type \"int\": "
	    "number, bool, json or base64"},
	{"${payload.a:number|x}", "",
	    "fault: column 20: the fallback is not of the type"},
	{"${timestamp:%Q}", "",
	    "fault: column 13: the time format has an unknown conversion"},
	{"${headers.}", "", "fault: column 11: expected a name"},
};

Test(template, renders)
{
	const struct render_case *c;
	size_t i;

	for (i = 0; i < sizeof(renders) / sizeof(renders[0]); i++) {
		c = &renders[i];
		cr_expect_str_eq(render(c->text, c->payload, NULL), c->want,
		    "%s: %s, not %s", c->text,
		    render(c->text, c->payload, NULL), c->want);
	}
}

static const struct render_case escapes[] = {
	{"{\"c\":\"${client_id}\",\"n\":${payload.n:number}}",
	    "{\"n\":1}", "{\"c\":\"dev\\\"1\",\"n\":1}"},
	{"{\"n\":${payload.n:number}}", "{}", "{\"n\":null}"},
	{"{\"n\":\"${payload.n}\"}", "{}", "{\"n\":\"\"}"},
	{"\"${payload.n}\"", "{\"n\":[\"\\\",1\"]}",
	    "\"[\\\"\\\\\\\",1\\\"]\""},
	{"${payload.n:json}", "{\"n\":[1]}", "[1]"},
	{"\"${payload}\"", "\xff", "refused: a value is not UTF-8 and cannot "
	    "stand in JSON"},
	{"${retain}", "", "false"},
};

Test(template, escapes_within_json)
{
	const struct render_case *c;
	size_t i;

	for (i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		c = &escapes[i];
		cr_expect_str_eq(render(c->text, c->payload,
		    template_escape_json), c->want, "%s: %s", c->text,
		    render(c->text, c->payload, template_escape_json));
	}
	cr_expect_str_eq(render("/${topic}/${payload.a:json}",
	    "{\"a\":\"&\"}", template_escape_url),
	    "/plant%2F7%2Ftemp/%22%26%22");
}

static enum value_kind
kind_of(const char *text, const char *payload, const char *want)
{
	char fault[100];
	struct template *t = template_parse(s(text), fault, sizeof(fault));
	struct record rec = record_of(payload);
	struct template_input in;
	enum value_kind kind;
	const char *why;
	struct buf out;

	buf_init(&out);
	template_input_init(&in);
	template_input_set(&in, &rec);
	cr_assert(template_value(t, &in, &out, &kind, &why));
	cr_expect_str_eq(buf_cstr(&out), want);
	buf_fini(&out);
	template_input_fini(&in);
	template_free(t);
	return kind;
}

Test(template, typed_values)
{
	cr_expect_eq(kind_of("${payload.x}", "{\"x\":1.5}", "1.5"),
	    VALUE_NUMBER);
	cr_expect_eq(kind_of("${payload.x}", "{\"x\":\"1\"}", "1"),
	    VALUE_TEXT);
	cr_expect_eq(kind_of("${payload.x}", "{\"x\":null}", ""), VALUE_NULL);
	cr_expect_eq(kind_of("${payload.y}", "{\"x\":null}", ""), VALUE_NULL);
	cr_expect_eq(kind_of("${payload.x}", "{\"x\":[]}", "[]"), VALUE_JSON);
	cr_expect_eq(kind_of("${payload}", "x", "x"), VALUE_BYTES);
	cr_expect_eq(kind_of("${offset}", "x", "77"), VALUE_NUMBER);
	cr_expect_eq(kind_of("${retain}", "x", "false"), VALUE_BOOL);
	cr_expect_eq(kind_of("a${offset}", "x", "a77"), VALUE_TEXT);
	cr_expect_eq(kind_of("const", "x", "const"), VALUE_TEXT);
}

Test(template, facts)
{
	char fault[100];
	struct template *t;

	t = template_parse(s("/a/${topic}"), fault, sizeof(fault));
	cr_assert(slice_is(template_prefix(t), "/a/"));
	cr_assert_not(template_is_constant(t));
	cr_assert_not(template_is_single(t));
	template_free(t);
	t = template_parse(s("${payload}"), fault, sizeof(fault));
	cr_assert(template_is_field(t, FIELD_PAYLOAD));
	cr_assert(template_is_single(t));
	cr_assert_eq(template_prefix(t).len, 0);
	template_free(t);
	t = template_parse(s("x"), fault, sizeof(fault));
	cr_assert(template_is_constant(t));
	template_free(t);
}

Test(record_json, default_mapping)
{
	struct record rec = record_of("{ \"t\" :1}");
	struct slice json;
	struct buf b;

	buf_init(&b);
	cr_assert(json_value(rec.payload, &json));
	record_json_add(&b, &rec, json);
	cr_expect_str_eq(buf_cstr(&b),
	    "{\"id\":\"st.000000000000001f-2-77\",\"topic\":\"plant/7/temp\","
	    "\"payload\":{\"t\":1},\"key\":\"plant/7/temp\",\"qos\":1,"
	    "\"retain\":false,\"client_id\":\"dev\\\"1\",\"username\":null,"
	    "\"protocol\":\"mqtt\",\"timestamp_ms\":1700000000123,"
	    "\"headers\":{\"a\":[\"1\",{\"base64\":\"/w==\"}],"
	    "\"b:c\":\"x\\\"y\"},\"content_type\":null,"
	    "\"response_topic\":null,\"correlation_data\":null,"
	    "\"stream\":\"st\",\"partition\":2,\"offset\":77}");
	cr_assert(json_check(buf_slice(&b)));
	buf_clear(&b);
	rec.payload = s("\xff");
	record_json_add(&b, &rec, SLICE_NULL);
	cr_assert_not_null(strstr(buf_cstr(&b), "\"payload_base64\":\"/w==\""));
	buf_clear(&b);
	rec.payload = s("te\x01xt");
	record_json_add(&b, &rec, SLICE_NULL);
	cr_assert_not_null(strstr(buf_cstr(&b), "\"payload\":\"te\\u0001xt\""));
	buf_fini(&b);
}

static const char *const good_json[] = {"0", "-1.5e+3", " [ ] ", "{}",
    "\"\\u00e9\xc3\xa9\"", "[1,[2,{\"a\":[]}],\"\"]", "true", "null",
    "{\"a\":1,\"b\":{\"c\":false}}", "1e5"};
static const char *const bad_json[] = {"", " ", "01", "+1", "1.", ".5", "1e",
    "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "'a'", "[1}", "{\"a\":1]",
    "\"\\x\"", "\"\\u12\"", "\"a", "NaN", "tru", "1 2", "[1 2]", "\"\n\"",
    "\"\xff\"", "[", "{", "{\"a\":", "[[1]"};

Test(json_text, check)
{
	char deep[300];
	size_t i;

	for (i = 0; i < sizeof(good_json) / sizeof(good_json[0]); i++)
		cr_expect(json_check(s(good_json[i])), "%s", good_json[i]);
	for (i = 0; i < sizeof(bad_json) / sizeof(bad_json[0]); i++)
		cr_expect_not(json_check(s(bad_json[i])), "%s", bad_json[i]);
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	cr_expect(json_check(slice_of(deep, 2 * JSON_DEPTH_MAX)));
	memset(deep, '[', JSON_DEPTH_MAX + 1);
	memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	cr_expect_not(json_check(slice_of(deep, 2 * JSON_DEPTH_MAX + 2)));
}

Test(json_text, strings)
{
	struct buf b;

	buf_init(&b);
	json_add_unquoted(&b, s("\"a\\n\\u00e9\\ud83d\\ude00\\ud800x\\/\""));
	cr_expect_str_eq(buf_cstr(&b),
	    "a\n\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbdx/");
	cr_expect(json_string_is(s("\"a\\u0062\""), s("ab")));
	cr_expect_not(json_string_is(s("\"ab\""), s("a")));
	cr_expect_not(json_string_is(s("\"a\""), s("ab")));
	buf_clear(&b);
	json_add_compact(&b, s("{ \"a b\" : [ 1 ,\n\"\\\" \" ] }"));
	cr_expect_str_eq(buf_cstr(&b), "{\"a b\":[1,\"\\\" \"]}");
	buf_fini(&b);
}

Test(encode, texts)
{
	struct buf b, back;
	char raw[3] = {'\0', (char)0xff, 'a'};
	size_t i;

	buf_init(&b);
	buf_init(&back);
	for (i = 0; i <= 3; i++) {
		buf_clear(&b);
		buf_clear(&back);
		base64_add(&b, slice_of(raw, i));
		cr_assert(base64_decode(&back, buf_slice(&b)));
		cr_assert(slice_eq(buf_slice(&back), slice_of(raw, i)));
	}
	cr_assert_not(base64_decode(&back, s("AA=")));
	cr_assert_not(base64_decode(&back, s("A=A=")));
	cr_assert_not(base64_decode(&back, s("AB==")));
	buf_clear(&b);
	csv_add(&b, s("a,\"b\""));
	cr_assert_str_eq(buf_cstr(&b), "\"a,\"\"b\"\"\"");
	buf_clear(&b);
	buf_add_i64(&b, INT64_MIN);
	buf_add_u8(&b, ' ');
	buf_add_u64(&b, UINT64_MAX);
	cr_assert_str_eq(buf_cstr(&b),
	    "-9223372036854775808 18446744073709551615");
	buf_fini(&b);
	buf_fini(&back);
}

Test(encode, times_are_as_strftime_has_them)
{
	const char *format = "%Y-%m-%d %H:%M:%S %j %y %e";
	int64_t ms, step = 86400000LL * 17 + 3723000;
	char want[100];
	struct buf b;
	struct tm tm;
	time_t t;

	buf_init(&b);
	for (ms = -62135596800000; ms < 4102444800000; ms += step) {
		t = (time_t)(ms / 1000);
		gmtime_r(&t, &tm);
		if (tm.tm_year + 1900 < 1000)
			continue;
		strftime(want, sizeof(want), format, &tm);
		buf_clear(&b);
		time_format_add(&b, s(format), ms);
		cr_assert_str_eq(buf_cstr(&b), want);
	}
	buf_fini(&b);
}

Test(utf8, check)
{
	cr_expect(utf8_check(s("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
	cr_expect_not(utf8_check(s("\xc0\x80")));
	cr_expect_not(utf8_check(s("\xe0\x80\x80")));
	cr_expect_not(utf8_check(s("\xed\xa0\x80")));
	cr_expect_not(utf8_check(s("\xf4\x90\x80\x80")));
	cr_expect_not(utf8_check(s("\xf0\x80\x80\x80")));
	cr_expect_not(utf8_check(s("aaaaaaaaaaaa\xff")));
	cr_expect_not(utf8_check(s("\xc3")));
}

/* Many headers: each name once, values in order, in good time. */
Test(record_json, many_headers)
{
	static struct record_header many[60000];
	static char names[30000][8];
	struct record rec = {.headers = many, .headers_len = 60000};
	struct buf scratch;
	struct slice text;

	for (size_t i = 0; i < 30000; i++) {
		snprintf(names[i], sizeof(names[i]), "%zu", i);
		many[i] = (struct record_header){slice_str(names[i]),
		    slice_str("a")};
		many[59999 - i] = (struct record_header){slice_str(names[i]),
		    slice_str("b")};
	}
	buf_init(&scratch);
	text = record_field_value(&rec, FIELD_HEADERS, &scratch).text;
	cr_assert(strncmp((const char *)text.p,
	    "{\"0\":[\"a\",\"b\"],\"1\":[\"a\",\"b\"],", 26) == 0);
	cr_assert(json_check(text));
	buf_fini(&scratch);
}
