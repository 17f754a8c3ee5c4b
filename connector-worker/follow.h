/*
 * follow - the link to the router, and the streams that are read over it:
 * descriptors of segments, watermarks, a reader for each partition.
 *
 * A follow lives across routers: it asks again on each new link, and every
 * second while its stream does not exist. Its readers and what they know
 * stay until the stream comes back as another incarnation.
 *
 * However long a stream is, only FOLLOW_SEGMENTS of a partition are open:
 * who has read them asks for more (follow_more). The reader is told a
 * watermark not beyond the last of them, as its end is not known yet.
 *
 * Architecture, section 3.
 */
#ifndef CONNECTOR_WORKER_FOLLOW_H
#define CONNECTOR_WORKER_FOLLOW_H

#include "base/log_reader.h"
#include "ipc/link.h"

struct follow_part {
	uint32_t number;
	struct log_reader *reader;
	uint64_t log_start, high_watermark;
	unsigned received;		/* segments since it was asked */
	uint64_t newest;		/* base offset of the last one */
	uint64_t asked_at;		/* offset + 1 where more were asked for */
	/* Base offsets of the segments, rising. */
	uint64_t *bases;
	size_t base_count, base_cap;
};

#define FOLLOW_SEGMENTS 4

struct follow;

struct follow_ops {
	/* is_new: another incarnation (or the first): all parts are new. */
	void (*following)(struct follow *f, bool is_new);
	void (*advanced)(struct follow *f);
	/* The stream does not exist, or was deleted. Readers stay. */
	void (*missing)(struct follow *f);
};

/* The end of the link; takes the descriptor. */
void router_attach(struct ev_loop *loop, uint64_t incarnation, int fd);
bool router_is_attached(void);

struct follow *follow_new(struct ev_loop *loop, uint32_t id,
    const char *stream, bool consumes, const struct follow_ops *ops,
    void *arg);
void follow_free(struct follow *f);

void *follow_arg(const struct follow *f);
const char *follow_stream(const struct follow *f);
/* Told its state by this router. */
bool follow_is_current(const struct follow *f);
uint64_t follow_incarnation(const struct follow *f);
size_t follow_parts(const struct follow *f);
struct follow_part *follow_part(const struct follow *f, size_t i);
struct follow_part *follow_part_find(const struct follow *f,
    uint32_t number);
/*
 * The reader of this part is at its end, or lacks a segment (is_missing).
 * True: further segments are on their way; following() is called then.
 */
bool follow_more(struct follow *f, struct follow_part *p, bool is_missing);
/* The largest base offset b with after < b <= offset; 0 if there is none. */
uint64_t follow_part_base(const struct follow_part *p, uint64_t after,
    uint64_t offset);
/* Records below are committed: retention by consumption may take them. */
void follow_consumed(const struct follow *f, struct follow_part *p,
    uint64_t offset);

/* Publishes a message as this worker; false: no router, it is dropped. */
bool router_publish(struct slice topic, const struct record *rec,
    struct slice props);

#endif
