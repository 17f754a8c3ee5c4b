#include "admin-server/stream_read.h"

#include "admin-server/router_link.h"
#include "admin-server/serve.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/log_reader.h"
#include "base/mem.h"
#include "base/record_json.h"
#include "base/units.h"
#include "ipc/proc.h"

#include <stdlib.h>
#include <unistd.h>

#define FOLLOW_S 10.		/* until the router must have answered */
#define READERS_MAX 32		/* requests at once: each holds segments */
#define LINES_PER_TURN 2000

/* A segment that came before the frame that names the incarnation. */
struct segment {
	struct segment *next;
	uint32_t partition;
	uint64_t base_offset;
	int fd;
};

struct partition {
	uint32_t number;
	struct log_reader *log;
	uint64_t position;	/* for the next router */
	bool has_position;
	bool is_done;		/* at its end, and not followed */
};

struct reader {
	struct reader *next, **prev;
	struct exchange *x;
	uint32_t id;
	char *stream;
	char *from;
	bool follows;
	bool has_limit;
	uint64_t left;
	int64_t only;		/* partition, -1 = all */
	uint64_t incarnation;	/* 0: not known yet */
	bool is_asked;		/* of this router */
	struct segment *segments;
	struct partition *v;
	size_t n;
	ev_timer timer;		/* until following; then: pump again */
};

static struct {
	struct reader *first;
	size_t count;
	uint32_t next_id;
} readers = {.next_id = 1};

static void reader_pump(struct reader *r);

static struct reader *
reader_find(uint32_t id)
{
	struct reader *r;

	for (r = readers.first; r != NULL; r = r->next)
		if (r->id == id)
			break;
	return r;
}

/* Gives up what came from a router, keeps the positions. */
static void
reader_drop_logs(struct reader *r)
{
	struct segment *s;

	while ((s = r->segments) != NULL) {
		r->segments = s->next;
		close(s->fd);
		free(s);
	}
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].log == NULL)
			continue;
		r->v[i].position = log_reader_offset(r->v[i].log);
		r->v[i].has_position = true;
		log_reader_free(r->v[i].log);
		r->v[i].log = NULL;
	}
	r->is_asked = false;
}

static void
reader_free(struct reader *r)
{
	struct link *l = router_link_get();

	if (r->is_asked && l != NULL)
		link_put_unfollow(l, &(struct ipc_unfollow){.id = r->id});
	reader_drop_logs(r);
	ev_timer_stop(proc_loop(), &r->timer);
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	readers.count--;
	free(r->v);
	free(r->stream);
	free(r->from);
	free(r);
}

static void
on_gone(struct exchange *x)
{
	reader_free(x->state);
}

/* The exchange goes on without its reader: to be answered by the caller. */
static struct exchange *
reader_leave(struct reader *r)
{
	struct exchange *x = r->x;

	x->on_gone = NULL;
	x->on_drain = NULL;
	reader_free(r);
	return x;
}

static void
reader_end(struct reader *r)
{
	exchange_end(reader_leave(r));
}

/* ---- following --------------------------------------------------------------- */

static void
reader_follow(struct reader *r)
{
	struct link *l = router_link_get();

	if (!router_link_is_up() || r->is_asked)
		return;
	r->is_asked = true;
	link_put_follow(l, &(struct ipc_follow){.id = r->id,
	    .stream = slice_str(r->stream), .consumes = 0});
}

void
stream_read_on_router(void)
{
	for (struct reader *r = readers.first; r != NULL; r = r->next)
		reader_follow(r);
}

void
stream_read_on_router_gone(void)
{
	for (struct reader *r = readers.first; r != NULL; r = r->next)
		reader_drop_logs(r);
}

void
stream_read_on_segment(const struct ipc_segment *m, int fd)
{
	struct reader *r = reader_find(m->id);
	struct segment *s;

	if (r == NULL) {
		close(fd);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].number == m->partition && r->v[i].log != NULL) {
			log_reader_add_segment(r->v[i].log, m->base_offset, fd);
			return;
		}
	s = mem_alloc(sizeof(*s));
	*s = (struct segment){r->segments, m->partition, m->base_offset, fd};
	r->segments = s;
}

void
stream_read_on_segment_gone(const struct ipc_segment_gone *m)
{
	struct reader *r = reader_find(m->id);

	for (size_t i = 0; r != NULL && i < r->n; i++)
		if (r->v[i].number == m->partition && r->v[i].log != NULL)
			log_reader_remove_segment(r->v[i].log, m->base_offset);
}

/* The segments of a partition that came before it was known. */
static void
partition_take_segments(struct reader *r, struct partition *p)
{
	struct segment **at = &r->segments, *s;

	while ((s = *at) != NULL) {
		if (s->partition != p->number) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		log_reader_add_segment(p->log, s->base_offset, s->fd);
		free(s);
	}
}

static void
partition_seek(const struct reader *r, struct partition *p,
    const struct ipc_partition_item *item)
{
	int64_t v;

	if (p->has_position)
		log_reader_seek(p->log, p->position);
	else if (strcmp(r->from, "latest") == 0)
		log_reader_seek(p->log, item->high_watermark);
	else if (int_parse(r->from, &v))
		log_reader_seek(p->log, (uint64_t)v);
	else if (time_parse(r->from, &v))
		log_reader_seek_time(p->log, v);
	else
		log_reader_seek(p->log, item->log_start);
}

static struct partition *
partition_get(struct reader *r, uint32_t number)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].number == number)
			return &r->v[i];
	r->v = mem_realloc(r->v, (r->n + 1) * sizeof(*r->v));
	r->v[r->n] = (struct partition){.number = number};
	return &r->v[r->n++];
}

static void
partition_open(struct reader *r, const struct ipc_partition_item *item)
{
	struct partition *p;

	if (r->only >= 0 && (uint32_t)r->only != item->partition)
		return;
	p = partition_get(r, item->partition);
	if (p->log != NULL)
		return;
	p->log = log_reader_new(r->stream, r->incarnation, p->number);
	partition_take_segments(r, p);
	log_reader_set_bounds(p->log, item->log_start, item->high_watermark);
	partition_seek(r, p, item);
}

/* False: it was ended. */
static bool
reader_begin(struct reader *r, const struct ipc_following *m)
{
	if (m->reason != 0) {
		exchange_error(reader_leave(r), 404, "not_found",
		    "there is no stream of that name");
		return false;
	}
	ev_timer_stop(proc_loop(), &r->timer);
	if (r->incarnation == 0)
		exchange_begin(r->x, "application/x-ndjson");
	r->incarnation = m->incarnation;
	return true;
}

bool
stream_read_on_following(const struct ipc_following *m)
{
	struct reader *r = reader_find(m->id);
	struct ipc_list list = m->partitions;
	struct ipc_partition_item item;
	int got;

	if (r == NULL)
		return true;
	if (r->incarnation != 0 &&
	    (m->reason != 0 || m->incarnation != r->incarnation)) {
		reader_end(r);		/* another stream of that name */
		return true;
	}
	if (!reader_begin(r, m))
		return true;
	while ((got = ipc_next_partition_item(&list, &item)) == 1)
		partition_open(r, &item);
	if (got == 0)
		reader_pump(r);
	return got == 0;
}

bool
stream_read_on_watermark(const struct ipc_watermark *m)
{
	struct reader *r = reader_find(m->id);
	struct ipc_list list = m->partitions;
	struct ipc_partition_item item;
	int got;

	while ((got = ipc_next_partition_item(&list, &item)) == 1)
		for (size_t i = 0; r != NULL && i < r->n; i++)
			/* Who does not follow reads to where it began. */
			if (r->v[i].number == item.partition &&
			    r->v[i].log != NULL && r->follows)
				log_reader_set_bounds(r->v[i].log,
				    item.log_start, item.high_watermark);
	if (r != NULL && r->incarnation != 0 && got == 0)
		reader_pump(r);
	return got == 0;
}

void
stream_read_on_gone(uint32_t id)
{
	struct reader *r = reader_find(id);

	if (r != NULL && r->incarnation != 0)
		reader_end(r);
}

/* ---- reading ---------------------------------------------------------------- */

static void
add_record(struct buf *out, const struct record *record)
{
	struct slice value = SLICE_NULL;

	if (!json_value(record->payload, &value))
		value = SLICE_NULL;
	record_json_add(out, record, value);
	buf_add_str(out, "\n");
}

static void
add_range(struct buf *out, const char *what, const struct partition *p,
    const struct log_range *range)
{
	buf_addf(out, "{\"%s\":{\"partition\":%u,\"first\":%llu,"
	    "\"last\":%llu}}\n", what, p->number,
	    (unsigned long long)range->first, (unsigned long long)range->last);
}

/* True while there may be more of this partition at once. */
static bool
partition_read(struct reader *r, struct partition *p, struct buf *out)
{
	struct record record;
	struct log_range range;

	switch (log_reader_next(p->log, &record, &range)) {
	case LOG_READER_RECORD:
		add_record(out, &record);
		if (r->has_limit)
			r->left--;
		return true;
	case LOG_READER_DAMAGED:
		add_range(out, "damaged", p, &range);
		return true;
	case LOG_READER_TRIMMED:
		add_range(out, "trimmed", p, &range);
		return true;
	case LOG_READER_END:
	case LOG_READER_NEED_SEGMENT:
		break;
	case LOG_READER_FAILED:
		add_range(out, "failed", p, &range);
		p->is_done = true;
		break;
	}
	p->is_done = p->is_done || !r->follows;
	log_reader_trim(p->log);
	return false;
}

static bool
reader_has_all(const struct reader *r)
{
	if (r->has_limit && r->left == 0)
		return true;
	for (size_t i = 0; i < r->n; i++)
		if (!r->v[i].is_done)
			return false;
	return true;
}

static void
on_turn(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	reader_pump(w->data);
}

/* Lets other clients have their turn, then goes on. */
static void
reader_yield(struct reader *r)
{
	ev_timer_stop(proc_loop(), &r->timer);
	ev_timer_init(&r->timer, on_turn, 0., 0.);
	r->timer.data = r;
	ev_timer_start(proc_loop(), &r->timer);
}

static void
reader_pump(struct reader *r)
{
	struct buf out;
	unsigned lines = 0;
	bool more = true;

	if (exchange_backlog(r->x) >= EXCHANGE_BACKLOG)
		return;		/* on_drain comes back here */
	buf_init(&out);
	for (size_t i = 0; i < r->n && more; i++) {
		if (r->v[i].log == NULL || r->v[i].is_done)
			continue;
		while ((more = lines < LINES_PER_TURN &&
		    buf_len(&out) < EXCHANGE_BACKLOG &&
		    (!r->has_limit || r->left > 0)) &&
		    partition_read(r, &r->v[i], &out))
			lines++;
		log_reader_forget(r->v[i].log,
		    log_reader_offset(r->v[i].log));
	}
	exchange_add(r->x, buf_slice(&out));
	buf_fini(&out);
	if (reader_has_all(r))
		reader_end(r);
	else if (!more)
		reader_yield(r);
}

static void
on_drain(struct exchange *x)
{
	struct reader *r = x->state;

	if (r->incarnation != 0)
		reader_pump(r);
}

static void
on_no_router(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	exchange_error(reader_leave(w->data), 503, "not_running",
	    "the router did not answer: see `bulkhead status`");
}

static bool
from_is_valid(const char *from)
{
	int64_t v;

	return strcmp(from, "earliest") == 0 || strcmp(from, "latest") == 0 ||
	    (int_parse(from, &v) && v >= 0) || time_parse(from, &v);
}

void
serve_stream_read(struct exchange *x)
{
	const char *from = json_get_str(x->args, "from", "earliest");
	struct reader *r;

	if (!from_is_valid(from)) {
		exchange_error(x, 400, "invalid", "from must be earliest, "
		    "latest, an offset or an RFC 3339 time");
		return;
	}
	if (readers.count == READERS_MAX) {
		exchange_error(x, 503, "busy", "%d streams are being read: "
		    "try again", READERS_MAX);
		return;
	}
	r = mem_zalloc(1, sizeof(*r));
	r->x = x;
	r->id = readers.next_id++;
	r->stream = mem_strdup(json_get_str(x->args, "name", ""));
	r->from = mem_strdup(from);
	r->follows = json_get_bool(x->args, "follow", false);
	r->has_limit = json_member(x->args, "limit") != NULL;
	r->left = json_get_u64(x->args, "limit", 0);
	r->only = json_member(x->args, "partition") == NULL ? -1 :
	    (int64_t)json_get_u64(x->args, "partition", 0);
	r->next = readers.first;
	r->prev = &readers.first;
	if (r->next != NULL)
		r->next->prev = &r->next;
	readers.first = r;
	readers.count++;
	x->state = r;
	x->on_gone = on_gone;
	x->on_drain = on_drain;
	ev_timer_init(&r->timer, on_no_router, FOLLOW_S, 0.);
	r->timer.data = r;
	ev_timer_start(proc_loop(), &r->timer);
	reader_follow(r);
}
