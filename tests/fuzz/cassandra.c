/* links: sink_cassandra worker base */
#include "connector-worker/sinks/cassandra_value.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
body_check(struct slice body)
{
	static struct cql_prepared p;
	struct cql_fault fault;
	struct slice value;

	if (cql_prepared_get(body, &p))
		for (size_t i = 0; i < p.key_count; i++)
			if (p.keys[i] >= p.count)
				abort();
	if (cql_value_get(body, &value) && value.len > body.len)
		abort();
	if (cql_fault_get(body, &fault) && fault.text.len > body.len)
		abort();
}

/* What a node sends, and what a record or a definition holds as text. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct cql_node nodes[4];
	struct cql_frame f;
	const char *why;
	struct buf out;
	char *text;

	body_check(in);
	for (struct slice s = in; cql_frame_get(s, &f, &why) == CQL_WHOLE;
	     s = slice_of(s.p + f.size, s.len - f.size)) {
		if (f.size > s.len || f.body.len > f.size)
			abort();
		body_check(f.body);
	}
	buf_init(&out);
	for (uint16_t type = 0; type < 0x16; type++) {
		buf_clear(&out);
		if (cql_value_add(&out, type, in, &why) != (buf_len(&out) > 0))
			abort();
	}
	buf_fini(&out);
	text = slice_dup(in);
	if (cql_nodes_parse(text, 9042, nodes, 4) > 4)
		abort();
	free(text);
	return 0;
}
