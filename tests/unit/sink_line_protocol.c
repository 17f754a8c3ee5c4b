/* links: sink_influxdb worker base */
#include "connector-worker/line_protocol.h"
#include "connector-worker/line_sink.h"

#include <criterion/criterion.h>

static struct template *
parse(const char *text)
{
	char fault[200];
	struct template *t = template_parse(slice_str(text), fault,
	    sizeof(fault));

	cr_assert_not_null(t, "%s", fault);
	return t;
}

struct row {
	const char *measurement, *tag, *field, *payload, *line, *why;
};

static void
check(const struct row *row)
{
	struct template *m = parse(row->measurement), *tag = NULL, *f = NULL;
	struct line_value tags[1], fields[1];
	struct line_format format = {.measurement = m, .precision = LINE_MS};
	struct record rec = {.topic = SLICE_LIT("t/a"),
	    .payload = slice_str(row->payload), .timestamp_ms = 1234567};
	struct template_input in;
	const char *why = NULL;
	struct buf out;

	if (row->tag != NULL) {
		tag = parse(row->tag);
		line_value_set(&tags[0], "a b", row->tag, tag);
		format.tags = tags;
		format.tags_len = 1;
	}
	if (row->field != NULL) {
		f = parse(row->field);
		line_value_set(&fields[0], "f", row->field, f);
		format.fields = fields;
		format.fields_len = 1;
	}
	buf_init(&out);
	template_input_init(&in);
	template_input_set(&in, &rec);
	if (row->line != NULL) {
		cr_assert(line_add(&format, &in, &out, &why), "%s: %s",
		    row->payload, why);
		cr_assert_str_eq(buf_cstr(&out), row->line);
	} else {
		cr_assert_not(line_add(&format, &in, &out, &why), "%s gives %s",
		    row->payload, buf_cstr(&out));
		cr_assert_not_null(strstr(why, row->why), "%s", why);
	}
	if (format.fields_len > 0)
		template_free(fields[0].own);
	template_free(m);
	template_free(tag);
	template_free(f);
	template_input_fini(&in);
	buf_fini(&out);
}

Test(line_protocol, lines)
{
	static const struct row rows[] = {
		{"m", NULL, NULL, "1.5", "m value=1.5 1234567\n", NULL},
		{"m", NULL, NULL, "\"x\"", "m value=\"x\" 1234567\n", NULL},
		{"m", NULL, NULL, "a\"b\\", "m payload=\"a\\\"b\\\\\" 1234567\n",
		    NULL},
		{"m", NULL, NULL, "", "m payload=\"\" 1234567\n", NULL},
		{"m", NULL, NULL, "\xff", "m payload_base64=\"/w==\" 1234567\n",
		    NULL},
		{"m", NULL, NULL, "{\"a=\":1,\"b\":null,\"c\":[ 1 ]}",
		    "m a\\==1,c=\"[1]\" 1234567\n", NULL},
		{"m", NULL, NULL, "{}", NULL, "no field"},
		{"m", NULL, NULL, "null", NULL, "no field"},
		{"m", NULL, NULL, "{\"\":1}", NULL, "no name"},
		{"m", NULL, NULL, "{\"a\\nb\":1}", NULL, "line break"},
		{"a, b=", NULL, NULL, "1", "a\\,\\ b= value=1 1234567\n", NULL},
		{"#m", NULL, NULL, "1", NULL, "measurement"},
		{"${payload.x}", NULL, NULL, "{}", NULL, "measurement"},
		{"m", "${payload.t}", NULL, "{\"t\":\"a, =b\"}",
		    "m,a\\ b=a\\,\\ \\=b t=\"a, =b\" 1234567\n", NULL},
		{"m", "${payload.t}", NULL, "{\"n\":1}", "m n=1 1234567\n",
		    NULL},
		{"m", "${payload.t}", NULL, "{\"t\":\"a\\\\\"}", NULL,
		    "backslash"},
		{"m", "${payload.t}", NULL, "{\"t\":\"a\\\\,b=1\"}", NULL,
		    "backslash"},
		{"m", "${payload.t}", NULL, "{\"t\":\"a\\\\b\"}",
		    "m,a\\ b=a\\b t=\"a\\\\b\" 1234567\n", NULL},
		{"m", "${payload.t}", NULL, "{\"t\":\"a\\nb\"}", NULL,
		    "line break"},
		{"m", NULL, "${payload.n}", "{\"n\":true}",
		    "m f=true 1234567\n", NULL},
		{"m", NULL, "${payload.n}i", "{\"n\":-12}",
		    "m f=-12i 1234567\n", NULL},
		{"m", NULL, "${payload.n}i", "{\"n\":1.5}", NULL, "integer"},
		{"m", NULL, "${payload.n}u", "{\"n\":-1}", NULL, "integer"},
		{"m", NULL, "${payload.n}u", "{\"n\":7}", "m f=7u 1234567\n",
		    NULL},
		{"m", NULL, "${payload.n}i", "{}", NULL, "no field"},
		{"m", NULL, "x ${payload.n}i", "{\"n\":1}",
		    "m f=\"x 1i\" 1234567\n", NULL},
		{"m", NULL, "${payload}", "\xff", NULL, "UTF-8"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check(&rows[i]);
}

/* Where the time stands in a line of a record. */
static long long
time_of(enum line_precision precision, bool is_unique, uint32_t partition,
    uint64_t offset)
{
	struct template *m = parse("m");
	struct line_format f = {.measurement = m, .precision = precision,
	    .is_unique = is_unique};
	struct record rec = {.payload = SLICE_LIT("1"),
	    .timestamp_ms = 1700000000123, .partition = partition,
	    .offset = offset};
	struct template_input in;
	const char *why;
	struct buf out;
	long long at;

	buf_init(&out);
	template_input_init(&in);
	template_input_set(&in, &rec);
	cr_assert(line_add(&f, &in, &out, &why));
	at = atoll(strrchr(buf_cstr(&out), ' '));
	buf_fini(&out);
	template_input_fini(&in);
	template_free(m);
	return at;
}

Test(line_protocol, times)
{
	cr_assert_eq(time_of(LINE_S, false, 0, 7), 1700000000LL);
	cr_assert_eq(time_of(LINE_MS, false, 0, 7), 1700000000123LL);
	cr_assert_eq(time_of(LINE_US, false, 0, 7), 1700000000123000LL);
	cr_assert_eq(time_of(LINE_NS, false, 0, 7), 1700000000123000000LL);
	cr_assert_eq(time_of(LINE_MS, true, 0, 7), 1700000000123000007LL);
	cr_assert_eq(time_of(LINE_NS, true, 2, 7), 1700000000123031257LL);
	cr_assert_eq(time_of(LINE_US, true, 0, 7), 1700000000123007LL);
	cr_assert_eq(time_of(LINE_S, true, 0, 7), 1700000000000000007LL);
	/* Fifteen thousand of a partition in a millisecond have their own. */
	cr_assert_neq(time_of(LINE_MS, true, 0, 15624),
	    time_of(LINE_MS, true, 1, 0));
	cr_assert_neq(time_of(LINE_MS, true, 0, 15624),
	    time_of(LINE_MS, true, 0, 0));
}

static void
on_line(uint64_t line, struct slice message, void *arg)
{
	(void)message;
	*(uint64_t *)arg = *(uint64_t *)arg * 10 + line;
}

Test(line_protocol, answers)
{
	static const struct {
		const char *body;
		bool names;
		uint64_t lines;
	} rows[] = {
		{"{\"error\":\"x\",\"data\":[{\"line_number\":2,"
		 "\"error_message\":\"y\"},{\"line_number\":5}]}", true, 25},
		{"{\"data\":[]}", false, 0},
		{"{\"data\":[{\"line_number\":0}]}", false, 0},
		{"{\"data\":[{\"line_number\":\"1\"}]}", false, 0},
		{"{\"data\":[1]}", false, 0},
		{"{\"data\":{\"line_number\":1}}", false, 0},
		{"[]", false, 0}, {"", false, 0}, {"<html>", false, 0},
		{"{\"code\":\"invalid\"}", false, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t seen = 0;

		cr_assert_eq(line_answer_lines(slice_str(rows[i].body),
		    on_line, &seen), rows[i].names, "%s", rows[i].body);
		if (rows[i].names)
			cr_assert_eq(seen, rows[i].lines);
	}
}
