/*
 * stream_read - records of a stream for who asked by GET
 * /api/v1/streams/NAME/records, read from the router's descriptors.
 *
 * One JSON object a line (base/record_json.h); {"damaged": {...}} stands
 * where a batch cannot be read. Reading waits while the client does not
 * take what was sent. A new router is followed from where the old one was
 * left.
 */
#ifndef ADMIN_SERVER_STREAM_READ_H
#define ADMIN_SERVER_STREAM_READ_H

#include "ipc/messages.h"

void stream_read_on_router(void);
void stream_read_on_router_gone(void);
/* The list is malformed: false. */
bool stream_read_on_following(const struct ipc_following *m);
bool stream_read_on_watermark(const struct ipc_watermark *m);
/* Takes fd. */
void stream_read_on_segment(const struct ipc_segment *m, int fd);
void stream_read_on_segment_gone(const struct ipc_segment_gone *m);
void stream_read_on_gone(uint32_t id);

#endif
