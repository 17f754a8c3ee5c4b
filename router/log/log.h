/*
 * log - the streams' segments: append, group commit, recovery, retention
 * (architecture.md, section 3). A library: it knows no sqlite and no IPC.
 *
 * Threads. Everything here is called on the loop's thread, except the
 * function given to log_commit_start, which runs on the commit thread. The
 * store has one commit thread and a few writers behind it; exactly one
 * commit is in flight; while it runs the loop gathers the next one.
 *
 * Offsets are never used twice. A partition starts at its reserved end
 * after an unclean stop, and goes to the next multiple of 2^20 when a commit
 * was refused; no offset is shown to anybody (watermark, acknowledgement)
 * before the transaction that reserves it.
 *
 * A refused commit of a partition takes with it what was gathered for that
 * partition meanwhile. Tell the senders of refused numbers before you append
 * later numbers of theirs: a number below the last one that is in the log
 * counts as a duplicate.
 *
 * Paths are relative to the directory DATA/streams that the store is given.
 */
#ifndef ROUTER_LOG_LOG_H
#define ROUTER_LOG_LOG_H

#include "base/log_layout.h"
#include "base/record.h"

struct ev_loop;
struct log_io;
struct log_store;
struct log_stream;
struct log_partition;
struct log_commit;

enum log_fsync { LOG_FSYNC_GROUP, LOG_FSYNC_INTERVAL, LOG_FSYNC_NEVER };

#define LOG_RESERVE_STEP ((uint64_t)1 << 20)
#define LOG_SENDERS_MAX 64		/* remembered per partition */

/* The last hand-over number of a sender that stands in a partition. */
struct log_sender {
	uint64_t incarnation;	/* low 62 bits */
	uint32_t number;	/* low 31 bits */
};

/*
 * What router.db keeps per partition. All zero for a new one.
 *
 * reserved_end and log_start belong to every row that a commit hands out;
 * checkpoint and senders only to a row whose is_checkpoint is set.
 */
struct log_state {
	uint64_t reserved_end;		/* offsets below it may be in use */
	uint64_t log_start;
	uint64_t checkpoint_segment;	/* base offset */
	uint64_t checkpoint_position;	/* bytes */
	uint64_t checkpoint_offset;	/* router.db is true up to here */
	const struct log_sender *senders;
	size_t senders_len;
};

struct log_damage {
	uint64_t first, last;	/* offsets, inclusive */
	uint64_t segment;	/* base offset */
	uint64_t position, size;/* bytes */
};

/* A row to write into the transaction of a commit. */
struct log_row {
	struct log_partition *partition;	/* name and number only! */
	const char *stream;
	uint32_t index;
	bool is_checkpoint;
	struct log_state state;
};

/* What became of one partition's records in a commit. A partition may have
 * two: one that was refused, and one of an earlier, failed transaction. */
struct log_part {
	struct log_partition *partition;
	uint64_t first, end;	/* offsets of this commit: first <= o < end */
	uint64_t refused_end;	/* refused: also what was gathered since, up
				   to here (= end when committed) */
	int error;		/* 0, or why it was refused: ENOSPC, EIO... */
};

/*
 * A commit as its transaction sees it (log_commit_fn) and as on_committed
 * sees it afterwards.
 */
struct log_commit {
	const struct log_row *rows;
	size_t rows_len;
	const struct log_part *parts;
	size_t parts_len;
	/*
	 * Some part was refused: no row is a checkpoint, and the caller's
	 * own snapshot, which counts refused records as there, must not be
	 * written.
	 */
	bool has_refused;
	int error;	/* of the transaction; on_committed only */
};

/*
 * The transaction of a commit, on the commit thread, after the records are
 * durable: writes the rows and what the job holds. 0, or an errno: then
 * nothing of the commit counts as committed, no watermark moves, and the
 * same rows come again with the next commit. With the first one that
 * succeeds the parts of the failed ones are told as committed.
 */
typedef int log_commit_fn(void *job, const struct log_commit *commit);

struct log_events {
	/*
	 * On the loop: the commit is over. Watermarks have moved where
	 * commit->error is 0. A commit may be started from here.
	 */
	void (*on_committed)(void *owner, void *job,
	    const struct log_commit *commit);
	/* Space ran out, or is there again. */
	void (*on_space)(void *owner, bool is_full);
	/* A new segment was begun, or begun again: readers need (another)
	 * descriptor. Comes before the watermark passes its base offset. */
	void (*on_segment)(void *owner, struct log_partition *p,
	    uint64_t base_offset);
	/* A segment is about to be removed; log start has moved. */
	void (*on_segment_gone)(void *owner, struct log_partition *p,
	    uint64_t base_offset);
};

struct log_options {
	int dirfd;			/* DATA/streams; kept, not closed */
	struct ev_loop *loop;		/* NULL: use log_commit_wait */
	const struct log_events *events;/* any of them may be NULL */
	void *owner;
	enum log_fsync fsync;
	/* 0 = the default that is named. */
	unsigned fsync_interval_ms;	/* 1000 */
	unsigned checkpoint_interval_ms;/* 1000 */
	uint64_t checkpoint_bytes;	/* 64 MiB */
	uint64_t segment_bytes;		/* 128 MiB */
	uint64_t allocate_bytes;	/* 16 MiB */
	uint64_t keep_free_bytes;	/* 16 MiB; UINT64_MAX = none */
	uint64_t cache_bytes;		/* 8 MiB; of cached streams together */
	uint32_t batch_bytes;		/* 128 KiB: an open batch ends there */
	unsigned writers;		/* 3 threads beside the commit thread */
	const struct log_io *io;	/* NULL = the system's calls */
	void *io_arg;
};

/* NULL with errno. Starts the threads: after fork, with signals blocked. */
struct log_store *log_store_new(const struct log_options *options);
/*
 * Commits what is gathered (fn may be NULL) with reserved ends set to the
 * next offset, so that the next start knows that the stop was clean, closes
 * all and frees all. 0, or an errno.
 */
int log_store_close(struct log_store *s, log_commit_fn *fn, void *job);
/* Frees all as a crash would leave it: nothing more is written. */
void log_store_abandon(struct log_store *s);

/* ---- streams ------------------------------------------------------------ */

struct log_retention {
	uint64_t time_ms;	/* 0 = no limit */
	uint64_t bytes;		/* per partition, 0 = no limit */
};

struct log_stream_options {
	const char *name;
	uint64_t incarnation;
	uint32_t partitions;
	struct log_retention retention;
	bool is_new;	/* remove what stands under its name: a leftover */
	bool is_cached;	/* the router itself reads it back ($queue) */
};

/* NULL with errno. The partitions must then be recovered, each. */
struct log_stream *log_stream_open(struct log_store *s,
    const struct log_stream_options *options);
struct log_stream *log_stream_find(struct log_store *s, const char *name);
struct log_partition *log_stream_partition(struct log_stream *t,
    uint32_t index);
const char *log_stream_name(const struct log_stream *t);
uint64_t log_stream_incarnation(const struct log_stream *t);
uint32_t log_stream_partitions(const struct log_stream *t);
void log_stream_set_retention(struct log_stream *t,
    struct log_retention retention);
/* The caller's own pointer. */
void log_stream_set_owner(struct log_stream *t, void *owner);
void *log_stream_owner(const struct log_stream *t);
/*
 * Removes the stream and its files (first from router.db!). Its gathered
 * records are dropped without an answer. The pointers die at once.
 */
void log_stream_remove(struct log_stream *t);

/* ---- recovery ----------------------------------------------------------- */

struct log_recovery {
	/* Each record after the checkpoint, in order: apply it again. */
	void (*on_record)(void *arg, struct log_partition *p,
	    const struct record *record, const struct record_batch *batch);
	void (*on_damage)(void *arg, struct log_partition *p,
	    const struct log_damage *damage);
	void *arg;
};

/*
 * Finds what is on disk, cuts a torn tail, calls back for all records after
 * the checkpoint, syncs, and raises the watermark. 0, or an errno: the disk
 * cannot be read; nothing was changed.
 */
int log_recover(struct log_partition *p, const struct log_state *state,
    const struct log_recovery *recovery);

/* ---- append ------------------------------------------------------------- */

enum log_append {
	LOG_APPEND_OK,
	LOG_APPEND_DUPLICATE,	/* this number of this sender was here before */
	LOG_APPEND_NO_SPACE,	/* nothing was written; it resumes by itself */
	LOG_APPEND_TOO_LARGE,
};

/*
 * Gathers the record for the next commit. number 0: no duplicate check.
 * *offset is its offset, once and for all (NULL: not wanted).
 */
enum log_append log_append(struct log_partition *p, uint64_t sender,
    uint64_t number, const struct record *record, uint64_t *offset);
/* Gathers a whole, checked batch of a Kafka producer; patches its offset. */
enum log_append log_append_batch(struct log_partition *p, struct slice batch,
    uint64_t *base_offset);

/* ---- group commit ------------------------------------------------------- */

bool log_commit_is_busy(const struct log_store *s);
/* There is something to commit: records, a checkpoint that is due, a sync,
 * segments to remove. Ask at the end of a turn and on a timer (<= 1 s). */
bool log_commit_is_wanted(struct log_store *s);
/*
 * Ask before every log_commit_start: when true, that commit carries
 * checkpoints, and its job must hold all that router.db is to know of the
 * records appended so far.
 */
bool log_checkpoint_is_due(struct log_store *s);
/*
 * Hands everything gathered to the commit thread. Not while one is busy.
 * Also without records: then it is only the transaction. fn NULL counts as a
 * transaction that was written.
 */
void log_commit_start(struct log_store *s, log_commit_fn *fn, void *job);
/* Waits for the one in flight and delivers on_committed. */
void log_commit_wait(struct log_store *s);
/* Bytes gathered for the next commit. */
size_t log_gathered(const struct log_store *s);
bool log_space_is_full(struct log_store *s);

/* ---- reading ------------------------------------------------------------ */

uint64_t log_start(const struct log_partition *p);
uint64_t log_high_watermark(const struct log_partition *p);
/* The offset that the next append gets. */
uint64_t log_next_offset(const struct log_partition *p);
struct log_stream *log_partition_stream(const struct log_partition *p);
uint32_t log_partition_index(const struct log_partition *p);

enum log_read {
	LOG_READ_OK,
	LOG_READ_NONE,	/* no such record: a gap, trimmed, or not yet there */
	LOG_READ_FAILED,/* errno, or damage (EBADMSG) */
};

/*
 * The record at exactly this offset, gathered ones included. It lends until
 * the next call of a log_ function. A cached stream answers from memory for
 * what is recent; else this is a pread.
 */
enum log_read log_read(struct log_partition *p, uint64_t offset,
    struct record *record);
/* First offset whose batch holds a timestamp at or after ms, else the high
 * watermark. Reads one segment; for the creation of readers only. */
uint64_t log_find_time(struct log_partition *p, int64_t ms);

struct log_segment {
	uint64_t base_offset;
	uint64_t end_offset;	/* one past its last record */
	uint64_t bytes;
	bool is_active;
};
/* The i-th segment, oldest first; false beyond the last. */
bool log_segment_get(struct log_partition *p, size_t i,
    struct log_segment *segment);
/* A new read-only descriptor of the segment, the caller's; -1 with errno. */
int log_segment_open(const struct log_partition *p, uint64_t base_offset);
uint64_t log_partition_bytes(const struct log_partition *p);
/* Damage that was found by recovery or reading, for status. */
size_t log_damage_get(const struct log_partition *p,
    const struct log_damage **damage);

struct log_stats {
	uint64_t appended, duplicates, refused;
	uint64_t commits, syncs, sync_failures;
	uint64_t batches, bytes;
};
void log_stats_get(const struct log_store *s, struct log_stats *stats);

/* ---- retention ---------------------------------------------------------- */

/* Applies time and size; call it every few seconds. wall_ms: now. */
void log_retention_run(struct log_store *s, uint64_t wall_ms);
/* Log start becomes upto (at most the watermark); whole segments below it
 * are removed by the next commit. Purge: upto = the high watermark. */
void log_trim(struct log_partition *p, uint64_t upto);
/*
 * Removes one sealed segment from the middle: $queue's copy forward only,
 * for readers would call it damage. False: not yet, it is active or not
 * below the checkpoint.
 */
bool log_segment_drop(struct log_partition *p, uint64_t base_offset);

#endif
