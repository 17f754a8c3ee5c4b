#include "router/commit.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/delivery.h"
#include "router/publish.h"
#include "router/reader.h"
#include "router/rows.h"
#include "router/sender.h"
#include "router/session.h"
#include "router/stream.h"

#include <string.h>

/* Lazy rows go at the latest then, with or without records. */
#define LAZY_MS 500
/* After a transaction that failed. */
#define RETRY_MS 200

struct job {
	struct buf rows;
	struct after_list after;
};

static struct {
	struct log_store *store;
	struct rows *db;
	struct buf rows;		/* gathered for the next one */
	struct after_list after;
	struct job job;			/* the one in flight */
	uint64_t lazy_since_ms;		/* 0: nothing lazy is marked */
	uint64_t not_before_ms;
	bool wants_all;
	bool is_degraded;
} commit;

void
commit_init(struct log_store *store, struct rows *rows)
{
	commit.store = store;
	commit.db = rows;
	STAILQ_INIT(&commit.after);
	STAILQ_INIT(&commit.job.after);
}

struct log_store *
commit_store(void)
{
	return commit.store;
}

struct buf *
commit_rows(void)
{
	return &commit.rows;
}

void
commit_after(struct after *a)
{
	STAILQ_INSERT_TAIL(&commit.after, a, next);
}

void
commit_want_all(void)
{
	commit.wants_all = true;
}

/* On the commit thread. */
static int
run_job(void *job, const struct log_commit *c)
{
	return rows_run(commit.db, c, buf_slice(&((struct job *)job)->rows));
}

/*
 * All that was gathered becomes the job; what is left of a failed one stays
 * in front of it.
 */
static void
job_fill(bool all)
{
	struct job *job = &commit.job;

	sessions_put(&commit.rows, all);
	senders_cut(all, &commit.rows);
	commit.wants_all = false;
	if (buf_len(&job->rows) == 0) {
		struct buf empty = job->rows;

		job->rows = commit.rows;
		commit.rows = empty;
	} else
		buf_add_slice(&job->rows, buf_slice(&commit.rows));
	buf_clear(&commit.rows);
	STAILQ_CONCAT(&job->after, &commit.after);
	if (all)
		commit.lazy_since_ms = 0;
}

static bool
lazy_is_due(uint64_t now_ms)
{
	if (!sessions_are_marked(SESSION_LAZY)) {
		commit.lazy_since_ms = 0;
		return false;
	}
	if (commit.lazy_since_ms == 0)
		commit.lazy_since_ms = now_ms;
	return now_ms - commit.lazy_since_ms >= LAZY_MS;
}

static bool
rows_are_wanted(void)
{
	return commit.wants_all || buf_len(&commit.rows) > 0 ||
	    buf_len(&commit.job.rows) > 0 ||
	    !STAILQ_EMPTY(&commit.after) ||
	    !STAILQ_EMPTY(&commit.job.after) ||
	    sessions_are_marked(SESSION_NOW);
}

void
commit_step(void)
{
	uint64_t now_ms = clock_mono_ms();
	bool lazy = lazy_is_due(now_ms);

	if (log_commit_is_busy(commit.store) ||
	    now_ms < commit.not_before_ms)
		return;
	if (!lazy && !rows_are_wanted() && !log_commit_is_wanted(commit.store))
		return;
	job_fill(lazy || commit.wants_all ||
	    log_checkpoint_is_due(commit.store));
	log_commit_start(commit.store, run_job, &commit.job);
}

/* ---- afterwards --------------------------------------------------------- */

static void
job_done(struct job *job)
{
	struct after *a;

	buf_clear(&job->rows);
	buf_trim(&job->rows, 1 << 20);
	while ((a = STAILQ_FIRST(&job->after)) != NULL) {
		STAILQ_REMOVE_HEAD(&job->after, next);
		a->run(a);
		buf_fini(&a->results.bytes);
		json_object_put(a->body);
		free(a);
	}
}

static void
commit_failed(const struct log_commit *c)
{
	const char *why = rows_error(commit.db);

	if (why[0] == '\0')
		why = strerror(c->error);
	log_limited(LOG_ERROR, "commit: %s; trying again", why);
	proc_degraded("router.db", why);
	commit.is_degraded = true;
	commit.not_before_ms = clock_mono_ms() + RETRY_MS;
}

void
commit_on_done(void *owner, void *job, const struct log_commit *c)
{
	struct log_partition *queue = stream_queue();

	(void)owner;
	senders_committed(c, publish_refused);
	for (size_t i = 0; i < c->parts_len; i++) {
		const struct log_part *part = &c->parts[i];

		if (part->error != 0 && part->partition == queue)
			delivery_refused(part->first, part->refused_end);
		else if (part->error == 0 && c->error == 0)
			reader_advanced(part->partition);
	}
	if (c->error != 0) {
		commit_failed(c);
		return;
	}
	delivery_committed();
	if (commit.is_degraded) {
		proc_degraded("router.db", NULL);
		commit.is_degraded = false;
	}
	/* Refused in part: the rows were not written, they come again. */
	if (!c->has_refused)
		job_done(job);
}

int
commit_close(void)
{
	int err;

	while (log_commit_is_busy(commit.store))
		log_commit_wait(commit.store);
	job_fill(true);
	err = log_store_close(commit.store, run_job, &commit.job);
	rows_close(commit.db);
	return err;
}
