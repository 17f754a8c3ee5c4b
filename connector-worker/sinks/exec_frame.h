/*
 * exec_frame - the frames of exec/1: u32 length (big-endian), then one
 * msgpack array whose first element names the frame. docs/en/exec.md.
 *
 * Pure. What the command sends is checked whole before anything of it is
 * used: bounds, types, names, no byte after the array.
 */
#ifndef CONNECTOR_WORKER_SINKS_EXEC_FRAME_H
#define CONNECTOR_WORKER_SINKS_EXEC_FRAME_H

#include "base/buf.h"
#include "connector-worker/sink.h"
#include "ipc/cursor.h"

#define EXEC_VERSION 1
#define EXEC_HEADER 4u
#define EXEC_IN_MAX (1u << 20)	/* body of a frame from the command */
#define EXEC_REASON_MAX 4096u
#define EXEC_NAME_MAX 255u
/* So many answers with short reasons fit in a frame. */
#define EXEC_RECORDS_MAX 10000u

enum exec_kind { EXEC_HELLO, EXEC_OPENED, EXEC_ANSWERS, EXEC_PROBED };

/* A frame from the command; slices point into its body. */
struct exec_frame {
	enum exec_kind kind;
	uint64_t number;	/* version, batch or probe */
	struct slice name;	/* hello: what the command calls itself */
	struct slice reason;	/* opened, probed; null: it is well */
	struct cursor answers;	/* checked: exec_answer_take cannot fail */
	uint32_t answers_left;
};

struct exec_answer {
	uint32_t index;
	enum sink_outcome outcome;
	struct slice reason;	/* null: none */
};

enum exec_taken { EXEC_MORE, EXEC_WHOLE, EXEC_GARBAGE };

/* Is there a whole frame at the start of in? Its body then. */
enum exec_taken exec_body_peek(struct slice in, struct slice *body);
/* NULL, or what is wrong with it. */
const char *exec_frame_get(struct slice body, struct exec_frame *f);
/* The next answer; false when there is none left. */
bool exec_answer_take(struct exec_frame *f, struct exec_answer *a);

/* Frames to the command, header included. */
void exec_put_hello(struct buf *out, const char *connector,
    const char *stream);
/* With the map `settings`. */
void exec_put_open(struct buf *out, const struct sink_options *o,
    bool is_test);
void exec_put_batch(struct buf *out, uint64_t id,
    struct sink_record *const *records, size_t count);
void exec_put_probe(struct buf *out, uint64_t id);
void exec_put_close(struct buf *out);

#endif
