#include "router/reader.h"

#include "base/log.h"
#include "base/mem.h"
#include "router/log/log.h"
#include "router/sender.h"
#include "router/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond it a process gets no watermarks: it has enough to read. */
#define PENDING_MAX (256u << 10)

struct told {
	uint64_t start, high;
	uint64_t from;		/* the reader has what is below */
	uint32_t left;		/* descriptors that it still takes */
};

struct reader {
	LIST_ENTRY(reader) of_stream, entry;
	TAILQ_ENTRY(reader) dirty;
	struct sender *sender;
	struct stream *stream;
	uint32_t id;
	bool consumes, is_dirty;
	struct told told[];	/* per partition */
};
TAILQ_HEAD(dirty_list, reader);

static struct {
	struct reader_list list;
	struct dirty_list dirty;
} readers;

void
readers_init(void)
{
	LIST_INIT(&readers.list);
	TAILQ_INIT(&readers.dirty);
}

static struct reader *
reader_find(const struct sender *s, uint32_t id)
{
	struct reader *r;

	LIST_FOREACH (r, &readers.list, entry)
		if (r->sender == s && r->id == id)
			return r;
	return NULL;
}

static void
reader_free(struct reader *r)
{
	LIST_REMOVE(r, entry);
	LIST_REMOVE(r, of_stream);
	if (r->is_dirty)
		TAILQ_REMOVE(&readers.dirty, r, dirty);
	free(r);
}

/* ---- frames ------------------------------------------------------------- */

static void
put_segment(struct reader *r, struct log_partition *p, uint64_t base_offset)
{
	union ipc_any m = {.segment = {.id = r->id,
			       .partition = log_partition_index(p),
			       .base_offset = base_offset}};
	struct told *told = &r->told[log_partition_index(p)];
	int fd;

	/* It asks again for what comes after the last one that it got. */
	if (told->left == 0)
		return;
	fd = log_segment_open(p, base_offset);
	if (fd == -1) {
		log_error("%s: segment %llu: %s", r->stream->name,
		    (unsigned long long)base_offset, strerror(errno));
		return;
	}
	link_put_fds(r->sender->link, IPC_SEGMENT, &m, &fd, 1);
	close(fd);
	told->left--;
}

static void
put_segments(struct reader *r, struct log_partition *p)
{
	uint64_t from = r->told[log_partition_index(p)].from;
	struct log_segment seg, next;
	size_t i;

	for (i = 0; log_segment_get(p, i, &seg); i++)
		if (!log_segment_get(p, i + 1, &next) ||
		    next.base_offset > from)
			put_segment(r, p, seg.base_offset);
}

/* Adds the partitions that moved since they were told; all at first. */
static void
gather_marks(struct reader *r, bool all, struct ipc_batch *items)
{
	for (uint32_t i = 0; i < r->stream->partitions; i++) {
		struct log_partition *p =
		    log_stream_partition(r->stream->log, i);
		struct told now = r->told[i];

		now.start = log_start(p);
		now.high = log_high_watermark(p);
		if (!all && now.start == r->told[i].start &&
		    now.high == r->told[i].high)
			continue;
		r->told[i] = now;
		ipc_add_partition_item(items,
		    &(struct ipc_partition_item){.partition = i,
			.log_start = now.start,
			.high_watermark = now.high});
	}
}

static void
put_following(struct reader *r)
{
	struct ipc_batch items = {0};

	for (uint32_t i = 0; i < r->stream->partitions; i++)
		put_segments(r, log_stream_partition(r->stream->log, i));
	gather_marks(r, true, &items);
	link_put_following(r->sender->link,
	    &(struct ipc_following){.id = r->id,
		.incarnation = r->stream->incarnation,
		.partitions = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

static void
put_watermark(struct reader *r)
{
	struct ipc_batch items = {0};

	gather_marks(r, false, &items);
	if (items.count > 0)
		link_put_watermark(r->sender->link,
		    &(struct ipc_watermark){.id = r->id,
			.partitions = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

/* ---- what processes ask ------------------------------------------------- */

static void
reader_window(struct reader *r, const struct ipc_follow *m)
{
	struct ipc_list from = m->from;
	struct ipc_partition_item item;
	uint32_t i;

	for (i = 0; i < r->stream->partitions; i++)
		r->told[i].left = m->segments == 0 ? UINT32_MAX : m->segments;
	while (ipc_next_partition_item(&from, &item) == 1)
		if (item.partition < r->stream->partitions)
			r->told[item.partition].from = item.log_start;
}

void
reader_follow(struct sender *s, const struct ipc_follow *m)
{
	struct stream *st = stream_find(m->stream);
	struct reader *r = reader_find(s, m->id);

	if (r != NULL)
		reader_free(r);
	if (st == NULL || st->state != STREAM_OPEN) {
		link_put_following(s->link,
		    &(struct ipc_following){.id = m->id, .reason = 1});
		return;
	}
	r = mem_zalloc(
	    1, sizeof(*r) + st->partitions * sizeof(struct told));
	r->sender = s;
	r->stream = st;
	r->id = m->id;
	r->consumes = m->consumes != 0;
	reader_window(r, m);
	LIST_INSERT_HEAD(&readers.list, r, entry);
	LIST_INSERT_HEAD(&st->readers, r, of_stream);
	put_following(r);
}

void
reader_unfollow(struct sender *s, uint32_t id)
{
	struct reader *r = reader_find(s, id);

	if (r != NULL)
		reader_free(r);
}

void
reader_consumed(struct sender *s, const struct ipc_consumed *m)
{
	struct reader *r = reader_find(s, m->id);

	if (r == NULL || !r->consumes || !r->stream->is_consumed ||
	    m->partition >= r->stream->partitions)
		return;
	/* A stream of this retention has one reader: its connector. */
	log_trim(log_stream_partition(r->stream->log, m->partition),
	    m->offset);
}

void
readers_forget(const struct sender *s)
{
	struct reader *r, *next;

	for (r = LIST_FIRST(&readers.list); r != NULL; r = next) {
		next = LIST_NEXT(r, entry);
		if (r->sender == s)
			reader_free(r);
	}
}

void
readers_stream_gone(struct stream *st)
{
	struct reader *r;

	while ((r = LIST_FIRST(&st->readers)) != NULL) {
		link_put_stream_gone(r->sender->link,
		    &(struct ipc_stream_gone){.id = r->id});
		reader_free(r);
	}
}

/* ---- what the log says -------------------------------------------------- */

static struct stream *
stream_of(struct log_partition *p)
{
	return log_stream_owner(log_partition_stream(p));
}

void
reader_advanced(struct log_partition *p)
{
	struct stream *st = stream_of(p);
	struct reader *r;

	if (st == NULL)
		return;
	LIST_FOREACH (r, &st->readers, of_stream) {
		if (r->is_dirty)
			continue;
		r->is_dirty = true;
		TAILQ_INSERT_TAIL(&readers.dirty, r, dirty);
	}
}

void
reader_on_segment(
    void *owner, struct log_partition *p, uint64_t base_offset)
{
	struct stream *st = stream_of(p);
	struct reader *r;

	(void)owner;
	if (st == NULL)
		return;
	LIST_FOREACH (r, &st->readers, of_stream)
		put_segment(r, p, base_offset);
}

void
reader_on_segment_gone(
    void *owner, struct log_partition *p, uint64_t base_offset)
{
	struct stream *st = stream_of(p);
	struct reader *r;

	(void)owner;
	if (st == NULL)
		return;
	LIST_FOREACH (r, &st->readers, of_stream)
		link_put_segment_gone(r->sender->link,
		    &(struct ipc_segment_gone){.id = r->id,
			.partition = log_partition_index(p),
			.base_offset = base_offset});
	reader_advanced(p);
}

void
readers_flush(void)
{
	struct reader *r, *next;

	for (r = TAILQ_FIRST(&readers.dirty); r != NULL; r = next) {
		next = TAILQ_NEXT(r, dirty);
		if (link_pending(r->sender->link) > PENDING_MAX)
			continue;
		TAILQ_REMOVE(&readers.dirty, r, dirty);
		r->is_dirty = false;
		put_watermark(r);
	}
}
