#include "connector-worker/follow.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/props.h"
#include "ipc/proc.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#define ASK_AGAIN_S 1.

/* A segment that came before the stream's state did. */
struct pending {
	uint32_t partition;
	uint64_t base_offset;
	int fd;
};

struct follow {
	LIST_ENTRY(follow) entry;
	struct ev_loop *loop;
	uint32_t id;
	char *stream;
	bool consumes;
	bool is_current;
	uint64_t incarnation;
	struct follow_part *parts;
	size_t part_count;
	struct pending *pending;
	size_t pending_count;
	ev_timer again;
	const struct follow_ops *ops;
	void *arg;
};

LIST_HEAD(follow_list, follow);

static struct {
	struct link *link;
	struct follow_list follows;
	uint64_t next_number;
	uint64_t taken;
	bool is_welcome;
} router = {.next_number = 1};

/* --- asking ------------------------------------------------------------ */

static void
pending_drop(struct follow *f)
{
	size_t i;

	for (i = 0; i < f->pending_count; i++)
		close(f->pending[i].fd);
	free(f->pending);
	f->pending = NULL;
	f->pending_count = 0;
}

static void
follow_ask(struct follow *f)
{
	struct ipc_batch from = {0};
	struct follow_part *p;
	size_t i;

	f->is_current = false;
	pending_drop(f);
	ev_timer_stop(f->loop, &f->again);
	if (router.link == NULL)
		return;
	for (i = 0; i < f->part_count; i++) {
		p = &f->parts[i];
		p->received = 0;
		/* What was read is not needed; going back asks again. */
		log_reader_forget(p->reader, log_reader_offset(p->reader));
		ipc_add_partition_item(&from, &(struct ipc_partition_item){
		    .partition = p->number,
		    .log_start = log_reader_offset(p->reader)});
	}
	link_put_follow(router.link, &(struct ipc_follow){
	    .id = f->id, .stream = slice_str(f->stream),
	    .consumes = f->consumes ? 1 : 0, .segments = FOLLOW_SEGMENTS,
	    .from = ipc_batch_list(&from)});
	buf_fini(&from.bytes);
}

static void
on_again(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	follow_ask(w->data);
}

static void
follow_is_missing(struct follow *f)
{
	f->is_current = false;
	pending_drop(f);
	ev_timer_stop(f->loop, &f->again);
	ev_timer_set(&f->again, ASK_AGAIN_S, 0.);
	ev_timer_start(f->loop, &f->again);
	f->ops->missing(f);
}

/* --- parts ------------------------------------------------------------- */

static void
parts_free(struct follow *f)
{
	size_t i;

	for (i = 0; i < f->part_count; i++) {
		log_reader_free(f->parts[i].reader);
		free(f->parts[i].bases);
	}
	free(f->parts);
	f->parts = NULL;
	f->part_count = 0;
}

static void
part_add_base(struct follow_part *p, uint64_t base)
{
	size_t i = p->base_count;

	while (i > 0 && p->bases[i - 1] > base)
		i--;
	if (i > 0 && p->bases[i - 1] == base)
		return;
	if (p->base_count == p->base_cap) {
		p->base_cap = p->base_cap == 0 ? 8 : p->base_cap * 2;
		p->bases = mem_realloc(p->bases,
		    p->base_cap * sizeof(*p->bases));
	}
	memmove(p->bases + i + 1, p->bases + i,
	    (p->base_count - i) * sizeof(*p->bases));
	p->bases[i] = base;
	p->base_count++;
}

uint64_t
follow_part_base(const struct follow_part *p, uint64_t after,
    uint64_t offset)
{
	size_t i = p->base_count;

	while (i > 0 && p->bases[i - 1] > offset)
		i--;
	return i > 0 && p->bases[i - 1] > after ? p->bases[i - 1] : 0;
}

struct follow_part *
follow_part_find(const struct follow *f, uint32_t number)
{
	size_t i;

	for (i = 0; i < f->part_count; i++)
		if (f->parts[i].number == number)
			return &f->parts[i];
	return NULL;
}

/* There may be segments behind the newest one: where that ends is unknown. */
static bool
part_is_cut(const struct follow_part *p)
{
	return p->received >= FOLLOW_SEGMENTS &&
	    p->newest < p->high_watermark;
}

static void
part_tell_bounds(struct follow_part *p)
{
	log_reader_set_bounds(p->reader, p->log_start,
	    part_is_cut(p) ? p->newest : p->high_watermark);
}

static void
follow_add_segment(struct follow *f, uint32_t partition, uint64_t base,
    int fd)
{
	struct follow_part *p = follow_part_find(f, partition);

	if (p == NULL) {
		close(fd);
		return;
	}
	part_add_base(p, base);
	log_reader_add_segment(p->reader, base, fd);
	p->received++;
	p->newest = base;
	part_tell_bounds(p);
}

bool
follow_more(struct follow *f, struct follow_part *p, bool is_missing)
{
	uint64_t at = log_reader_offset(p->reader);

	if (!f->is_current)
		return true;
	if (!is_missing && (!part_is_cut(p) || at < p->newest))
		return false;
	if (p->asked_at == at + 1) {
		/* Asked for here before, in vain: not at once again. */
		if (is_missing && !ev_is_active(&f->again)) {
			ev_timer_set(&f->again, ASK_AGAIN_S, 0.);
			ev_timer_start(f->loop, &f->again);
		}
		return false;
	}
	p->asked_at = at + 1;
	follow_ask(f);
	return true;
}

static void
part_set_bounds(struct follow_part *p, const struct ipc_partition_item *item)
{
	size_t gone = 0;

	p->log_start = item->log_start;
	p->high_watermark = item->high_watermark;
	part_tell_bounds(p);
	/* Bases below the log start mark nothing any more. */
	while (gone < p->base_count && p->bases[gone] < p->log_start)
		gone++;
	if (gone == 0)
		return;
	p->base_count -= gone;
	memmove(p->bases, p->bases + gone,
	    p->base_count * sizeof(*p->bases));
}

static bool
parts_make(struct follow *f, struct ipc_list list)
{
	struct ipc_partition_item item;
	struct follow_part *p;
	int answer;

	parts_free(f);
	f->parts = mem_zalloc(list.count + 1, sizeof(*f->parts));
	while ((answer = ipc_next_partition_item(&list, &item)) == 1) {
		p = &f->parts[f->part_count++];
		p->number = item.partition;
		p->reader = log_reader_new(f->stream, f->incarnation,
		    item.partition);
	}
	return answer == 0;
}

static bool
parts_set_bounds(struct follow *f, struct ipc_list list)
{
	struct ipc_partition_item item;
	struct follow_part *p;
	int answer;

	while ((answer = ipc_next_partition_item(&list, &item)) == 1) {
		p = follow_part_find(f, item.partition);
		if (p != NULL)
			part_set_bounds(p, &item);
	}
	return answer == 0;
}

/* --- what the router says ---------------------------------------------- */

static struct follow *
follow_find(uint32_t id)
{
	struct follow *f;

	LIST_FOREACH(f, &router.follows, entry)
		if (f->id == id)
			return f;
	return NULL;
}

static bool
on_welcome(struct link *l, struct frame *frame)
{
	(void)l;
	(void)frame;
	router.is_welcome = true;
	return true;
}

static bool
on_taken(struct link *l, struct frame *frame)
{
	(void)l;
	router.taken = frame->u.taken.number;
	return true;
}

static bool
on_space(struct link *l, struct frame *frame)
{
	(void)l;
	(void)frame;
	return true;
}

static bool
on_segment(struct link *l, struct frame *frame)
{
	const struct ipc_segment *m = &frame->u.segment;
	struct follow *f = follow_find(m->id);
	int fd;

	(void)l;
	if (frame->fd_count != 1)
		return false;
	if (f == NULL)
		return true;
	fd = frame_take_fd(frame, 0);
	if (f->is_current) {
		follow_add_segment(f, m->partition, m->base_offset, fd);
		return true;
	}
	f->pending = mem_realloc(f->pending,
	    (f->pending_count + 1) * sizeof(*f->pending));
	f->pending[f->pending_count++] = (struct pending){m->partition,
	    m->base_offset, fd};
	return true;
}

static bool
on_following(struct link *l, struct frame *frame)
{
	const struct ipc_following *m = &frame->u.following;
	struct follow *f = follow_find(m->id);
	bool is_new;
	size_t i;

	(void)l;
	if (f == NULL)
		return true;
	if (m->reason != 0) {
		follow_is_missing(f);
		return true;
	}
	is_new = f->parts == NULL || f->incarnation != m->incarnation ||
	    f->part_count != m->partitions.count;
	f->incarnation = m->incarnation;
	if (is_new && !parts_make(f, m->partitions))
		return false;
	for (i = 0; i < f->pending_count; i++)
		follow_add_segment(f, f->pending[i].partition,
		    f->pending[i].base_offset, f->pending[i].fd);
	f->pending_count = 0;
	pending_drop(f);
	f->is_current = true;
	if (!parts_set_bounds(f, m->partitions))
		return false;
	f->ops->following(f, is_new);
	return true;
}

static bool
on_segment_gone(struct link *l, struct frame *frame)
{
	const struct ipc_segment_gone *m = &frame->u.segment_gone;
	struct follow *f = follow_find(m->id);
	struct follow_part *p;

	(void)l;
	p = f == NULL ? NULL : follow_part_find(f, m->partition);
	if (p != NULL)
		log_reader_remove_segment(p->reader, m->base_offset);
	return true;
}

static bool
on_watermark(struct link *l, struct frame *frame)
{
	const struct ipc_watermark *m = &frame->u.watermark;
	struct follow *f = follow_find(m->id);

	(void)l;
	if (f == NULL || !f->is_current)
		return true;
	if (!parts_set_bounds(f, m->partitions))
		return false;
	f->ops->advanced(f);
	return true;
}

static bool
on_stream_gone(struct link *l, struct frame *frame)
{
	struct follow *f = follow_find(frame->u.stream_gone.id);

	(void)l;
	if (f != NULL)
		follow_is_missing(f);
	return true;
}

static void
on_close(struct link *l, const char *reason)
{
	struct follow *f;

	log_debug("the router is gone: %s", reason);
	link_free(l);
	if (router.link != l)
		return;
	router.link = NULL;
	router.is_welcome = false;
	LIST_FOREACH(f, &router.follows, entry) {
		f->is_current = false;
		pending_drop(f);
		ev_timer_stop(f->loop, &f->again);
	}
}

static link_handler *const handlers[IPC_TYPE_MAX + 1] = {
	[IPC_WELCOME] = on_welcome,
	[IPC_TAKEN] = on_taken,
	[IPC_SPACE] = on_space,
	[IPC_SEGMENT] = on_segment,
	[IPC_FOLLOWING] = on_following,
	[IPC_SEGMENT_GONE] = on_segment_gone,
	[IPC_WATERMARK] = on_watermark,
	[IPC_STREAM_GONE] = on_stream_gone,
};

static const struct link_ops link_ops = {handlers, on_close};

void
router_attach(struct ev_loop *loop, uint64_t incarnation, int fd)
{
	struct follow *f;

	if (router.link != NULL)
		link_free(router.link);
	router.is_welcome = false;
	router.link = link_new(loop, fd, KIND_WORKER, KIND_ROUTER, "router",
	    incarnation, &link_ops, NULL);
	link_put_registration(router.link, &(struct ipc_registration){
	    .incarnation = proc_incarnation(),
	    .next_number = router.next_number, .next_settle = 1});
	link_put_registered(router.link, &(struct ipc_registered){.none = 0});
	LIST_FOREACH(f, &router.follows, entry)
		follow_ask(f);
}

bool
router_is_attached(void)
{
	return router.link != NULL;
}

bool
router_publish(struct slice topic, const struct record *rec,
    struct slice props)
{
	struct ipc_batch items = {0};
	struct ipc_publish_item item = {
		.topic = topic,
		.payload = rec->payload,
		.flags = 1,
		.timestamp_ms = clock_wall_ms(),
		.props = props,
		.client_id = slice_str(proc_name()),
		.protocol = SLICE_LIT("dlq"),
	};

	if (router.link == NULL || !router.is_welcome ||
	    link_credit(router.link) <= 0)
		return false;
	ipc_add_publish_item(&items, &item);
	link_put_publish(router.link, &(struct ipc_publish){
	    .number = router.next_number++,
	    .items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
	return true;
}

/* --- follows ----------------------------------------------------------- */

struct follow *
follow_new(struct ev_loop *loop, uint32_t id, const char *stream,
    bool consumes, const struct follow_ops *ops, void *arg)
{
	struct follow *f = mem_zalloc(1, sizeof(*f));

	f->loop = loop;
	f->id = id;
	f->stream = mem_strdup(stream);
	f->consumes = consumes;
	f->ops = ops;
	f->arg = arg;
	ev_timer_init(&f->again, on_again, ASK_AGAIN_S, 0.);
	f->again.data = f;
	LIST_INSERT_HEAD(&router.follows, f, entry);
	follow_ask(f);
	return f;
}

void
follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	if (router.link != NULL)
		link_put_unfollow(router.link,
		    &(struct ipc_unfollow){.id = f->id});
	ev_timer_stop(f->loop, &f->again);
	LIST_REMOVE(f, entry);
	pending_drop(f);
	parts_free(f);
	free(f->stream);
	free(f);
}

void *
follow_arg(const struct follow *f)
{
	return f->arg;
}

const char *
follow_stream(const struct follow *f)
{
	return f->stream;
}

bool
follow_is_current(const struct follow *f)
{
	return f->is_current;
}

uint64_t
follow_incarnation(const struct follow *f)
{
	return f->incarnation;
}

size_t
follow_parts(const struct follow *f)
{
	return f->part_count;
}

struct follow_part *
follow_part(const struct follow *f, size_t i)
{
	return &f->parts[i];
}

void
follow_consumed(const struct follow *f, struct follow_part *p,
    uint64_t offset)
{
	log_reader_forget(p->reader, offset);
	if (router.link != NULL && f->is_current)
		link_put_consumed(router.link, &(struct ipc_consumed){
		    .id = f->id, .partition = p->number, .offset = offset});
}
