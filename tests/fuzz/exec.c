/* links: sink_exec worker base */
#include "connector-worker/sinks/exec_frame.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
answers_walk(struct exec_frame *f)
{
	uint32_t count = f->answers_left;
	struct exec_answer a;

	/* Each takes at least an array, an index, a name and a nil. */
	if (count > EXEC_IN_MAX / 4)
		abort();
	while (f->answers_left > 0) {
		if (!exec_answer_take(f, &a) || a.outcome > SINK_HELD ||
		    a.reason.len > EXEC_REASON_MAX)
			abort();
		count--;
	}
	if (count != 0 || exec_answer_take(f, &a))
		abort();
}

/* What a command says: frame after frame, until one is garbage. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size), body;
	struct exec_frame f;

	while (exec_body_peek(in, &body) == EXEC_WHOLE) {
		if (body.len == 0 || body.len > EXEC_IN_MAX ||
		    body.len > in.len - EXEC_HEADER)
			abort();
		if (exec_frame_get(body, &f) != NULL)
			break;
		if (f.name.len > EXEC_NAME_MAX ||
		    f.reason.len > EXEC_REASON_MAX)
			abort();
		if (f.kind == EXEC_ANSWERS)
			answers_walk(&f);
		in = slice_of(body.p + body.len,
		    in.len - EXEC_HEADER - body.len);
	}
	return 0;
}
