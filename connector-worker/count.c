#include "connector-worker/count.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define STEP_US 3000
#define STEP_PAUSE_S 0.002
#define WAIT_S 10.

struct count {
	struct follow *follow;
	struct count_range *ranges;
	size_t n, at;
	bool is_begun;			/* the range at `at` */
	void (*done)(void *, const char *);
	void *arg;
	ev_timer timer;
};

static uint32_t next_id = 2;

static void
count_end(struct count *c, const char *fault)
{
	void (*done)(void *, const char *) = c->done;
	void *arg = c->arg;

	ev_timer_stop(worker.sink.loop, &c->timer);
	follow_free(c->follow);
	free(c);
	done(arg, fault);
}

static void
on_wait(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	count_end(w->data, "the router did not tell the stream in time");
}

/* False: nothing more of this range. */
static bool
range_read(struct count_range *r, struct log_reader *reader)
{
	struct log_range gap;
	struct record rec;

	if (log_reader_offset(reader) >= r->to)
		return false;
	switch (log_reader_next(reader, &rec, &gap)) {
	case LOG_READER_RECORD:
		if (rec.offset >= r->to)
			return false;
		r->readable += topics_match(r->topics, rec.topic) ? 1 : 0;
		return true;
	case LOG_READER_DAMAGED:
		if (gap.first >= r->to)
			return false;
		r->damaged += gap.records;
		return true;
	case LOG_READER_TRIMMED:
		return true;
	case LOG_READER_END:
	case LOG_READER_NEED_SEGMENT:
	case LOG_READER_FAILED:
		break;
	}
	return false;
}

static bool
range_begin(struct count *c, struct count_range *r)
{
	struct follow_part *p = follow_part_find(c->follow, r->partition);

	if (p == NULL || r->incarnation != follow_incarnation(c->follow))
		return false;
	r->is_known = true;
	r->log_start = p->log_start;
	r->high_watermark = p->high_watermark;
	if (r->to > p->high_watermark)
		r->to = p->high_watermark;
	log_reader_seek(p->reader, r->from > p->log_start ? r->from :
	    p->log_start);
	return true;
}

/* One record, or on to the next range; false: all is counted. */
static bool
count_step(struct count *c)
{
	struct count_range *r;
	struct follow_part *p;

	if (c->at == c->n)
		return false;
	r = &c->ranges[c->at];
	if (!c->is_begun && !range_begin(c, r)) {
		c->at++;
		return true;
	}
	c->is_begun = true;
	p = follow_part_find(c->follow, r->partition);
	if (p != NULL && range_read(r, p->reader))
		return true;
	c->is_begun = false;
	c->at++;
	return true;
}

static void
on_step(struct ev_loop *loop, ev_timer *w, int events)
{
	uint64_t until = clock_mono_us() + STEP_US;
	struct count *c = w->data;
	unsigned i;

	(void)events;
	do {
		for (i = 0; i < 64; i++)
			if (!count_step(c)) {
				count_end(c, NULL);
				return;
			}
	} while (clock_mono_us() < until);
	ev_timer_set(w, STEP_PAUSE_S, 0.);
	ev_timer_start(loop, w);
}

static void
count_is_told(struct follow *f, bool is_new)
{
	struct count *c = follow_arg(f);

	if (!is_new)
		return;
	ev_timer_stop(worker.sink.loop, &c->timer);
	c->at = 0;
	c->is_begun = false;
	ev_timer_init(&c->timer, on_step, 0., 0.);
	c->timer.data = c;
	ev_timer_start(worker.sink.loop, &c->timer);
}

static void
count_ignores(struct follow *f)
{
	(void)f;
}

/* No such stream: every range is unknown. */
static void
count_is_missing(struct follow *f)
{
	struct count *c = follow_arg(f);

	c->at = c->n;
	count_is_told(f, true);
	c->at = c->n;
}

static const struct follow_ops ops = {count_is_told, count_ignores,
    count_is_missing};

struct count *
count_start(struct count_range *ranges, size_t n,
    void (*done)(void *, const char *), void *arg)
{
	struct count *c;

	if (!router_is_attached()) {
		done(arg, "the router is not running");
		return NULL;
	}
	c = mem_zalloc(1, sizeof(*c));
	c->ranges = ranges;
	c->n = n;
	c->done = done;
	c->arg = arg;
	ev_timer_init(&c->timer, on_wait, WAIT_S, 0.);
	c->timer.data = c;
	ev_timer_start(worker.sink.loop, &c->timer);
	c->follow = follow_new(worker.sink.loop, next_id++, worker.stream,
	    false, &ops, c);
	return c;
}
