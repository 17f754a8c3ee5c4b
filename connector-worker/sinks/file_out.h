/*
 * file_out - the files that the sink writes: which are open, which the
 * database knows, how they are found again, made, rotated and cut.
 *
 * Effectively once by position: the database holds device, inode and length
 * of each file, committed with the offset. The same inode and longer: what
 * is beyond was not committed and is cut off. The same and shorter: what is
 * missing is delivered again, from a point that was noted. Another inode:
 * it is not ours, it is never touched, a new file is begun.
 *
 * Connectors, section 5, `file`.
 */
#ifndef SINKS_FILE_OUT_H
#define SINKS_FILE_OUT_H

#include "connector-worker/sink.h"
#include "connector-worker/sinks/file_path.h"
#include "connector-worker/sinks/file_state.h"
#include "connector-worker/sinks/file_writer.h"

enum file_rotation {
	ROTATE_NONE,
	ROTATE_SIZE,
	ROTATE_HOURLY,
	ROTATE_DAILY,
};

/* How files are to be: of the definition. */
struct file_rules {
	struct file_place place;
	bool is_constant;		/* one path for all records */
	enum file_rotation rotation;
	uint64_t max_size;
	uint64_t keep_files;		/* rotated ones, 0: all */
};

/* A place in the file from which all after it can be delivered again. */
struct file_point {
	uint64_t length;
	char *position;
};

/* A file of the database; open ones have a descriptor. */
struct out {
	struct out *next;		/* of its bucket */
	char *path;
	uint64_t hash;
	bool has_state;
	struct file_state state;
	struct file_point *points;	/* of this inode, rising */
	size_t point_count, point_cap;
	int fd;				/* -1: not open */
	uint64_t turn;			/* the batch that looked at it last */
	const char *fault;		/* of that batch; NULL: may be written */
	enum sink_outcome outcome;	/* with a fault */
	char why[256];
	bool is_dirty;
	bool has_new_point;
	struct buf raw;
	struct file_job job;
};

struct outs;

struct outs *outs_new(struct sink *sink, const struct file_rules *rules);
void outs_free(struct outs *o);
/* Cuts what was not committed, goes back for what is missing. */
void outs_recover(struct outs *o);

/*
 * After going back: the record comes again, and this file still has it. A
 * record that is delivered again because somebody moved the connector is
 * written again.
 */
bool outs_has_already(const struct outs *o, const struct out *out,
    const struct record *rec);

/* The batch is written, whatever files it was for. */
void outs_passed(struct outs *o, struct sink_batch *batch,
    uint64_t incarnation);

/* The file of a checked path, known from here on. */
struct out *outs_find(struct outs *o, struct slice path);
/*
 * Makes it ready for this batch: open, ours, not due for rotation. False:
 * out->fault and outcome say why not.
 */
bool out_prepare(struct outs *o, struct out *out, uint64_t turn);
/* Its job is written: keeps the new state with the batch. */
void out_written(struct outs *o, struct out *out, struct sink_batch *batch,
    uint64_t incarnation);
/* Its job failed: what it wrote is cut off. */
void out_failed(struct outs *o, struct out *out);

#endif
