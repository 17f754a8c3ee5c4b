/* links: sink_elasticsearch worker base */
#include "connector-worker/sinks/elasticsearch_answer.h"

#include <criterion/criterion.h>

Test(elasticsearch, outcomes)
{
	static const struct {
		long status;
		bool is_create;
		enum sink_outcome outcome;
	} rows[] = {
		{200, true, SINK_DELIVERED}, {201, false, SINK_DELIVERED},
		{409, true, SINK_DELIVERED}, {409, false, SINK_RETRYABLE},
		{400, true, SINK_REFUSED}, {413, true, SINK_REFUSED},
		{404, true, SINK_UNAVAILABLE}, {429, true, SINK_UNAVAILABLE},
		{403, true, SINK_UNAVAILABLE}, {503, true, SINK_UNAVAILABLE},
		{500, true, SINK_RETRYABLE}, {0, true, SINK_UNSURE},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		cr_assert_eq(elasticsearch_outcome(rows[i].status,
		    rows[i].is_create), rows[i].outcome, "%ld",
		    rows[i].status);
}

Test(elasticsearch, items)
{
	static const struct {
		const char *body;
		bool is_answer;
		long statuses[4];	/* -1: no more */
	} rows[] = {
		{"{\"items\":[{\"create\":{\"status\":201}},"
		 "{\"index\":{\"status\":400,\"error\":\"x\"}}]}", true,
		 {201, 400, -1, -1}},
		{"{\"items\":[1,{},{\"a\":1}]}", true, {0, 0, 0, -1}},
		{"{\"items\":[{\"create\":{\"status\":\"201\"}},"
		 "{\"create\":{\"status\":2.1}}]}", true, {0, 0, -1, -1}},
		{"{\"items\":{}}", false, {-1, -1, -1, -1}},
		{"{\"items\":[{\"create\":{\"status\":201}}", false,
		 {-1, -1, -1, -1}},
		{"[]", false, {-1, -1, -1, -1}},
		{"", false, {-1, -1, -1, -1}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct elasticsearch_item item;
		struct slice items;
		size_t at = 0, n = 0;

		cr_assert_eq(elasticsearch_items(slice_str(rows[i].body),
		    &items), rows[i].is_answer, "%s", rows[i].body);
		if (!rows[i].is_answer)
			continue;
		for (; elasticsearch_item_next(items, &at, &item); n++)
			cr_assert_eq(item.status, rows[i].statuses[n], "%s",
			    rows[i].body);
		cr_assert_eq(rows[i].statuses[n], -1, "%s", rows[i].body);
	}
}
