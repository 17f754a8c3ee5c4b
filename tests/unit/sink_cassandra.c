/* links: sink_cassandra worker base */
#include "connector-worker/sinks/cassandra_value.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* ---- values -------------------------------------------------------------- */

static const struct {
	uint16_t type;
	const char *text, *hex;
} good[] = {
    {CQL_VARCHAR, "", "00000000"},
    {CQL_VARCHAR, "\xc3\xa9", "00000002c3a9"},
    {CQL_ASCII, "a", "0000000161"},
    {CQL_BLOB, "\xff", "00000001ff"},
    {CQL_BIGINT, "9223372036854775807", "000000087fffffffffffffff"},
    {CQL_BIGINT, "-9223372036854775808", "000000088000000000000000"},
    {CQL_INT, "-1", "00000004ffffffff"},
    {CQL_INT, "2147483647", "000000047fffffff"},
    {CQL_INT, "-2147483648", "0000000480000000"},
    {CQL_SMALLINT, "-32768", "000000028000"},
    {CQL_TINYINT, "127", "000000017f"},
    {CQL_TINYINT, "-128", "0000000180"},
    {CQL_DOUBLE, "1.5", "000000083ff8000000000000"},
    {CQL_DOUBLE, "-0", "000000088000000000000000"},
    {CQL_FLOAT, "1e2", "0000000442c80000"},
    {CQL_FLOAT, "Infinity", "000000047f800000"},
    {CQL_BOOLEAN, "true", "0000000101"},
    {CQL_BOOLEAN, "False", "0000000100"},
    {CQL_BOOLEAN, "1", "0000000101"},
    {CQL_TIMESTAMP, "1", "000000080000000000000001"},
    {CQL_TIMESTAMP, "1970-01-01", "000000080000000000000000"},
    {CQL_TIMESTAMP, "1970-01-01T00:00:00.5Z", "0000000800000000000001f4"},
    {CQL_TIMESTAMP, "1970-01-01 01:00+01:00", "000000080000000000000000"},
    {CQL_TIMESTAMP, "1969-12-31T23:00:00-0100", "000000080000000000000000"},
    {CQL_TIMESTAMP, "2000-02-29T00:00:00.0019", "00000008000000dd9aa6e001"},
    {CQL_DATE, "1970-01-01", "0000000480000000"},
    {CQL_DATE, "1969-12-31", "000000047fffffff"},
    {CQL_DATE, "2000-03-01", "0000000480002b09"},
    {CQL_DATE, "0000-01-01", "000000047ff50558"},
    {CQL_UUID, "00112233-4455-6677-8899-aAbBcCdDeEfF",
	"0000001000112233445566778899aabbccddeeff"},
    {CQL_TIMEUUID, "00112233-4455-1677-8899-aabbccddeeff",
	"0000001000112233445516778899aabbccddeeff"},
};

static const struct {
	uint16_t type;
	const char *text;
} bad[] = {
    {CQL_VARCHAR, "\xff"},
    {CQL_ASCII, "\xc3\xa9"},
    {CQL_INT, ""},
    {CQL_INT, "-"},
    {CQL_INT, "1.0"},
    {CQL_INT, " 1"},
    {CQL_INT, "0x1"},
    {CQL_INT, "2147483648"},
    {CQL_INT, "-2147483649"},
    {CQL_BIGINT, "9223372036854775808"},
    {CQL_BIGINT, "-9223372036854775809"},
    {CQL_BIGINT, "99999999999999999999"},
    {CQL_SMALLINT, "32768"},
    {CQL_TINYINT, "-129"},
    {CQL_DOUBLE, ""},
    {CQL_DOUBLE, "1e999"},
    {CQL_DOUBLE, "0x1p3"},
    {CQL_DOUBLE, "1 "},
    {CQL_FLOAT, "1e39"},
    {CQL_BOOLEAN, ""},
    {CQL_BOOLEAN, "yes"},
    {CQL_TIMESTAMP, ""},
    {CQL_TIMESTAMP, "2001-02-29"},
    {CQL_TIMESTAMP, "2001-13-01"},
    {CQL_TIMESTAMP, "2001-01-01T24:00"},
    {CQL_TIMESTAMP, "2001-01-01T"},
    {CQL_TIMESTAMP, "2001-01-01T00:00:60"},
    {CQL_TIMESTAMP, "2001-01-01T00:00:00+"},
    {CQL_TIMESTAMP, "2001-01-01T00:00:00Zx"},
    {CQL_DATE, "1"},
    {CQL_DATE, "1970-1-1"},
    {CQL_DATE, "1970-01-01T00:00"},
    {CQL_UUID, ""},
    {CQL_UUID, "00112233-4455-6677-8899-aabbccddeef"},
    {CQL_UUID, "00112233-4455-6677-8899-aabbccddeefg"},
    {CQL_UUID, "00112233+4455-6677-8899-aabbccddeeff"},
    {CQL_TIMEUUID, "00112233-4455-4677-8899-aabbccddeeff"},
    {0x0e, "1"},
};

static void
hex_add(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_addf(out, "%02x", s.p[i]);
}

Test(cassandra, values)
{
	struct buf out, hex;
	const char *why;

	buf_init(&out);
	buf_init(&hex);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		buf_clear(&out);
		buf_clear(&hex);
		cr_assert(cql_value_add(&out, good[i].type,
			      slice_str(good[i].text), &why),
		    "%s", good[i].text);
		hex_add(&hex, buf_slice(&out));
		cr_assert_str_eq(buf_cstr(&hex), good[i].hex, "%s: %s",
		    good[i].text, buf_cstr(&hex));
		cr_assert(cql_type_is_known(good[i].type));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_clear(&out);
		why = NULL;
		cr_assert_not(cql_value_add(&out, bad[i].type,
				  slice_str(bad[i].text), &why),
		    "%s", bad[i].text);
		cr_assert_eq(buf_len(&out), 0);
		cr_assert_not_null(why);
	}
	buf_fini(&out);
	buf_fini(&hex);
}

Test(cassandra, nodes)
{
	static const char *const wrong[] = {"", "a,", ",a", ":1", "a:", "a:0",
	    "a:65536", "a:x", "[::1", "[]:1", "[::1]x", "a b", "a,b,c,d"};
	struct cql_node n[3];

	cr_assert_eq(cql_nodes_parse("a, b:1 ,[::1]:7", 9, n, 3), 3);
	cr_assert_str_eq(n[0].host, "a");
	cr_assert_eq(n[0].port, 9);
	cr_assert_eq(n[1].port, 1);
	cr_assert_str_eq(n[2].host, "::1");
	cr_assert_eq(n[2].port, 7);
	cr_assert_eq(cql_nodes_parse("::1,[::2]", 9, n, 3), 2);
	cr_assert_str_eq(n[0].host, "::1");
	cr_assert_str_eq(n[1].host, "::2");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert_eq(
		    cql_nodes_parse(wrong[i], 9, n, 3), 0, "%s", wrong[i]);
}

/* ---- requests ------------------------------------------------------------ */

#define FRAME(name, call, expected)                                            \
	Test(cassandra, name)                                                  \
	{                                                                      \
		struct buf out, hex;                                           \
                                                                               \
		buf_init(&out);                                                \
		buf_init(&hex);                                                \
		call;                                                          \
		hex_add(&hex, buf_slice(&out));                                \
		cr_assert_str_eq(                                              \
		    buf_cstr(&hex), expected, "%s", buf_cstr(&hex));           \
		buf_fini(&out);                                                \
		buf_fini(&hex);                                                \
	}

FRAME(options, cql_options(&out, 0), "040000000500000000")
FRAME(login, cql_login(&out, 1, "u", "p"),
    "040000010f00000008"
    "00000004"
    "00750070")
FRAME(query, cql_query(&out, 0, "Q"),
    "040000000700000008"
    "00000001"
    "51"
    "0001"
    "00")
FRAME(prepare, cql_prepare(&out, 0, SLICE_LIT("PQ")),
    "040000000900000006"
    "00000002"
    "5051")
FRAME(execute, cql_execute(&out, 258, SLICE_LIT("i"), SLICE_LIT("\0\0"), 6),
    "040001020a00000008"
    "000169"
    "0006"
    "01"
    "0000")
FRAME(identifier, cql_identifier(&out, "a\"b"), "226122226222")

Test(cassandra, batch)
{
	struct buf out, hex;
	size_t begin;

	buf_init(&out);
	buf_init(&hex);
	buf_add_str(&out, "before");
	begin = cql_batch_begin(&out, 3, 2);
	cql_batch_add(&out, SLICE_LIT("i"), SLICE_LIT("\0\0"));
	cql_batch_add(&out, SLICE_LIT("i"), SLICE_LIT("\0\0"));
	cql_batch_end(&out, begin, 1);
	buf_consume(&out, 6);
	hex_add(&hex, buf_slice(&out));
	cr_assert_str_eq(buf_cstr(&hex), "040000030d00000012"
					 "01"
					 "0002"
					 "01"
					 "000169"
					 "0000"
					 "01"
					 "000169"
					 "0000"
					 "0001"
					 "00");
	buf_fini(&out);
	buf_fini(&hex);
}

/* ---- answers ------------------------------------------------------------- */

/* Exact copies: what reads beyond the end is caught by the sanitizer. */
#define EACH_CUT(raw, n, copy)                                                 \
	for (uint8_t *copy = malloc((n) + 1); copy != NULL;                    \
	     free(copy), copy = NULL)                                          \
		if (memcpy(copy, raw, n) != NULL)

static const char prepared[] = "\0\0\0\4"
			       "\0\2id"
			       "\0\0\0\1"
			       "\0\0\0\3"
			       "\0\0\0\1"
			       "\0\0"
			       "\0\1k"
			       "\0\1t"
			       "\0\1a"
			       "\0\x09"
			       "\0\1m"
			       "\0\x21\0\x0d\0\x31\0\1\0\x09"
			       "\0\1u"
			       "\0\x30\0\1k\0\1x\0\1\0\1f\0\x02";

Test(cassandra, prepared)
{
	static struct cql_prepared p;
	size_t n = sizeof(prepared) - 1;

	cr_assert(cql_prepared_get(slice_of(prepared, n), &p));
	cr_assert(slice_is(p.id, "id"));
	cr_assert_eq(p.count, 3);
	cr_assert_eq(p.key_count, 1);
	cr_assert_eq(p.keys[0], 0);
	cr_assert(slice_is(p.columns[0].name, "a"));
	cr_assert_eq(p.columns[0].type, CQL_INT);
	cr_assert_eq(p.columns[1].type, 0x21);
	cr_assert_eq(p.columns[2].type, 0x30);
	cr_assert(slice_is(p.columns[2].name, "u"));
	for (size_t cut = 0; cut < n; cut++)
		EACH_CUT(prepared, cut, copy)
	cr_assert_not(cql_prepared_get(slice_of(copy, cut), &p), "%zu", cut);
}

Test(cassandra, deep_types)
{
	static struct cql_prepared p;
	struct buf b;

	buf_init(&b);
	buf_add(&b, "\0\0\0\4\0\1i\0\0\0\1\0\0\0\1\0\0\0\0\0\1k\0\1t\0\1a", 28);
	for (int i = 0; i < 100000; i++)
		buf_add_be16(&b, 0x20);
	cr_assert_not(cql_prepared_get(buf_slice(&b), &p));
	buf_fini(&b);
}

Test(cassandra, rows)
{
	static const char raw[] = "\0\0\0\2"
				  "\0\0\0\1"
				  "\0\0\0\1"
				  "\0\1k"
				  "\0\1t"
				  "\0\1v"
				  "\0\x0d"
				  "\0\0\0\1"
				  "\0\0\0\3"
				  "3.1";
	size_t n = sizeof(raw) - 1;
	struct slice v;

	cr_assert(cql_value_get(slice_of(raw, n), &v));
	cr_assert(slice_is(v, "3.1"));
	for (size_t cut = 0; cut < n; cut++)
		EACH_CUT(raw, cut, copy)
	cr_assert_not(cql_value_get(slice_of(copy, cut), &v), "%zu", cut);
}

Test(cassandra, faults)
{
	static const char raw[] = "\0\0\x25\0"
				  "\0\2no"
				  "\0\1i";
	static const struct {
		uint32_t code;
		enum sink_outcome outcome;
	} rows[] = {{0, SINK_UNSURE}, {0x100, SINK_UNAVAILABLE},
	    {0x1000, SINK_UNAVAILABLE}, {0x1001, SINK_UNAVAILABLE},
	    {0x1002, SINK_UNAVAILABLE}, {0x1100, SINK_UNAVAILABLE},
	    {0x1200, SINK_UNAVAILABLE}, {0x1500, SINK_UNSURE},
	    {0x2000, SINK_REFUSED}, {0x2100, SINK_UNAVAILABLE},
	    {0x2200, SINK_REFUSED}, {0x9999, SINK_UNSURE}};
	struct cql_fault f;

	cr_assert(cql_fault_get(slice_of(raw, sizeof(raw) - 1), &f));
	cr_assert_eq(f.code, CQL_ERROR_UNPREPARED);
	cr_assert(slice_is(f.text, "no"));
	for (size_t cut = 0; cut < 8; cut++)
		EACH_CUT(raw, cut, copy)
	cr_assert_not(cql_fault_get(slice_of(copy, cut), &f));
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(cql_fault_outcome(rows[i].code), rows[i].outcome,
		    "%x", rows[i].code);
	cr_assert_str_eq(cql_fault_name(0x1001), "overloaded");
	cr_assert_str_eq(cql_fault_name(0x9999), "error");
}

/* Tracing, two warnings and a payload before a body of two bytes. */
Test(cassandra, frames)
{
	static const char raw[] = "\x84\x0e\0\5\x08\0\0\0\x29"
				  "0123456789abcdef"
				  "\0\2\0\1a\0\2bc"
				  "\0\1\0\1n\0\0\0\3val"
				  "\0\0ok"
				  "next";
	size_t n = sizeof(raw) - 1 - 4;
	struct cql_frame f;
	const char *why = NULL;

	cr_assert_eq(cql_frame_get(slice_of(raw, n + 4), &f, &why), CQL_WHOLE,
	    "%s", why);
	cr_assert_eq(f.size, n);
	cr_assert_eq(f.stream, 5);
	cr_assert_eq(f.opcode, CQL_RESULT);
	for (size_t cut = 0; cut < n; cut++)
		EACH_CUT(raw, cut, copy)
	cr_assert_eq(cql_frame_get(slice_of(copy, cut), &f, &why), CQL_MORE);
	cr_assert_eq(
	    cql_frame_get(SLICE_LIT("\x84\0\xff\xff\x0c\0\0\0\0"), &f, &why),
	    CQL_WHOLE);
	cr_assert_eq(f.stream, -1);
	cr_assert_eq(cql_frame_get(SLICE_LIT("H"), &f, &why), CQL_BAD);
	cr_assert_eq(cql_frame_get(SLICE_LIT("\x83"), &f, &why), CQL_BAD);
	cr_assert(strstr(why, "version") != NULL);
	cr_assert_eq(
	    cql_frame_get(SLICE_LIT("\x84\0\0\0\0\x7f\0\0\0"), &f, &why),
	    CQL_BAD);
	cr_assert_eq(cql_frame_get(SLICE_LIT("\x84\1\0\0\0\0\0\0\0"), &f, &why),
	    CQL_BAD);
	cr_assert_eq(
	    cql_frame_get(SLICE_LIT("\x84\2\0\0\0\0\0\0\1x"), &f, &why),
	    CQL_BAD);
}
