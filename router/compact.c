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
#define COPIES_PER_TICK 2000u	/* records; the loop has other things to do */

/* A message that a session still needs. */
struct live {
	uint64_t offset;
	uint64_t session, seq;
};

/* The segment that is being copied forward. */
static struct {
	bool is_busy;		/* until its copies are committed */
	uint64_t serial;	/* which one: an answer may be a late one */
	uint64_t base_offset;
	struct live *v;
	size_t len, cap, at;
} copying;

/* How much of a segment is live. */
struct share {
	struct log_segment seg;
	uint8_t *bits;		/* per offset */
	uint64_t live;
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

static bool
is_needed(const struct queue_entry *e)
{
	return e != NULL &&
	    (e->state == ENTRY_WAITING || e->state == ENTRY_SENT);
}

/* ---- which one ---------------------------------------------------------- */

static struct share *
share_of(struct share *shares, size_t n, uint64_t offset)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t i = low + (high - low) / 2;

		if (offset >= shares[i].seg.end_offset)
			low = i + 1;
		else
			high = i;
	}
	return low < n && offset >= shares[low].seg.base_offset ?
	    &shares[low] : NULL;
}

static void
count_session(struct share *shares, size_t n, const struct session *s)
{
	for (uint64_t seq = s->queue.floor; seq < s->queue.next; seq++) {
		const struct queue_entry *e = queue_find(&s->queue, seq);
		struct share *h;
		uint64_t at;

		if (!is_needed(e) ||
		    (h = share_of(shares, n, e->offset)) == NULL)
			continue;
		at = e->offset - h->seg.base_offset;
		if ((h->bits[at / 8] & 1u << at % 8) != 0)
			continue;
		h->bits[at / 8] |= (uint8_t)(1u << at % 8);
		h->live++;
	}
}

/* Those that are written to no more and wholly committed. */
static size_t
shares_init(struct log_partition *p, struct share **shares)
{
	uint64_t high = log_high_watermark(p);
	struct log_segment seg;
	size_t n = 0;

	*shares = NULL;
	for (size_t i = 0; log_segment_get(p, i, &seg); i++) {
		if (seg.is_active || seg.end_offset > high)
			break;
		if (seg.end_offset <= log_start(p) ||
		    seg.end_offset == seg.base_offset)
			continue;
		*shares =
		    mem_realloc(*shares, (n + 1) * sizeof(struct share));
		(*shares)[n++] = (struct share){.seg = seg,
		    .bits = mem_zalloc(
			(seg.end_offset - seg.base_offset) / 8 + 1, 1)};
	}
	return n;
}

/* The oldest one that is hardly live. */
static bool
choose(struct log_partition *p, struct log_segment *seg)
{
	struct share *shares;
	size_t n = shares_init(p, &shares);
	struct session *s;
	bool found = false;

	for (size_t i = 0; n > 0 && (s = sessions_next(&i)) != NULL;)
		if (s->queue.count > 0)
			count_session(shares, n, s);
	for (size_t i = 0; i < n; i++) {
		const struct log_segment *g = &shares[i].seg;

		if (!found && shares[i].live * 100 <
			(g->end_offset - g->base_offset) * LIVE_PERCENT) {
			*seg = *g;
			found = true;
		}
		free(shares[i].bits);
	}
	free(shares);
	return found;
}

/* ---- copying ------------------------------------------------------------ */

static void
gather_session(struct session *s, const struct log_segment *seg)
{
	for (uint64_t seq = s->queue.floor; seq < s->queue.next; seq++) {
		const struct queue_entry *e = queue_find(&s->queue, seq);

		if (!is_needed(e) || e->offset < seg->base_offset ||
		    e->offset >= seg->end_offset)
			continue;
		if (copying.len == copying.cap) {
			copying.cap = copying.cap == 0 ? 256 :
			    copying.cap * 2;
			copying.v = mem_realloc(copying.v,
			    copying.cap * sizeof(*copying.v));
		}
		copying.v[copying.len++] =
		    (struct live){e->offset, s->id, seq};
	}
}

static int
compare_live(const void *a, const void *b)
{
	const struct live *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void
copy_begin(const struct log_segment *seg)
{
	struct session *s;

	copying.is_busy = true;
	copying.serial++;
	copying.base_offset = seg->base_offset;
	copying.len = copying.at = 0;
	for (size_t i = 0; (s = sessions_next(&i)) != NULL;)
		if (s->queue.count > 0)
			gather_session(s, seg);
	if (copying.len > 0)
		qsort(copying.v, copying.len, sizeof(*copying.v),
		    compare_live);
}

/* Whether it is still needed, there. */
static bool
is_current(const struct live *l)
{
	struct session *s = session_find(l->session);
	const struct queue_entry *e =
	    s == NULL ? NULL : queue_find(&s->queue, l->seq);

	return is_needed(e) && e->offset == l->offset;
}

/*
 * One record again, for those of the n that still need it. False: there is
 * no space; it stays where it is.
 */
static bool
copy_record(struct log_partition *p, const struct live *l, size_t n)
{
	struct buf to = {0};
	struct recipient one;
	struct record rec, *copy;
	uint64_t offset;
	bool ok = true;

	if (log_read(p, l->offset, &rec) != LOG_READ_OK)
		return true;
	for (size_t i = 0; i < n; i++)
		if (is_current(&l[i]) && recipients_find(rec.queues,
			l[i].session, l[i].seq, &one))
			recipients_copy(&to, &one);
	if (buf_len(&to) > 0) {
		copy = record_dup(&rec);
		copy->queues = buf_slice(&to);
		ok = log_append(p, 0, 0, copy, &offset) == LOG_APPEND_OK;
		free(copy);
		for (size_t i = 0; ok && i < n; i++) {
			struct session *s = session_find(l[i].session);

			if (!is_current(&l[i]))
				continue;
			queue_move(&s->queue, l[i].seq, offset);
			session_touch(s, SESSION_LAZY);
		}
	}
	buf_fini(&to);
	return ok;
}

static void
copy_end(void)
{
	free(copying.v);
	copying.v = NULL;
	copying.cap = copying.len = 0;
	copying.is_busy = false;
}

/* The copies never came to be: back to where the messages still are. */
void
compact_refused(uint64_t first, uint64_t end)
{
	if (!copying.is_busy)
		return;
	for (size_t i = 0; i < copying.at && i < copying.len; i++) {
		const struct live *l = &copying.v[i];
		struct session *s = session_find(l->session);
		const struct queue_entry *e =
		    s == NULL ? NULL : queue_find(&s->queue, l->seq);

		if (e != NULL && e->offset >= first && e->offset < end)
			queue_move(&s->queue, l->seq, l->offset);
	}
	copy_end();
}

/* The copies are committed: nobody needs the old segment. */
static void
after_copy(struct after *a)
{
	if (!copying.is_busy || copying.serial != a->epoch)
		return;
	log_segment_drop(stream_queue(), a->seq);
	copy_end();
}

void
compact_step(void)
{
	struct log_partition *p = stream_queue();
	struct after *a;
	size_t n;

	if (!copying.is_busy || copying.at > copying.len)
		return;
	for (unsigned i = 0;
	     i < COPIES_PER_TICK && copying.at < copying.len; i++) {
		const struct live *l = &copying.v[copying.at];

		for (n = 1; copying.at + n < copying.len &&
		     l[n].offset == l->offset; n++)
			;
		if (!copy_record(p, l, n)) {
			copy_end();
			return;
		}
		copying.at += n;
	}
	if (copying.at < copying.len)
		return;
	copying.at = copying.len + 1;
	a = mem_zalloc(1, sizeof(*a));
	a->run = after_copy;
	a->seq = copying.base_offset;
	a->epoch = copying.serial;
	commit_after(a);
	commit_want_all();
}

void
compact_run(void)
{
	struct log_partition *p = stream_queue();
	uint64_t oldest, high = log_high_watermark(p);
	struct log_segment seg;

	/* Only whole segments go. */
	if (copying.is_busy || !log_segment_get(p, 0, &seg) || seg.is_active)
		return;
	oldest = oldest_live();
	log_trim(p, oldest < high ? oldest : high);
	if (choose(p, &seg))
		copy_begin(&seg);
}
