#include "connector-worker/sinks/file_writer.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define STACK_SIZE (256u << 10)
/* Beyond this the memory for compressed bytes is given back. */
#define PACKED_KEEP (1u << 20)

struct file_writer {
	struct ev_loop *loop;
	enum file_compression compression;
	bool syncs;
	void (*done)(void *arg);
	void *arg;
	ev_async async;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct file_job *jobs;		/* under the lock until taken */
	bool is_stopping;
	struct buf packed;		/* the thread's */
};

/* One member, whole by itself: members follow each other in the file. */
static bool
pack_gzip(struct file_writer *w, struct slice raw)
{
	z_stream z = {0};
	uLong bound;
	int rc;

	if (raw.len > UINT32_MAX / 2 || deflateInit2(&z,
	    Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
	    Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	bound = deflateBound(&z, (uLong)raw.len) + 32;
	z.next_in = (Bytef *)(uintptr_t)raw.p;
	z.avail_in = (uInt)raw.len;
	z.next_out = buf_reserve(&w->packed, bound);
	z.avail_out = (uInt)bound;
	rc = deflate(&z, Z_FINISH);
	buf_commit(&w->packed, z.total_out);
	deflateEnd(&z);
	return rc == Z_STREAM_END;
}

static bool
pack_zstd(struct file_writer *w, struct slice raw)
{
	size_t bound = ZSTD_compressBound(raw.len), n;

	n = ZSTD_compress(buf_reserve(&w->packed, bound), bound, raw.p,
	    raw.len, 3);
	if (ZSTD_isError(n))
		return false;
	buf_commit(&w->packed, n);
	return true;
}

static bool
job_pack(struct file_writer *w, struct slice *bytes)
{
	bool is_good;

	if (w->compression == COMPRESS_NONE)
		return true;
	buf_trim(&w->packed, PACKED_KEEP);
	is_good = w->compression == COMPRESS_GZIP ? pack_gzip(w, *bytes) :
	    pack_zstd(w, *bytes);
	*bytes = buf_slice(&w->packed);
	return is_good;
}

static void
job_write(struct file_writer *w, struct file_job *job)
{
	struct slice s = buf_slice(job->raw);
	ssize_t n;

	job->written = 0;
	job->error = 0;
	if (!job_pack(w, &s)) {
		job->error = ENOMEM;
		return;
	}
	while (s.len > 0) {
		n = pwrite(job->fd, s.p, s.len,
		    (off_t)(job->offset + job->written));
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			job->error = n == 0 ? EIO : errno;
			return;
		}
		job->written += (uint64_t)n;
		s = slice_of(s.p + n, s.len - (size_t)n);
	}
	if (w->syncs && fdatasync(job->fd) == -1)
		job->error = errno;
}

static void *
writer_main(void *arg)
{
	struct file_writer *w = arg;
	struct file_job *jobs;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->jobs == NULL && !w->is_stopping)
			pthread_cond_wait(&w->wake, &w->lock);
		jobs = w->jobs;
		if (jobs == NULL)
			break;
		pthread_mutex_unlock(&w->lock);
		for (; jobs != NULL; jobs = jobs->next)
			job_write(w, jobs);
		pthread_mutex_lock(&w->lock);
		w->jobs = NULL;
		ev_async_send(w->loop, &w->async);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void
on_async(struct ev_loop *loop, ev_async *async, int events)
{
	struct file_writer *w = async->data;

	(void)loop;
	(void)events;
	w->done(w->arg);
}

struct file_writer *
file_writer_new(struct ev_loop *loop, enum file_compression compression,
    bool syncs, void (*done)(void *), void *arg)
{
	struct file_writer *w = mem_zalloc(1, sizeof(*w));

	w->loop = loop;
	w->compression = compression;
	w->syncs = syncs;
	w->done = done;
	w->arg = arg;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	ev_async_init(&w->async, on_async);
	w->async.data = w;
	ev_async_start(loop, &w->async);
	return w;
}

/* The first job makes it: `connector test` needs none. */
static void
writer_begin(struct file_writer *w)
{
	pthread_attr_t attr;
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS,
	    SIGABRT};
	sigset_t all, old;
	size_t i;

	if (w->has_thread)
		return;
	/* Signals are the loop's; a crash is whose it is. */
	sigfillset(&all);
	for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigdelset(&all, crashes[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	bug_on(pthread_create(&w->thread, &attr, writer_main, w) != 0);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	w->has_thread = true;
}

void
file_writer_free(struct file_writer *w)
{
	if (w->has_thread) {
		pthread_mutex_lock(&w->lock);
		w->is_stopping = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
		pthread_join(w->thread, NULL);
	}
	ev_async_stop(w->loop, &w->async);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->wake);
	buf_fini(&w->packed);
	free(w);
}

void
file_writer_start(struct file_writer *w, struct file_job *jobs)
{
	writer_begin(w);
	pthread_mutex_lock(&w->lock);
	bug_on(w->jobs != NULL);
	w->jobs = jobs;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}
