/* links: sink_rabbitmq worker base */
#include "connector-worker/sinks/rabbitmq_error.h"

#include <criterion/criterion.h>

Test(rabbitmq_error, codes)
{
	static const struct {
		unsigned code;
		const char *text;
		enum sink_outcome outcome;
	} rows[] = {{404, "NOT_FOUND - no exchange", SINK_UNAVAILABLE},
	    {406, "PRECONDITION_FAILED - message size", SINK_REFUSED},
	    {403, "ACCESS_REFUSED - access to exchange 'x'", SINK_UNAVAILABLE},
	    {403, "ACCESS_REFUSED - access to topic 'x' in exchange",
		SINK_REFUSED},
	    {320, "CONNECTION_FORCED", SINK_UNAVAILABLE},
	    {541, "INTERNAL_ERROR", SINK_UNSURE}, {999, "", SINK_RETRYABLE}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct slice text = slice_str(rows[i].text);

		cr_assert_eq(rabbitmq_close_outcome(rows[i].code, text),
		    rows[i].outcome, "%u", rows[i].code);
		cr_assert_eq(rabbitmq_close_is_of_one(rows[i].code, text),
		    rows[i].outcome == SINK_REFUSED);
	}
}
