/* links: router_log */
#include "base/log_reader.h"
#include "router/log/io.h"
#include "router/log/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A disk that fails as it is told. */
struct disk {
	pthread_mutex_t lock;
	uint64_t space;		/* free bytes */
	int write_error, sync_error, truncate_error, open_error;
	int times;		/* how often; then all is well again */
	size_t short_write;	/* this much still goes */
};

static bool
fails(struct disk *d, int error)
{
	bool does;

	pthread_mutex_lock(&d->lock);
	does = error != 0 && d->times > 0;
	if (does)
		d->times--;
	pthread_mutex_unlock(&d->lock);
	if (does)
		errno = error;
	return does;
}

static int
disk_openat(void *arg, int dirfd, const char *path, int flags, mode_t mode)
{
	struct disk *d = arg;

	if ((flags & O_CREAT) != 0 && fails(d, d->open_error))
		return -1;
	return log_io_system.openat(NULL, dirfd, path, flags, mode);
}

static ssize_t
disk_pwrite(void *arg, int fd, const void *p, size_t n, off_t at)
{
	struct disk *d = arg;

	if (d->write_error != 0 && d->times > 0) {
		if (d->short_write > 0) {
			n = n < d->short_write ? n : d->short_write;
			d->short_write = 0;
			return pwrite(fd, p, n, at);
		}
		if (fails(d, d->write_error))
			return -1;
	}
	return pwrite(fd, p, n, at);
}

static int
disk_ftruncate(void *arg, int fd, off_t size)
{
	struct disk *d = arg;

	if (d->truncate_error != 0) {
		errno = d->truncate_error;
		return -1;
	}
	return ftruncate(fd, size);
}

static int
disk_fdatasync(void *arg, int fd)
{
	struct disk *d = arg;

	(void)fd;
	return fails(d, d->sync_error) ? -1 : 0;
}

static int
disk_fsync(void *arg, int fd)
{
	(void)arg, (void)fd;
	return 0;
}

static int
disk_space(void *arg, int dirfd, uint64_t *bytes)
{
	(void)dirfd;
	*bytes = ((struct disk *)arg)->space;
	return 0;
}

struct fixture {
	char dir[64];
	int dirfd;
	struct disk disk;
	struct log_io io;
	struct log_events events;
	struct log_options options;
	struct log_store *store;
	struct log_partition *p;
	struct log_state saved;
	struct log_sender senders[LOG_SENDERS_MAX];
	struct log_part last;
	bool was_refused, is_full;
	int full_events;
};

static int
save(void *job, const struct log_commit *commit)
{
	struct fixture *f = job;

	f->was_refused = commit->has_refused;
	for (size_t i = 0; i < commit->rows_len; i++) {
		const struct log_row *row = &commit->rows[i];

		f->saved.reserved_end = row->state.reserved_end;
		f->saved.log_start = row->state.log_start;
		if (!row->is_checkpoint)
			continue;
		f->saved = row->state;
		if (row->state.senders_len > 0)
			memcpy(f->senders, row->state.senders,
			    row->state.senders_len * sizeof(*f->senders));
		f->saved.senders = f->senders;
	}
	return 0;
}

static void
on_committed(void *owner, void *job, const struct log_commit *commit)
{
	struct fixture *f = owner;

	(void)job;
	if (commit->parts_len > 0)
		f->last = commit->parts[0];
}

static void
on_space(void *owner, bool is_full)
{
	struct fixture *f = owner;

	f->is_full = is_full;
	f->full_events++;
}

static void
fixture_open(struct fixture *f)
{
	struct log_stream *stream;

	f->store = log_store_new(&f->options);
	stream = log_stream_open(f->store, &(struct log_stream_options){
		.name = "s", .incarnation = 9, .partitions = 1});
	f->p = log_stream_partition(stream, 0);
	cr_assert(log_recover(f->p, &f->saved, NULL) == 0);
}

static struct fixture *
fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/log_faults.XXXXXX");
	cr_assert(mkdtemp(f->dir) != NULL);
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY);
	pthread_mutex_init(&f->disk.lock, NULL);
	f->disk.space = 1 << 30;
	f->io = log_io_system;
	f->io.openat = disk_openat;
	f->io.pwrite = disk_pwrite;
	f->io.ftruncate = disk_ftruncate;
	f->io.fdatasync = disk_fdatasync;
	f->io.fsync = disk_fsync;
	f->io.space = disk_space;
	f->events = (struct log_events){.on_committed = on_committed,
		.on_space = on_space};
	f->options = (struct log_options){.dirfd = f->dirfd, .io = &f->io,
		.io_arg = &f->disk, .events = &f->events, .owner = f,
		.writers = 1, .allocate_bytes = 4096,
		.segment_bytes = 1 << 20};
	fixture_open(f);
	return f;
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
fixture_free(struct fixture *f)
{
	log_store_abandon(f->store);
	close(f->dirfd);
	nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f);
}

static void
commit(struct fixture *f)
{
	log_checkpoint_is_due(f->store);
	log_commit_start(f->store, save, f);
	log_commit_wait(f->store);
}

static enum log_append
add(struct fixture *f, uint64_t number, uint64_t *offset)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", number);
	return log_append(f->p, 7, number, &(struct record){
		.topic = SLICE_LIT("t"), .payload = slice_str(text)}, offset);
}

/* The numbers that are in the log, in order, as text: "1 2 5". */
static void
expect_numbers(struct fixture *f, const char *want)
{
	struct log_reader *r = log_reader_new("s", 9, 0);
	struct log_segment segment;
	struct record record;
	struct log_range range;
	enum log_reader_answer answer;
	struct buf b;

	buf_init(&b);
	for (size_t i = 0; log_segment_get(f->p, i, &segment); i++)
		log_reader_add_segment(r, segment.base_offset,
		    log_segment_open(f->p, segment.base_offset));
	log_reader_set_bounds(r, log_start(f->p), log_high_watermark(f->p));
	while ((answer = log_reader_next(r, &record, &range)) !=
	    LOG_READER_END) {
		cr_assert(answer == LOG_READER_RECORD, "answer %d", answer);
		if (buf_len(&b) > 0)
			buf_add_str(&b, " ");
		buf_add_slice(&b, record.payload);
	}
	cr_assert_str_eq(buf_cstr(&b), want);
	buf_fini(&b);
	log_reader_free(r);
}

static void
crash(struct fixture *f)
{
	log_store_abandon(f->store);
	fixture_open(f);
}

TestSuite(log_faults);

Test(log_faults, no_space_is_said_before_anything_is_written)
{
	struct fixture *f = fixture_new();

	cr_assert(add(f, 1, NULL) == LOG_APPEND_OK);
	commit(f);
	/* Less than is to be kept back. */
	f->disk.space = 15 << 20;
	usleep(220000);
	commit(f);
	for (uint64_t n = 2; n < 2000; n++) {
		if (add(f, n, NULL) == LOG_APPEND_NO_SPACE)
			break;
	}
	cr_assert(f->is_full);
	cr_assert(log_space_is_full(f->store));
	cr_assert(add(f, 1, NULL) == LOG_APPEND_DUPLICATE);
	commit(f);
	cr_assert_eq(f->last.error, 0, "what was accepted fits");
	f->disk.space = 1 << 30;
	cr_assert(add(f, 3000, NULL) == LOG_APPEND_NO_SPACE, "not at once");
	usleep(220000);
	cr_assert(!log_space_is_full(f->store));
	cr_assert(add(f, 3000, NULL) == LOG_APPEND_OK);
	cr_assert(!f->is_full);
	cr_assert_eq(f->full_events, 2);
	fixture_free(f);
}

Test(log_faults, a_commit_that_runs_out_of_space_is_refused_whole)
{
	struct fixture *f = fixture_new();
	struct stat before, after;
	uint64_t offset;

	add(f, 1, NULL);
	add(f, 2, NULL);
	commit(f);
	cr_assert(fstatat(f->dirfd, "s/0/00000000000000000000.log", &before,
		0) == 0);
	/* Half of it can still be written. */
	f->disk.write_error = ENOSPC;
	f->disk.times = 1;
	f->disk.short_write = 70;
	add(f, 3, NULL);
	add(f, 4, NULL);
	log_checkpoint_is_due(f->store);
	log_commit_start(f->store, save, f);
	add(f, 5, NULL); /* gathered meanwhile: goes with it */
	log_commit_wait(f->store);
	cr_assert(f->was_refused);
	cr_assert_eq(f->last.error, ENOSPC);
	cr_assert_eq(f->last.first, 2);
	cr_assert_eq(f->last.end, 4);
	cr_assert_eq(f->last.refused_end, 5);
	cr_assert_eq(log_high_watermark(f->p), 2);
	cr_assert(f->is_full);
	cr_assert(fstatat(f->dirfd, "s/0/00000000000000000000.log", &after,
		0) == 0);
	cr_assert_eq(before.st_size, after.st_size, "the segment is clean");
	usleep(220000);
	/* The same numbers may come again: they are not there. */
	cr_assert(add(f, 2, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f, 3, &offset) == LOG_APPEND_OK);
	cr_assert_eq(offset, LOG_RESERVE_STEP, "no offset twice");
	commit(f);
	expect_numbers(f, "1 2 3");
	crash(f);
	expect_numbers(f, "1 2 3");
	cr_assert(add(f, 3, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f, 4, NULL) == LOG_APPEND_OK);
	fixture_free(f);
}

Test(log_faults, a_failed_sync_goes_to_a_new_segment)
{
	struct fixture *f = fixture_new();
	struct log_segment segment;
	struct log_stats stats;
	uint64_t offset;

	add(f, 1, NULL);
	commit(f);
	f->disk.sync_error = EIO;
	f->disk.times = 1;
	add(f, 2, NULL);
	add(f, 3, &offset);
	cr_assert_eq(offset, 2);
	commit(f);
	cr_assert_eq(f->last.error, 0);
	cr_assert_eq(log_high_watermark(f->p), 3);
	log_stats_get(f->store, &stats);
	cr_assert_eq(stats.sync_failures, 1);
	cr_assert(log_segment_get(f->p, 1, &segment));
	cr_assert_eq(segment.base_offset, 1);
	add(f, 4, NULL);
	commit(f);
	expect_numbers(f, "1 2 3 4");
	crash(f);
	expect_numbers(f, "1 2 3 4");
	fixture_free(f);
}

Test(log_faults, the_failed_bytes_do_not_count_even_if_they_stay)
{
	struct fixture *f = fixture_new();

	add(f, 1, NULL);
	commit(f);
	f->disk.sync_error = EIO;
	f->disk.truncate_error = EIO;
	f->disk.times = 1;
	add(f, 2, NULL);
	commit(f);
	cr_assert_eq(f->last.error, 0);
	add(f, 3, NULL);
	commit(f);
	expect_numbers(f, "1 2 3");
	f->disk.truncate_error = 0;
	memset(&f->saved, 0, sizeof(f->saved));
	crash(f);
	expect_numbers(f, "1 2 3");
	fixture_free(f);
}

Test(log_faults, a_disk_that_keeps_failing_refuses_and_comes_back)
{
	struct fixture *f = fixture_new();

	add(f, 1, NULL);
	commit(f);
	f->disk.sync_error = EIO;
	f->disk.times = 2;
	add(f, 2, NULL);
	commit(f);
	cr_assert_eq(f->last.error, EIO);
	cr_assert_eq(log_high_watermark(f->p), 1);
	cr_assert(!f->is_full);
	cr_assert(add(f, 2, NULL) == LOG_APPEND_OK);
	commit(f);
	cr_assert_eq(f->last.error, 0);
	expect_numbers(f, "1 2");
	f->disk.open_error = EIO;
	f->disk.sync_error = EIO;
	f->disk.times = 3;
	add(f, 3, NULL);
	commit(f);
	cr_assert_eq(f->last.error, EIO);
	cr_assert(add(f, 4, NULL) == LOG_APPEND_OK);
	f->disk.times = 0;
	commit(f);
	expect_numbers(f, "1 2 4");
	crash(f);
	expect_numbers(f, "1 2 4");
	fixture_free(f);
}

Test(log_faults, a_failed_write_into_a_new_segment_begins_it_again)
{
	struct fixture *f = fixture_new();
	struct log_segment segment;

	f->disk.write_error = EIO;
	f->disk.times = 1;
	f->disk.short_write = 30;
	add(f, 1, NULL);
	commit(f);
	cr_assert_eq(f->last.error, 0);
	cr_assert(log_segment_get(f->p, 0, &segment));
	cr_assert_eq(segment.base_offset, 0);
	cr_assert(!log_segment_get(f->p, 1, &segment));
	expect_numbers(f, "1");
	crash(f);
	expect_numbers(f, "1");
	fixture_free(f);
}
