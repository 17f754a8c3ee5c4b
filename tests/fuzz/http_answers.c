/* links: sink_elasticsearch worker base */
#include "connector-worker/aws.h"
#include "connector-worker/line_sink.h"
#include "connector-worker/sinks/elasticsearch_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_line(uint64_t line, struct slice message, void *arg)
{
	(void)arg;
	if (line == 0 || (message.len > 0 && message.p == NULL))
		__builtin_trap();
}

/* What answers name: lines, items, errors. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice body = slice_of(data, size), items;
	struct elasticsearch_item item;
	struct http_verdict v;
	size_t at = 0;

	line_answer_lines(body, on_line, NULL);
	if (elasticsearch_items(body, &items))
		while (elasticsearch_item_next(items, &at, &item))
			if (item.status < 0 || item.status > 999)
				__builtin_trap();
	aws_error_verdict(body, &v);
	return 0;
}
