#include "base/log_layout.h"

#include <criterion/criterion.h>

TestSuite(log_layout);

Test(log_layout, segment_names)
{
	char name[LOG_SEGMENT_NAME];
	uint64_t base;

	log_segment_name(name, 1048576);
	cr_assert_str_eq(name, "00000000000001048576.log");
	cr_assert(log_segment_parse(name, &base));
	cr_assert_eq(base, 1048576);
	cr_assert(!log_segment_parse("1048576.log", &base));
	cr_assert(!log_segment_parse("00000000000001048576.lob", &base));
	cr_assert(!log_segment_parse("0000000000000104857x.log", &base));
	cr_assert(!log_segment_parse("99999999999999999999.log", &base));
}

Test(log_layout, stream_names)
{
	static const char *good[] = {"a", "telemetry", "A.b-c_9", "$queue",
		"$connector.pg-1"};
	static const char *bad[] = {"", "$", ".", "..", ".a", "a/b", "a b",
		"a$", "\xc3\xa4", "$.."};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(log_stream_name_is_valid(slice_str(good[i])),
		    "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert(!log_stream_name_is_valid(slice_str(bad[i])),
		    "%s", bad[i]);
}

Test(log_layout, ids)
{
	struct log_id id = {slice_str("a.b-1.c"), 0xfeed, 12, 345}, back;
	char text[LOG_ID_MAX];
	static const char *bad[] = {"", "a", "a.1-2-3",
		"a.00000000000000ZZ-1-2", ".000000000000feed-1-2",
		"a.000000000000feed-1-", "a.000000000000feed-4294967296-2"};

	cr_assert_eq(log_id_put(&id, text), strlen(text));
	cr_assert_str_eq(text, "a.b-1.c.000000000000feed-12-345");
	cr_assert(log_id_get(slice_str(text), &back));
	cr_assert(slice_is(back.stream, "a.b-1.c"));
	cr_assert_eq(back.incarnation, 0xfeed);
	cr_assert_eq(back.partition, 12);
	cr_assert_eq(back.offset, 345);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		cr_assert(!log_id_get(slice_str(bad[i]), &back), "%s", bad[i]);
}
