#include "router/log/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* sqlite runs on it. */
#define STACK ((size_t)1 << 20)
/* Below this the next commits might use up the file system's space. */
#define SPACE_NEAR ((uint64_t)256 << 20)

/* ---- the commit thread -------------------------------------------------- */

struct pieces {
	struct part *parts;
	const struct part_limits *limits;
};

static void
piece_write(void *arg, size_t i)
{
	struct pieces *pieces = arg;

	part_write(&pieces->parts[i], pieces->limits);
}

static void
results_grow(struct job *job)
{
	job->results_cap = job->results_cap == 0 ? 8 : job->results_cap * 2;
	job->results = mem_realloc(job->results,
	    job->results_cap * sizeof(*job->results));
}

/* What the writing found, into what the transaction writes. */
static void
job_fill(struct job *job)
{
	job->commit.has_refused = false;
	job->results_len = 0;
	for (size_t i = 0; i < job->parts_len; i++) {
		const struct part *part = &job->parts[i];

		if (job->results_len == job->results_cap)
			results_grow(job);
		job->results[job->results_len++] = (struct log_part){
			.partition = part->partition,
			.first = part->first,
			.end = part->end,
			.refused_end = part->end,
			.error = part->error,
		};
		if (part->error != 0)
			job->commit.has_refused = true;
	}
	for (size_t i = 0; i < job->rows_len; i++) {
		struct log_row *row = &job->rows[i];
		const struct part *part;

		if (job->commit.has_refused)
			row->is_checkpoint = false;
		if (job->row_parts[i] == SIZE_MAX)
			continue;
		part = &job->parts[job->row_parts[i]];
		if (part->segments_len == 0)
			continue;
		row->state.checkpoint_segment =
		    part->segments[part->segments_len - 1].base_offset;
		row->state.checkpoint_position =
		    part->segments[part->segments_len - 1].bytes;
	}
	job->commit.rows = job->rows;
	job->commit.rows_len = job->rows_len;
	job->commit.parts = job->results;
	job->commit.parts_len = job->results_len;
}

static void
job_run(struct log_store *s, struct job *job)
{
	struct pieces pieces = {job->parts, &s->limits};

	if (job->parts_len > 0)
		pool_run(s->pool, piece_write, &pieces, job->parts_len);
	job_fill(job);
	job->commit.error = job->fn == NULL
	    ? 0 : job->fn(job->arg, &job->commit);
	removals_run(s, &job->removals);
}

static void *
commit_main(void *arg)
{
	struct log_store *s = arg;

	pthread_mutex_lock(&s->lock);
	while (s->phase != JOB_QUIT) {
		if (s->phase != JOB_STARTED) {
			pthread_cond_wait(&s->cond, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		job_run(s, s->job);
		pthread_mutex_lock(&s->lock);
		if (s->phase == JOB_STARTED)
			s->phase = JOB_DONE;
		pthread_cond_broadcast(&s->cond);
		if (s->options.loop != NULL)
			ev_async_send(s->options.loop, &s->done);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- back on the loop --------------------------------------------------- */

/* The partition's segments as the part left them. */
static void
apply_segments(struct log_partition *p, const struct part *part)
{
	for (size_t i = 0; i < part->segments_len; i++) {
		const struct part_segment *from = &part->segments[i];
		struct segment *to = segment_active(p);

		if (to == NULL || to->base_offset != from->base_offset) {
			if (to != NULL)
				to->end_offset = p->written_end;
			to = segment_add(p, from->base_offset);
		}
		to->bytes = from->bytes;
		to->allocated = from->allocated;
	}
	p->fd = part->fd;
	p->has_unsynced = part->has_unsynced;
	if (part->segments_len > 0 && part->fd != -1)
		p->must_roll = p->wants_roll = false;
	if (part->has_replaced)
		read_close(&p->read);
}

/* Its batches are in the segment now. */
static void
apply_gather(struct log_partition *p, const struct part *part)
{
	struct segment *active = segment_active(p);
	struct gather *g = p->flying;
	uint64_t at = active->bytes - g->bytes.len;

	for (size_t i = 0; i < g->batches_len; i++) {
		bool is_last = i + 1 == g->batches_len;

		segment_mark(active, g->batches[i].base_offset,
		    at + g->batches[i].at,
		    is_last ? g->end : g->batches[i + 1].base_offset,
		    is_last ? active->bytes : at + g->batches[i + 1].at);
	}
	if (active->first_ms == INT64_MIN && at == 0)
		active->first_ms = g->first_ms;
	active->end_offset = part->end;
	p->written_end = part->end;
}

static void
part_apply(struct log_store *s, const struct part *part,
    struct log_part *result)
{
	struct log_partition *p = part->partition;
	struct gather *g = p->flying;

	s->flying -= part->bytes.len;
	s->stats.syncs += part->syncs;
	s->stats.sync_failures += part->sync_failures;
	apply_segments(p, part);
	if (part->error == 0) {
		if (g != NULL)
			apply_gather(p, part);
	} else {
		log_limited(LOG_ERROR, "stream %s/%u: a commit was refused: "
		    "%s", p->stream->name, p->index, strerror(part->error));
		s->stats.refused += part->end - part->first;
		result->refused_end = p->next_offset;
		partition_refuse(p);
		if (g != NULL)
			gather_undo(g, &p->senders);
		s->last_error = part->error;
		if (part_is_no_space(part->error))
			space_lost(s);
	}
	p->flying = NULL;
	if (g == NULL)
		return;
	if (part->error == 0 && p->stream->is_cached)
		gather_cache(p, g);
	else
		gather_give(s, g);
}

/* Only now may anybody see it. */
static void
partition_publish(struct log_partition *p)
{
	p->high_watermark = p->written_end;
}

/* Where a partition's part is told; a refused one keeps its own. */
static struct log_part *
job_result(struct job *job, const struct log_partition *p)
{
	for (size_t i = 0; i < job->results_len; i++)
		if (job->results[i].partition == p &&
		    job->results[i].error == 0)
			return &job->results[i];
	if (job->results_len == job->results_cap)
		results_grow(job);
	return &job->results[job->results_len++];
}

/*
 * The transactions before this one failed: what their commits wrote becomes
 * visible with it, and is told with it, as parts of their own or as the
 * front of a part that is there.
 */
static void
job_publish_late(struct log_store *s, struct job *job)
{
	for (struct log_stream *t = s->streams; t != NULL; t = t->next)
		for (uint32_t i = 0; i < t->partitions_len; i++) {
			struct log_partition *p = &t->partitions[i];

			if (p->is_recovered && !t->is_removed &&
			    p->high_watermark < p->written_end) {
				*job_result(job, p) = (struct log_part){
					.partition = p,
					.first = p->high_watermark,
					.end = p->written_end,
					.refused_end = p->written_end,
				};
				partition_publish(p);
			}
		}
}

static void
job_publish(struct log_store *s, struct job *job)
{
	if (job->commit.error != 0) {
		s->has_failed = true;
		s->has_moved_start = true;
		s->has_uncheckpointed = true;
		return;
	}
	if (s->has_failed)
		job_publish_late(s, job);
	s->has_failed = false;
	for (size_t i = 0; i < job->parts_len; i++)
		if (job->parts[i].error == 0 && job->parts[i].bytes.len > 0)
			partition_publish(job->parts[i].partition);
	for (size_t i = 0; i < job->rows_len; i++) {
		const struct log_row *row = &job->rows[i];
		struct log_partition *p = row->partition;

		p->reserved_end = row->state.reserved_end;
		p->saved_log_start = row->state.log_start;
		if (row->is_checkpoint)
			p->checkpoint_offset = row->state.checkpoint_offset;
	}
	if (job->commit.has_refused)
		s->has_uncheckpointed = true;
}

static void
job_tell_segments(struct log_store *s, const struct job *job)
{
	const struct log_events *events = s->options.events;

	if (events == NULL || events->on_segment == NULL)
		return;
	for (size_t i = 0; i < job->parts_len; i++) {
		const struct part *part = &job->parts[i];
		size_t first = part->has_unrolled ? 1 : 0;

		if (part->partition->stream->is_removed)
			continue;
		for (size_t j = first; j < part->segments_len; j++)
			events->on_segment(s->options.owner, part->partition,
			    part->segments[j].base_offset);
	}
}

/* Leaves out what was removed meanwhile. */
static void
job_sift(struct job *job)
{
	size_t n = 0;

	for (size_t i = 0; i < job->results_len; i++)
		if (!job->results[i].partition->stream->is_removed)
			job->results[n++] = job->results[i];
	job->commit.parts = job->results;
	job->commit.parts_len = n;
	n = 0;
	for (size_t i = 0; i < job->rows_len; i++)
		if (!job->rows[i].partition->stream->is_removed)
			job->rows[n++] = job->rows[i];
	job->commit.rows_len = n;
}

static void
streams_reap(struct log_store *s)
{
	struct log_stream **link = &s->streams;

	while (*link != NULL) {
		struct log_stream *t = *link;

		if (!t->is_removed) {
			link = &t->next;
			continue;
		}
		*link = t->next;
		stream_free(t);
	}
}

static void
commit_finish(struct log_store *s)
{
	struct job *job = s->job;

	s->last_error = job->commit.error;
	for (size_t i = 0; i < job->parts_len; i++)
		part_apply(s, &job->parts[i], &job->results[i]);
	job_publish(s, job);
	s->stats.commits++;
	space_check(s, s->budget < SPACE_NEAR && !s->is_full);
	job_sift(job);
	s->job = NULL;
	pthread_mutex_lock(&s->lock);
	s->phase = JOB_IDLE;
	pthread_mutex_unlock(&s->lock);
	job_tell_segments(s, job);
	if (s->options.events != NULL &&
	    s->options.events->on_committed != NULL)
		s->options.events->on_committed(s->options.owner, job->arg,
		    &job->commit);
	if (s->job == NULL)
		streams_reap(s);
}

static void
on_done(struct ev_loop *loop, ev_async *watcher, int events)
{
	struct log_store *s = watcher->data;
	bool is_done;

	(void)loop, (void)events;
	pthread_mutex_lock(&s->lock);
	is_done = s->phase == JOB_DONE;
	pthread_mutex_unlock(&s->lock);
	if (is_done)
		commit_finish(s);
}

/* ---- the caller's side -------------------------------------------------- */

bool
log_commit_is_busy(const struct log_store *s)
{
	return s->job != NULL;
}

static bool
checkpoint_is_due(const struct log_store *s)
{
	return (s->has_uncheckpointed || s->dirty_len > 0) &&
	    (s->checkpoint_bytes >= s->options.checkpoint_bytes ||
		clock_mono_ms() - s->checkpoint_ms >=
		    s->options.checkpoint_interval_ms);
}

bool
log_checkpoint_is_due(struct log_store *s)
{
	s->wants_checkpoint = s->wants_checkpoint || checkpoint_is_due(s);
	return s->wants_checkpoint;
}

bool
log_commit_is_wanted(struct log_store *s)
{
	if (s->is_full)
		space_check(s, false);
	if (s->dirty_len > 0 || s->removals.n > 0 || s->has_moved_start ||
	    s->has_failed)
		return true;
	if (s->has_unsynced && s->options.fsync == LOG_FSYNC_INTERVAL &&
	    clock_mono_ms() - s->sync_ms >= s->options.fsync_interval_ms)
		return true;
	return checkpoint_is_due(s);
}

void
log_commit_start(struct log_store *s, log_commit_fn *fn, void *arg)
{
	struct job *job = &s->jobs[s->jobs_next ^= 1];
	struct removals swap = job->removals;

	bug_on(s->job != NULL);
	job->fn = fn;
	job->arg = arg;
	job->parts_len = job->rows_len = job->senders_len = 0;
	job->commit = (struct log_commit){0};
	job->has_checkpoint = s->wants_checkpoint;
	s->wants_checkpoint = false;
	job_add_parts(s, job);
	if (job->parts_len > 0) {
		s->has_uncheckpointed = true;
		s->has_unsynced = s->options.fsync != LOG_FSYNC_GROUP;
	}
	job_add_rows(s, job);
	if (job->has_checkpoint) {
		s->has_uncheckpointed = false;
		s->checkpoint_ms = clock_mono_ms();
		s->checkpoint_bytes = 0;
	}
	/* The next commit's are gathered in the memory of an earlier one's. */
	job->removals = s->removals;
	s->removals = swap;
	s->job = job;
	pthread_mutex_lock(&s->lock);
	s->phase = JOB_STARTED;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

void
log_commit_wait(struct log_store *s)
{
	if (s->job == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	while (s->phase == JOB_STARTED)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	commit_finish(s);
}

size_t
log_gathered(const struct log_store *s)
{
	return s->gathered;
}

/* ---- threads ------------------------------------------------------------ */

int
commit_threads_start(struct log_store *s)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error;

	if (s->options.loop != NULL) {
		ev_async_init(&s->done, on_done);
		s->done.data = s;
		ev_async_start(s->options.loop, &s->done);
		ev_unref(s->options.loop);
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	s->pool = pool_new(s->options.writers);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	error = pthread_create(&s->thread, &attr, commit_main, s);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

void
commit_threads_stop(struct log_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->phase = JOB_QUIT;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pool_free(s->pool);
	if (s->options.loop != NULL) {
		ev_ref(s->options.loop);
		ev_async_stop(s->options.loop, &s->done);
	}
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
}

void
commit_fini(struct log_store *s)
{
	for (size_t i = 0; i < 2; i++) {
		struct job *job = &s->jobs[i];

		free(job->removals.v);
		free(job->parts);
		free(job->results);
		free(job->rows);
		free(job->row_parts);
		free(job->senders);
	}
}
