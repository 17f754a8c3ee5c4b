/*
 * store - the room's own view of the log: who owns what.
 *
 * All of it belongs to the loop's thread, but for a commit that is under
 * way: its parts, rows and removals are the commit thread's from
 * log_commit_start until `phase` says that it is done.
 */
#ifndef ROUTER_LOG_STORE_H
#define ROUTER_LOG_STORE_H

#include "base/segment_scan.h"
#include "router/log/log.h"
#include "router/log/part.h"
#include "router/log/pool.h"
#include "router/log/sender.h"

#include <ev.h>
#include <pthread.h>

#define OFFSET_MAX ((uint64_t)INT64_MAX)

/* The batches that one commit writes to one partition. */
struct gather_batch {
	uint64_t base_offset;
	size_t at;		/* in bytes.p */
	/* The sender's number before it, for when the commit is refused. */
	uint64_t sender;
	uint32_t number;
	bool has_number;	/* else: the sender was not known */
};
struct gather {
	struct buf bytes;
	uint64_t first, end;	/* offsets */
	struct gather_batch *batches;
	size_t batches_len, batches_cap;
	int64_t first_ms;	/* timestamp of its first record */
	/* Once committed, of a cached stream: in the cache. */
	struct log_partition *partition;
	struct gather *younger;		/* in the whole cache */
};

/* Every so many bytes of a segment one offset is remembered. */
#define INDEX_STEP ((uint64_t)64 << 10)

struct segment {
	uint64_t base_offset;
	uint64_t bytes;
	uint64_t allocated;
	uint64_t end_offset;	/* UINT64_MAX: not known yet */
	int64_t first_ms;	/* of its first batch; INT64_MIN: not known */
	/* Positions of batches, rising; true up to (index_offset, index_at). */
	struct segment_mark {
		uint64_t offset, at;
	} *marks;
	size_t marks_len, marks_cap;
	uint64_t index_offset, index_at;
};

/* What the last log_read stood on; the next one mostly goes on there. */
struct read_state {
	struct segment_scan scan;
	int fd;			/* read-only, of the segment at base */
	uint64_t base_offset;
	bool has_batch;		/* a loan from scan's chunk */
	struct record_batch batch;
	struct record_cursor cursor;
	uint64_t next;		/* the offset that the cursor gives next */
	struct buf inflated;
	/* The same within the cache. */
	const struct gather *gather;	/* NULL: nowhere */
	struct record_batch cached;
	struct record_cursor cached_cursor;
	uint64_t cached_next;
};

struct log_partition {
	struct log_stream *stream;
	uint32_t index;
	int dirfd;
	bool is_recovered;

	struct segment *segments;	/* by base offset; the last: active */
	size_t segments_len, segments_cap;
	int fd;				/* of the active one, -1 none */
	bool must_roll;			/* before anything is written */
	bool wants_roll;		/* also if nothing is */
	bool has_unsynced;

	uint64_t log_start;
	uint64_t high_watermark;
	uint64_t written_end;	/* in the segments; above the watermark while
				   a transaction failed */
	uint64_t next_offset;
	uint64_t reserved_end;		/* in router.db */
	uint64_t saved_log_start;	/* in router.db */
	uint64_t checkpoint_offset;	/* in router.db */

	struct gather *open;		/* NULL: nothing gathered */
	struct gather *flying;		/* in the commit that is under way */
	bool is_dirty;			/* in store->dirty */
	bool has_writer;
	struct record_batch_writer writer;
	uint64_t writer_sender;
	bool is_numbered;		/* what the writer writes */

	struct senders senders;
	struct gather **cached;		/* by offset */
	size_t cached_len, cached_cap;
	struct read_state read;
	struct log_damage *damage;
	size_t damage_len;
};

struct log_stream {
	struct log_store *store;
	struct log_stream *next;
	char *name;
	struct slice topic;		/* of a Kafka client's batches */
	uint64_t incarnation;
	struct log_retention retention;
	bool is_cached;
	bool is_removed;		/* waits for the commit under way */
	void *owner;
	uint32_t partitions_len;
	struct log_partition *partitions;
};

/* A file or an empty folder below DATA/streams to remove, off the loop. */
struct removal {
	int flags;		/* of unlinkat */
	char path[LOG_STREAM_NAME_MAX + 64];
};

struct removals {
	struct removal *v;
	size_t n, cap;
};

enum job_phase { JOB_IDLE, JOB_STARTED, JOB_DONE, JOB_QUIT };

struct job {
	log_commit_fn *fn;
	void *arg;
	struct part *parts;
	size_t parts_len, parts_cap;
	struct log_part *results;	/* what became of them, to be told */
	size_t results_len, results_cap;
	struct log_row *rows;
	size_t *row_parts;		/* row -> part, SIZE_MAX none */
	size_t rows_len, rows_cap;
	struct log_sender *senders;	/* the rows' copies */
	size_t senders_len, senders_cap;
	struct removals removals;
	bool has_checkpoint;
	struct log_commit commit;
};

struct log_store {
	struct log_options options;
	struct part_limits limits;
	struct log_stream *streams;
	struct log_partition **dirty;
	size_t dirty_len, dirty_cap;
	size_t gathered;		/* bytes, open */
	size_t flying;			/* bytes, under way */
	struct gather *spare;		/* reused; linked by younger */
	size_t spare_len;
	struct gather *oldest, *youngest;	/* the cache */
	size_t cached_bytes;
	struct record_space space;	/* log_read's */
	struct removals removals;	/* for the next commit */

	bool is_full;
	bool is_clean_stop;		/* rows reserve no more than is used */
	uint64_t budget;		/* bytes that may still be gathered */
	uint64_t space_checked_ms;
	uint64_t checkpoint_ms, sync_ms;
	uint64_t checkpoint_bytes;	/* since the last one */
	bool has_uncheckpointed;
	bool wants_checkpoint;		/* the caller was told so */
	bool has_failed;		/* the last transaction did */
	int last_error;			/* of the last commit, 0 = none */
	bool has_unsynced;
	bool has_moved_start;		/* some log start is not saved */
	struct log_stats stats;

	struct job jobs[2], *job;	/* job: the one that is under way */
	unsigned jobs_next;
	ev_async done;
	struct pool *pool;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum job_phase phase;		/* under lock */
};

static inline uint64_t
round_up(uint64_t v, uint64_t step)
{
	return (v + step - 1) / step * step;
}

/* ---- segment.c ---------------------------------------------------------- */
struct segment *segment_add(struct log_partition *p, uint64_t base_offset);
struct segment *segment_active(struct log_partition *p);
/* The one whose base offset is the greatest at or below offset, or NULL. */
struct segment *segment_find(const struct log_partition *p, uint64_t offset);
void segment_fini(struct segment *segment);
void segment_mark(struct segment *segment, uint64_t offset, uint64_t at,
    uint64_t end_offset, uint64_t end_at);
/* The last known batch at or before offset: where to begin to look. */
void segment_seek(const struct segment *segment, uint64_t offset,
    uint64_t *batch_offset, uint64_t *at);
void segment_remove(struct log_partition *p, size_t i);

/* ---- gather.c ----------------------------------------------------------- */
struct gather *gather_take(struct log_store *s, uint64_t first);
void gather_give(struct log_store *s, struct gather *g);
struct gather_batch *gather_add_batch(struct gather *g,
    uint64_t base_offset);
/* The numbers of all senders as they were before it. */
void gather_undo(const struct gather *g, struct senders *senders);
/* The batch that holds offset; false when the gather does not. */
bool gather_find(const struct gather *g, uint64_t offset, struct slice *in);
void gather_cache(struct log_partition *p, struct gather *g);
void gather_uncache(struct log_partition *p);

/* ---- append.c ----------------------------------------------------------- */
void partition_dirty(struct log_partition *p);
/* Ends the open batch, if there is one. */
void partition_end_batch(struct log_partition *p);
/* Drops what is gathered, too; the next offset goes to the next step. */
void partition_refuse(struct log_partition *p);
/* Drops what is gathered. */
void partition_drop(struct log_partition *p);

/* ---- space.c ------------------------------------------------------------ */
bool space_take(struct log_partition *p, size_t size);
void space_check(struct log_store *s, bool is_forced);
void space_lost(struct log_store *s);

/* ---- job.c -------------------------------------------------------------- */
/* A part for each partition that has something to write or to sync. */
void job_add_parts(struct log_store *s, struct job *job);
/* The rows for the transaction; after the parts. */
void job_add_rows(struct log_store *s, struct job *job);

/* ---- commit.c ----------------------------------------------------------- */
int commit_threads_start(struct log_store *s);
void commit_threads_stop(struct log_store *s);
void commit_fini(struct log_store *s);

/* ---- stream.c ----------------------------------------------------------- */
void stream_free(struct log_stream *t);
void removals_add(struct removals *r, int flags, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void removals_run(const struct log_store *s, struct removals *r);
/* Removes what earlier lives left to be removed. */
void streams_sweep(struct log_store *s);
void partition_add_damage(struct log_partition *p,
    const struct log_damage *damage);

/* ---- read.c ------------------------------------------------------------- */
void read_fini(struct read_state *r);
void read_close(struct read_state *r);
/* Timestamp of the segment's first batch, INT64_MIN: it has none. */
int64_t segment_first_ms(struct log_partition *p, struct segment *segment);

#endif
