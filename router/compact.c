#include "router/compact.h"

#include "base/mem.h"
#include "router/commit.h"
#include "router/log/log.h"
#include "router/queue.h"
#include "router/recipients.h"
#include "router/session.h"
#include "router/stream.h"

#include <stdlib.h>

#define LIVE_PERCENT 10u	/* of its records: below it is copied */
#define COPIES_MAX 100000u	/* records at once */

/* A message that a session still needs. */
struct live {
	uint64_t offset;
	uint64_t session, seq;
};

struct live_list {
	struct live *v;
	size_t len, cap;
};

static uint64_t
oldest_live(void)
{
	uint64_t oldest = QUEUE_NO_OFFSET, first;
	struct session *s;

	for (size_t i = 0; (s = sessions_next(&i)) != NULL;) {
		first = queue_first_offset(&s->queue);
		if (first < oldest)
			oldest = first;
	}
	return oldest;
}

static void
gather_session(struct live_list *l, struct session *s,
    const struct log_segment *seg)
{
	for (uint64_t seq = s->queue.floor; seq < s->queue.next; seq++) {
		const struct queue_entry *e = queue_find(&s->queue, seq);

		if (e == NULL || e->offset < seg->base_offset ||
		    e->offset >= seg->end_offset ||
		    (e->state != ENTRY_WAITING && e->state != ENTRY_SENT))
			continue;
		if (l->len == l->cap) {
			l->cap = l->cap == 0 ? 256 : l->cap * 2;
			l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
		}
		l->v[l->len++] = (struct live){e->offset, s->id, seq};
	}
}

static int
compare_live(const void *a, const void *b)
{
	const struct live *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void
gather_live(struct live_list *l, const struct log_segment *seg)
{
	struct session *s;

	for (size_t i = 0; (s = sessions_next(&i)) != NULL;)
		if (s->queue.count > 0)
			gather_session(l, s, seg);
	if (l->len > 0)
		qsort(l->v, l->len, sizeof(*l->v), compare_live);
}

static size_t
count_records(const struct live_list *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->len; i++)
		if (i == 0 || l->v[i].offset != l->v[i - 1].offset)
			n++;
	return n;
}

/*
 * One record again, for those n that still need it. False: there is no
 * space; it stays where it is.
 */
static bool
copy_record(struct log_partition *p, const struct live *l, size_t n,
    struct buf *to)
{
	struct recipient one;
	struct record rec, *copy;
	struct session *s;
	uint64_t offset;
	bool ok;

	if (log_read(p, l->offset, &rec) != LOG_READ_OK)
		return true;
	buf_clear(to);
	for (size_t i = 0; i < n; i++)
		if (recipients_find(
			rec.queues, l[i].session, l[i].seq, &one))
			recipients_copy(to, &one);
	copy = record_dup(&rec);
	copy->queues = buf_slice(to);
	ok = log_append(p, 0, 0, copy, &offset) == LOG_APPEND_OK;
	free(copy);
	for (size_t i = 0; ok && i < n; i++)
		if ((s = session_find(l[i].session)) != NULL) {
			queue_move(&s->queue, l[i].seq, offset);
			session_touch(s, SESSION_LAZY);
		}
	return ok;
}

static bool
copy_all(struct log_partition *p, const struct live_list *l)
{
	struct buf to = {0};
	bool ok = true;
	size_t n;

	for (size_t i = 0; ok && i < l->len; i += n) {
		for (n = 1; i + n < l->len &&
		     l->v[i + n].offset == l->v[i].offset; n++)
			;
		ok = copy_record(p, &l->v[i], n, &to);
	}
	buf_fini(&to);
	return ok;
}

/* The copies are committed: nobody needs the old segment. */
static void
after_copy(struct after *a)
{
	log_segment_drop(stream_queue(), a->seq);
}

static bool
copy_segment(struct log_partition *p, const struct log_segment *seg)
{
	struct live_list l = {0};
	uint64_t records = seg->end_offset - seg->base_offset;
	struct after *a;
	size_t n;
	bool ok = false;

	gather_live(&l, seg);
	n = count_records(&l);
	if (n * 100 < records * LIVE_PERCENT && n < COPIES_MAX &&
	    copy_all(p, &l)) {
		a = mem_zalloc(1, sizeof(*a));
		a->run = after_copy;
		a->seq = seg->base_offset;
		commit_after(a);
		commit_want_all();
		ok = true;
	}
	free(l.v);
	return ok;
}

void
compact_run(void)
{
	struct log_partition *p = stream_queue();
	uint64_t oldest = oldest_live(), high = log_high_watermark(p);
	struct log_segment seg;

	log_trim(p, oldest < high ? oldest : high);
	/* One segment at a time; the first is the front's. */
	for (size_t i = 0; log_segment_get(p, i, &seg); i++) {
		if (seg.is_active || seg.end_offset > high)
			return;
		if (seg.end_offset > log_start(p) && copy_segment(p, &seg))
			return;
	}
}
