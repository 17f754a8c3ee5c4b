#include "base/clock.h"
#include "base/log.h"
#include "connector-worker/worker.h"
#include "ipc/proc.h"

#include <stdio.h>

/* How much one turn of the loop reads, so that others get theirs. */
#define TURN_RECORDS 4096
/* A run without a record for the target is committed this seldom. */
#define EMPTY_RUN_MS 1000
#define EMPTY_RUN_OFFSETS 1000000
/* Settled batches that may wait behind an earlier one. */
#define SETTLED_MAX 10000

static void
part_seal(struct part *p, uint64_t end)
{
	struct batch *b = p->open;

	p->open = NULL;
	batch_seal(b, end);
	*p->last = b;
	p->last = &b->after;
	flow_add(worker.flow, b);
}

static struct batch *
part_open(struct part *p, uint64_t now_ms)
{
	if (p->open != NULL)
		return p->open;
	p->open = batch_new(worker.incarnation, p->number, p->position,
	    now_ms);
	/* What was cut for the target before is cut again at that place. */
	p->bounds_end = worker.sink.type->caps.keys_batch ?
	    store_bounds(worker.store, worker.incarnation, p->number,
	    p->position) : 0;
	return p->open;
}

static bool
part_is_full(const struct part *p)
{
	const struct batch *b = p->open;

	if (b == NULL)
		return false;
	if (p->bounds_end != 0)
		return p->position >= p->bounds_end;
	return b->count >= worker.d->max_records ||
	    b->bytes >= worker.d->max_bytes ||
	    p->position - b->first >= EMPTY_RUN_OFFSETS;
}

static uint64_t
part_due(const struct part *p)
{
	uint64_t wait;

	if (p->open == NULL || (p->bounds_end != 0 && !part_is_full(p)))
		return UINT64_MAX;
	wait = p->open->tally.matched > 0 ? worker.d->linger_ms : EMPTY_RUN_MS;
	return p->open->opened_ms + wait;
}

/*
 * A run does not go across the beginning of a segment: there the ledger is
 * marked, so that it can still be recounted when older segments are gone.
 */
static bool
part_cut_at_segment(struct part *p, const struct follow_part *fp,
    uint64_t offset)
{
	uint64_t after = p->position == 0 ? 0 : p->position - 1;
	uint64_t base = follow_part_base(fp, after, offset);

	if (base == 0)
		return false;
	p->position = base;
	if (p->open != NULL && p->open->first < base)
		part_seal(p, base);
	return true;
}

static void
part_take_record(struct part *p, const struct follow_part *fp,
    const struct record *rec, uint64_t now_ms)
{
	bool begins = part_cut_at_segment(p, fp, rec->offset);
	struct batch *b;
	struct item *it;

	if (p->open != NULL && p->bounds_end != 0 &&
	    rec->offset >= p->bounds_end) {
		p->position = p->bounds_end;
		part_seal(p, p->position);
	}
	b = part_open(p, now_ms);
	b->begins_segment |= begins;
	if (topics_match(worker.topics, rec->topic)) {
		/* The wait for more begins with the first record. */
		if (b->count == 0)
			b->opened_ms = now_ms;
		it = batch_add(b, rec);
		it->rec.stream = slice_str(worker.stream);
	}
	p->position = rec->offset + 1;
}

static void
part_take_range(struct part *p, const struct log_range *range,
    bool is_damaged, uint64_t now_ms)
{
	struct batch *b = part_open(p, now_ms);
	char text[256];

	b->tally.matched += range->records;
	if (is_damaged)
		b->tally.damaged += range->records;
	else
		b->tally.expired += range->records;
	p->position = range->last + 1;
	snprintf(text, sizeof(text), "%s: offsets %llu to %llu of stream %s, "
	    "partition %u, %s", worker.name,
	    (unsigned long long)range->first, (unsigned long long)range->last,
	    worker.stream, p->number, is_damaged ?
	    "are damaged in the log and were skipped" :
	    "were removed by retention before they were read");
	log_error("%s", text);
	proc_degraded(is_damaged ? "damaged" : "expired", text);
}

/* True while there may be more to read. */
static bool
part_read(struct part *p, struct follow_part *fp, uint64_t now_ms)
{
	struct log_range range;
	struct record rec;

	switch (log_reader_next(fp->reader, &rec, &range)) {
	case LOG_READER_RECORD:
		part_take_record(p, fp, &rec, now_ms);
		return true;
	case LOG_READER_DAMAGED:
		part_take_range(p, &range, true, now_ms);
		return true;
	case LOG_READER_TRIMMED:
		part_take_range(p, &range, false, now_ms);
		return true;
	case LOG_READER_END:
		follow_more(worker.follow, fp, false);
		break;
	case LOG_READER_NEED_SEGMENT:
		if (!follow_more(worker.follow, fp, true))
			log_limited(LOG_WARN, "%s: stream %s, partition %u: "
			    "the router has no segment for offset %llu",
			    worker.name, worker.stream, p->number,
			    (unsigned long long)range.first);
		break;
	case LOG_READER_FAILED:
		log_limited(LOG_ERROR, "%s: stream %s, partition %u, offset "
		    "%llu: %s", worker.name, worker.stream, p->number,
		    (unsigned long long)range.first, strerror(range.error));
		break;
	}
	return false;
}

static bool
part_fill(struct part *p, struct follow_part *fp, unsigned *budget,
    uint64_t now_ms)
{
	bool has_moved = false, has_more = true;

	while (has_more && *budget > 0) {
		if (part_is_full(p)) {
			if (!flow_wants(worker.flow))
				return has_moved;
			part_seal(p, p->position);
			has_moved = true;
		}
		if (p->open == NULL && !flow_wants(worker.flow))
			return has_moved;
		has_more = part_read(p, fp, now_ms);
		has_moved |= has_more;
		--*budget;
	}
	if (part_due(p) <= now_ms && flow_wants(worker.flow)) {
		part_seal(p, p->position);
		has_moved = true;
	}
	if (!has_moved && p->open == NULL)
		log_reader_trim(fp->reader);
	return has_moved;
}

bool
fill_turn(uint64_t now_ms)
{
	unsigned budget = TURN_RECORDS;
	bool has_moved = false;
	struct follow_part *fp;
	struct part *p;
	size_t i;

	if (worker.is_paused || worker.is_stopping ||
	    worker.settled_count > SETTLED_MAX)
		return false;
	for (i = 0; i < worker.part_count; i++) {
		p = &worker.parts[(worker.part_turn + i) % worker.part_count];
		fp = follow_part_find(worker.follow, p->number);
		if (fp != NULL)
			has_moved |= part_fill(p, fp, &budget, now_ms);
	}
	if (worker.part_count > 0)
		worker.part_turn = (worker.part_turn + 1) % worker.part_count;
	return has_moved;
}

uint64_t
fill_due(void)
{
	uint64_t due = UINT64_MAX, at;
	size_t i;

	if (worker.is_paused || worker.is_stopping ||
	    !flow_wants(worker.flow))
		return due;
	for (i = 0; i < worker.part_count; i++) {
		at = part_due(&worker.parts[i]);
		if (at < due)
			due = at;
	}
	return due;
}
