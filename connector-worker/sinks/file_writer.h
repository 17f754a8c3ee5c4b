/*
 * file_writer - the thread that compresses, writes and syncs, as a disk can
 * block for as long as it likes.
 *
 * One job at a time: its files are the writer's from file_writer_start until
 * done is called, on the loop.
 */
#ifndef SINKS_FILE_WRITER_H
#define SINKS_FILE_WRITER_H

#include "base/buf.h"

#include <ev.h>

enum file_compression { COMPRESS_NONE, COMPRESS_GZIP, COMPRESS_ZSTD };

/* What is to be appended to one file. */
struct file_job {
	struct file_job *next;
	int fd;
	uint64_t offset;		/* where it goes */
	struct buf *raw;		/* a loan; not changed */
	uint64_t written;		/* bytes that went into the file */
	int error;			/* errno, 0 */
};

struct file_writer;

struct file_writer *file_writer_new(struct ev_loop *loop,
    enum file_compression compression, bool syncs, void (*done)(void *arg),
    void *arg);
/* Waits for what is under way; done is not called any more. */
void file_writer_free(struct file_writer *w);
void file_writer_start(struct file_writer *w, struct file_job *jobs);

#endif
