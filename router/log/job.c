#include "router/log/store.h"

#include "base/clock.h"
#include "base/mem.h"

static void
part_add(struct log_store *s, struct job *job, struct log_partition *p,
    bool must_sync)
{
	const struct segment *active = segment_active(p);
	struct part *part;

	if (job->parts_len == job->parts_cap) {
		job->parts_cap = job->parts_cap == 0 ? 8
						     : job->parts_cap * 2;
		job->parts = mem_realloc(job->parts,
		    job->parts_cap * sizeof(*job->parts));
	}
	part = &job->parts[job->parts_len++];
	*part = (struct part){
		.partition = p,
		.dirfd = p->dirfd,
		.first = p->next_offset,
		.end = p->next_offset,
		.must_roll = p->must_roll || p->wants_roll,
		.must_sync = must_sync,
		.has_unsynced = p->has_unsynced,
		.fd = p->fd,
	};
	if (active != NULL) {
		part->has_unrolled = true;
		part->segments[part->segments_len++] = (struct part_segment){
			active->base_offset, active->bytes,
			active->allocated};
	}
	if (p->open == NULL)
		return;
	partition_end_batch(p);
	p->flying = p->open;
	p->open = NULL;
	part->bytes = slice_of(p->flying->bytes.p, p->flying->bytes.len);
	part->first = p->flying->first;
	part->end = p->flying->end;
	s->gathered -= part->bytes.len;
	s->flying += part->bytes.len;
	s->checkpoint_bytes += part->bytes.len;
	s->stats.bytes += part->bytes.len;
}

/* The offset up to which router.db knows the partition after this commit. */
static uint64_t
checkpoint_end(const struct log_partition *p)
{
	return p->flying != NULL ? p->flying->end : p->written_end;
}

static uint64_t
reserved_end(const struct log_store *s, const struct log_partition *p)
{
	if (s->is_clean_stop)
		return p->next_offset;
	if (p->flying == NULL ||
	    p->next_offset + LOG_RESERVE_STEP / 2 <= p->reserved_end)
		return p->reserved_end;
	return round_up(p->next_offset + LOG_RESERVE_STEP / 2,
	    LOG_RESERVE_STEP);
}

static void
row_copy_senders(struct job *job, struct log_row *row,
    const struct senders *senders)
{
	if (job->senders_len + senders->n > job->senders_cap) {
		job->senders_cap = (job->senders_len + senders->n) * 2;
		job->senders = mem_realloc(job->senders,
		    job->senders_cap * sizeof(*job->senders));
	}
	if (senders->n > 0)
		memcpy(job->senders + job->senders_len, senders->v,
		    senders->n * sizeof(*senders->v));
	/* The pointer is set when the array has stopped growing. */
	row->state.senders_len = senders->n;
	job->senders_len += senders->n;
}

static void
row_add(struct log_store *s, struct job *job, struct log_partition *p,
    size_t part)
{
	uint64_t reserved = reserved_end(s, p);
	bool is_checkpoint = job->has_checkpoint &&
	    checkpoint_end(p) != p->checkpoint_offset;
	const struct segment *active = segment_active(p);
	struct log_row *row;

	if (!is_checkpoint && reserved == p->reserved_end &&
	    p->log_start == p->saved_log_start)
		return;
	if (job->rows_len == job->rows_cap) {
		job->rows_cap = job->rows_cap == 0 ? 8 : job->rows_cap * 2;
		job->rows = mem_realloc(job->rows,
		    job->rows_cap * sizeof(*job->rows));
		job->row_parts = mem_realloc(job->row_parts,
		    job->rows_cap * sizeof(*job->row_parts));
	}
	job->row_parts[job->rows_len] = part;
	row = &job->rows[job->rows_len++];
	*row = (struct log_row){
		.partition = p,
		.stream = p->stream->name,
		.index = p->index,
		.is_checkpoint = is_checkpoint,
		.state.reserved_end = reserved,
		.state.log_start = p->log_start,
		.state.checkpoint_segment =
		    active != NULL ? active->base_offset : 0,
		.state.checkpoint_position =
		    active != NULL ? active->bytes : 0,
		.state.checkpoint_offset = checkpoint_end(p),
	};
	if (is_checkpoint)
		row_copy_senders(job, row, &p->senders);
}

void
job_add_parts(struct log_store *s, struct job *job)
{
	enum log_fsync mode = s->options.fsync;
	uint64_t now = clock_mono_ms();
	bool is_due = s->is_clean_stop || (mode == LOG_FSYNC_INTERVAL &&
		now - s->sync_ms >= s->options.fsync_interval_ms);
	bool must_sync = mode == LOG_FSYNC_GROUP || is_due;

	for (size_t i = 0; i < s->dirty_len; i++) {
		struct log_partition *p = s->dirty[i];

		p->is_dirty = false;
		if (p->open != NULL || p->wants_roll)
			part_add(s, job, p, must_sync);
	}
	s->dirty_len = 0;
	if (!is_due)
		return;
	s->sync_ms = now;
	for (struct log_stream *t = s->streams; t != NULL; t = t->next)
		for (uint32_t i = 0; i < t->partitions_len; i++) {
			struct log_partition *p = &t->partitions[i];

			if (!t->is_removed && p->has_unsynced && p->flying == NULL &&
			    p->fd != -1)
				part_add(s, job, p, true);
		}
	s->has_unsynced = false;
}

static bool
job_has_part(const struct job *job, const struct log_partition *p)
{
	for (size_t i = 0; i < job->parts_len; i++)
		if (job->parts[i].partition == p)
			return true;
	return false;
}

/* Rows of partitions that write nothing in this commit. */
static void
rows_add_idle(struct log_store *s, struct job *job, struct log_stream *t)
{
	for (uint32_t i = 0; i < t->partitions_len; i++) {
		struct log_partition *p = &t->partitions[i];

		if (p->is_recovered && !job_has_part(job, p))
			row_add(s, job, p, SIZE_MAX);
	}
}

void
job_add_rows(struct log_store *s, struct job *job)
{
	size_t senders = 0;

	for (size_t i = 0; i < job->parts_len; i++)
		row_add(s, job, job->parts[i].partition, i);
	if (job->has_checkpoint || s->has_moved_start || s->is_clean_stop)
		for (struct log_stream *t = s->streams; t != NULL;
		     t = t->next)
			if (!t->is_removed)
				rows_add_idle(s, job, t);
	for (size_t i = 0; i < job->rows_len; i++) {
		struct log_state *state = &job->rows[i].state;

		if (state->senders_len > 0)
			state->senders = &job->senders[senders];
		senders += state->senders_len;
	}
	s->has_moved_start = false;
}
