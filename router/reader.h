/*
 * reader - who follows a stream: gets its segments' descriptors, read only,
 * and its watermarks, and reads the log by itself.
 *
 * A segment is told before any watermark beyond its base offset. Watermarks
 * leave once per turn, the newest only, and not to a process that is behind
 * with its link.
 *
 * Architecture, section 3.
 */
#ifndef ROUTER_READER_H
#define ROUTER_READER_H

#include "ipc/messages.h"

#include <sys/queue.h>

struct log_partition;
struct sender;
struct stream;

void readers_init(void);
void reader_follow(struct sender *s, const struct ipc_follow *m);
void reader_unfollow(struct sender *s, uint32_t id);
void reader_consumed(struct sender *s, const struct ipc_consumed *m);
/* The process is gone. */
void readers_forget(const struct sender *s);
/* The stream is about to be deleted: its readers are told. */
void readers_stream_gone(struct stream *st);

/* The watermark or log start of the partition moved. */
void reader_advanced(struct log_partition *p);
/* Of log_events. */
void reader_on_segment(
    void *owner, struct log_partition *p, uint64_t base_offset);
void reader_on_segment_gone(
    void *owner, struct log_partition *p, uint64_t base_offset);
/* Watermarks; at the end of a turn. */
void readers_flush(void);

#endif
