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
	bool is_told;
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

enum step { STEP_MORE, STEP_DONE, STEP_WAIT };

static enum step
range_read(struct count *c, struct count_range *r, struct follow_part *p)
{
	struct log_range gap;
	struct record rec;

	if (log_reader_offset(p->reader) >= r->to)
		return STEP_DONE;
	switch (log_reader_next(p->reader, &rec, &gap)) {
	case LOG_READER_RECORD:
		if (rec.offset >= r->to)
			return STEP_DONE;
		r->readable += topics_match(r->topics, rec.topic) ? 1 : 0;
		return STEP_MORE;
	case LOG_READER_DAMAGED:
		if (gap.first >= r->to)
			return STEP_DONE;
		if (r->damaged == 0)
			r->damage_first = gap.first;
		r->damage_last = gap.last;
		r->damaged += gap.records;
		return STEP_MORE;
	case LOG_READER_TRIMMED:
		return STEP_MORE;
	case LOG_READER_END:
		return follow_more(c->follow, p, false) ? STEP_WAIT :
		    STEP_DONE;
	case LOG_READER_NEED_SEGMENT:
		return follow_more(c->follow, p, true) ? STEP_WAIT :
		    STEP_DONE;
	case LOG_READER_FAILED:
		break;
	}
	return STEP_DONE;
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

/* One record, or on to the next range; DONE: all is counted. */
static enum step
count_step(struct count *c)
{
	struct count_range *r;
	struct follow_part *p;
	enum step step;

	if (c->at == c->n)
		return STEP_DONE;
	r = &c->ranges[c->at];
	p = follow_part_find(c->follow, r->partition);
	if (!c->is_begun)
		c->is_begun = range_begin(c, r);
	step = c->is_begun && p != NULL ? range_read(c, r, p) : STEP_DONE;
	if (step != STEP_DONE)
		return step;
	c->is_begun = false;
	c->at++;
	return STEP_MORE;
}

static void
count_wait(struct count *c, void (*cb)(struct ev_loop *, ev_timer *, int),
    double seconds)
{
	ev_timer_stop(worker.sink.loop, &c->timer);
	ev_timer_init(&c->timer, cb, seconds, 0.);
	c->timer.data = c;
	ev_timer_start(worker.sink.loop, &c->timer);
}

static void
on_step(struct ev_loop *loop, ev_timer *w, int events)
{
	uint64_t until = clock_mono_us() + STEP_US;
	struct count *c = w->data;
	unsigned i;

	(void)loop;
	(void)events;
	do {
		for (i = 0; i < 64; i++)
			switch (count_step(c)) {
			case STEP_MORE:
				break;
			case STEP_DONE:
				count_end(c, NULL);
				return;
			case STEP_WAIT:
				count_wait(c, on_wait, WAIT_S);
				return;
			}
	} while (clock_mono_us() < until);
	count_wait(c, on_step, STEP_PAUSE_S);
}

/* Told for the first time, or further segments have come. */
static void
count_is_told(struct follow *f, bool is_new)
{
	struct count *c = follow_arg(f);

	/* Made anew meanwhile: what was counted is of the old one. */
	if (is_new && c->is_told)
		c->at = c->n;
	c->is_told = true;
	count_wait(c, on_step, 0.);
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
	count_wait(c, on_step, 0.);
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
	count_wait(c, on_wait, WAIT_S);
	c->follow = follow_new(worker.sink.loop, next_id++, worker.stream,
	    false, &ops, c);
	return c;
}
