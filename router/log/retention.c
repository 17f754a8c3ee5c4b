#include "router/log/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/*
 * Only whole segments go, so an active one must end in time: at an eighth of
 * what is kept, but not so early that there would be thousands of files.
 */
#define ROLL_PART 8
#define ROLL_MS_MIN 10000u
#define ROLL_BYTES_MIN ((uint64_t)1 << 20)

/* ---- removal ------------------------------------------------------------ */

/* The i-th segment, sealed, and its file. */
static void
segment_retire(struct log_partition *p, size_t i)
{
	struct log_store *s = p->stream->store;
	const struct log_events *events = s->options.events;
	uint64_t base = p->segments[i].base_offset;
	char name[LOG_SEGMENT_NAME];

	log_segment_name(name, base);
	removals_add(&s->removals, 0, "%s/%" PRIu32 "/%s", p->stream->name,
	    p->index, name);
	segment_remove(p, i);
	if (events != NULL && events->on_segment_gone != NULL)
		events->on_segment_gone(s->options.owner, p, base);
}

static void
start_move(struct log_partition *p, uint64_t to)
{
	if (to <= p->log_start)
		return;
	p->log_start = to;
	p->stream->store->has_moved_start = true;
}

/* Removes what lies wholly below log start. */
static void
partition_trim(struct log_partition *p)
{
	while (p->segments_len > 1 &&
	    p->segments[1].base_offset <= p->log_start)
		segment_retire(p, 0);
}

/* Begins a new segment with the next commit, so that this one can go. */
static void
partition_roll(struct log_partition *p)
{
	const struct segment *active = segment_active(p);

	if (active == NULL || active->bytes == 0 || p->must_roll)
		return;
	p->wants_roll = true;
	partition_dirty(p);
}

void
log_trim(struct log_partition *p, uint64_t upto)
{
	const struct segment *active = segment_active(p);

	if (upto > p->high_watermark)
		upto = p->high_watermark;
	start_move(p, upto);
	partition_trim(p);
	if (active != NULL && p->log_start == p->written_end &&
	    segment_active(p)->bytes >= ROLL_BYTES_MIN)
		partition_roll(p);
}

bool
log_segment_drop(struct log_partition *p, uint64_t base_offset)
{
	for (size_t i = 0; i + 1 < p->segments_len; i++) {
		if (p->segments[i].base_offset != base_offset)
			continue;
		/* Recovery would take the hole for damage. */
		if (p->segments[i + 1].base_offset >= p->checkpoint_offset)
			return false;
		if (i == 0)
			start_move(p, p->segments[1].base_offset);
		segment_retire(p, i);
		return true;
	}
	return false;
}

/* ---- time and size ------------------------------------------------------ */

/* When the last record of the first segment was taken, about. */
static int64_t
first_end_ms(struct log_partition *p)
{
	int64_t ms = segment_first_ms(p, &p->segments[1]);
	char name[LOG_SEGMENT_NAME];
	struct stat st;

	if (ms >= 0)
		return ms;
	log_segment_name(name, p->segments[0].base_offset);
	if (fstatat(p->dirfd, name, &st, 0) == -1)
		return INT64_MAX;
	return (int64_t)st.st_mtim.tv_sec * 1000 +
	    st.st_mtim.tv_nsec / 1000000;
}

static void
partition_retain(struct log_partition *p, uint64_t wall_ms)
{
	const struct log_retention *keep = &p->stream->retention;
	uint64_t bytes = log_partition_bytes(p);
	uint64_t roll_ms, roll_bytes;
	struct segment *active;

	partition_trim(p);
	while (p->segments_len > 1 &&
	    p->segments[1].base_offset <= p->written_end) {
		bool is_old = keep->time_ms > 0 && keep->time_ms < wall_ms &&
		    first_end_ms(p) < (int64_t)(wall_ms - keep->time_ms);

		if (!is_old && (keep->bytes == 0 || bytes <= keep->bytes))
			break;
		bytes -= p->segments[0].bytes;
		start_move(p, p->segments[1].base_offset);
		partition_trim(p);
	}
	active = segment_active(p);
	if (active == NULL || active->bytes == 0)
		return;
	roll_ms = keep->time_ms / ROLL_PART;
	roll_bytes = keep->bytes / ROLL_PART;
	if (roll_ms < ROLL_MS_MIN)
		roll_ms = ROLL_MS_MIN;
	if (roll_bytes < ROLL_BYTES_MIN)
		roll_bytes = ROLL_BYTES_MIN;
	if ((keep->time_ms > 0 && roll_ms < wall_ms &&
		segment_first_ms(p, active) < (int64_t)(wall_ms - roll_ms)) ||
	    (keep->bytes > 0 && active->bytes >= roll_bytes))
		partition_roll(p);
}

void
log_retention_run(struct log_store *s, uint64_t wall_ms)
{
	for (struct log_stream *t = s->streams; t != NULL; t = t->next)
		for (uint32_t i = 0; i < t->partitions_len; i++)
			if (t->partitions[i].is_recovered && !t->is_removed)
				partition_retain(&t->partitions[i], wall_ms);
}
