#include "router/log/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define OR(value, other) ((value) != 0 ? (value) : (other))

static void
options_complete(struct log_options *o)
{
	o->fsync_interval_ms = OR(o->fsync_interval_ms, 1000);
	o->checkpoint_interval_ms = OR(o->checkpoint_interval_ms, 1000);
	o->checkpoint_bytes = OR(o->checkpoint_bytes, (uint64_t)64 << 20);
	o->segment_bytes = OR(o->segment_bytes, (uint64_t)128 << 20);
	o->allocate_bytes = OR(o->allocate_bytes, (uint64_t)16 << 20);
	o->keep_free_bytes = OR(o->keep_free_bytes, (uint64_t)16 << 20);
	if (o->keep_free_bytes == UINT64_MAX)
		o->keep_free_bytes = 0;
	o->cache_bytes = OR(o->cache_bytes, (uint64_t)8 << 20);
	o->batch_bytes = OR(o->batch_bytes, (uint32_t)128 << 10);
	o->writers = OR(o->writers, 3u);
	if (o->io == NULL)
		o->io = &log_io_system;
}

struct log_store *
log_store_new(const struct log_options *options)
{
	struct log_store *s = mem_zalloc(1, sizeof(*s));
	struct log_options *o = &s->options;
	int error;

	*o = *options;
	options_complete(o);
	s->limits = (struct part_limits){
		.io = o->io,
		.io_arg = o->io_arg,
		.segment_bytes = o->segment_bytes,
		.allocate_bytes = o->allocate_bytes,
		.keep_free_bytes = o->keep_free_bytes,
		.dirfd = o->dirfd,
	};
	s->checkpoint_ms = s->sync_ms = clock_mono_ms();
	streams_sweep(s);
	space_check(s, true);
	error = commit_threads_start(s);
	if (error != 0) {
		pool_free(s->pool);
			free(s->removals.v);
		free(s);
		errno = error;
		return NULL;
	}
	return s;
}

void
log_store_abandon(struct log_store *s)
{
	struct gather *g;

	commit_threads_stop(s);
	/* What a commit opened that nobody will hear of. */
	for (size_t i = 0; s->job != NULL && i < s->job->parts_len; i++)
		s->job->parts[i].partition->fd = s->job->parts[i].fd;
	s->job = NULL;
	while (s->streams != NULL) {
		struct log_stream *t = s->streams;

		s->streams = t->next;
		stream_free(t);
	}
	commit_fini(s);
	free(s->removals.v);
	while ((g = s->spare) != NULL) {
		s->spare = g->younger;
		buf_fini(&g->bytes);
		free(g->batches);
		free(g);
	}
	record_space_fini(&s->space);
	free(s->dirty);
	free(s);
}

int
log_store_close(struct log_store *s, log_commit_fn *fn, void *job)
{
	int error;

	log_commit_wait(s);
	s->is_clean_stop = true;
	s->wants_checkpoint = true;
	log_commit_start(s, fn, job);
	log_commit_wait(s);
	error = s->last_error;
	log_store_abandon(s);
	return error;
}

void
log_stats_get(const struct log_store *s, struct log_stats *stats)
{
	*stats = s->stats;
}
