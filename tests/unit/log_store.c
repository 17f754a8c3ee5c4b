/* links: router_log */
#include "base/log_reader.h"
#include "router/log/log.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/*
 * A store in a temporary folder, and a "router.db" that is one log_state per
 * partition number.
 */
#define PARTITIONS 3

struct fixture {
	char dir[64];
	int dirfd;
	struct log_options options;
	struct log_events events;
	struct log_store *store;
	struct log_stream *stream;
	struct log_partition *p;
	struct log_state saved[PARTITIONS];
	struct log_sender senders[PARTITIONS][LOG_SENDERS_MAX];
	int db_error;
	/* What was told. */
	struct log_part last;
	int commits, checkpoints, segments, gone, damaged;
	uint64_t recovered, recovered_first;
	bool is_full;
};

static int
save(void *job, const struct log_commit *commit)
{
	struct fixture *f = job;

	if (f->db_error != 0)
		return f->db_error;
	for (size_t i = 0; i < commit->rows_len; i++) {
		const struct log_row *row = &commit->rows[i];
		struct log_state *to = &f->saved[row->index];

		to->reserved_end = row->state.reserved_end;
		to->log_start = row->state.log_start;
		if (!row->is_checkpoint)
			continue;
		*to = row->state;
		if (row->state.senders_len > 0)
			memcpy(f->senders[row->index], row->state.senders,
			    row->state.senders_len * sizeof(struct log_sender));
		to->senders = f->senders[row->index];
		f->checkpoints++;
	}
	return 0;
}

static void
on_committed(void *owner, void *job, const struct log_commit *commit)
{
	struct fixture *f = owner;

	(void)job;
	f->commits++;
	if (commit->parts_len > 0)
		f->last = commit->parts[0];
}

static void
on_space(void *owner, bool is_full)
{
	((struct fixture *)owner)->is_full = is_full;
}

static void
on_segment(void *owner, struct log_partition *p, uint64_t base)
{
	(void)p, (void)base;
	((struct fixture *)owner)->segments++;
}

static void
on_segment_gone(void *owner, struct log_partition *p, uint64_t base)
{
	(void)p, (void)base;
	((struct fixture *)owner)->gone++;
}

static void
on_record(void *arg, struct log_partition *p, const struct record *record,
    const struct record_batch *batch)
{
	struct fixture *f = arg;

	(void)p, (void)batch;
	if (f->recovered++ == 0)
		f->recovered_first = record->offset;
}

static void
on_damage(void *arg, struct log_partition *p, const struct log_damage *d)
{
	(void)p, (void)d;
	((struct fixture *)arg)->damaged++;
}

static void
fixture_open(struct fixture *f)
{
	struct log_recovery recovery = {on_record, on_damage, f};

	f->recovered = 0;
	f->store = log_store_new(&f->options);
	cr_assert(f->store != NULL);
	f->stream = log_stream_open(f->store, &(struct log_stream_options){
		.name = "s", .incarnation = 9, .partitions = PARTITIONS,
		.is_cached = true});
	cr_assert(f->stream != NULL);
	for (uint32_t i = 0; i < PARTITIONS; i++)
		cr_assert(log_recover(log_stream_partition(f->stream, i),
		    &f->saved[i], &recovery) == 0);
	f->p = log_stream_partition(f->stream, 0);
}

static struct fixture *
fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/log_store.XXXXXX");
	cr_assert(mkdtemp(f->dir) != NULL);
	f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY);
	f->events = (struct log_events){on_committed, on_space, on_segment,
		on_segment_gone};
	f->options = (struct log_options){.dirfd = f->dirfd,
		.events = &f->events, .owner = f, .writers = 2};
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
fixture_crash(struct fixture *f)
{
	log_store_abandon(f->store);
	fixture_open(f);
}

static void
commit(struct fixture *f)
{
	log_checkpoint_is_due(f->store);
	log_commit_start(f->store, save, f);
	log_commit_wait(f->store);
}

static enum log_append
add(struct log_partition *p, uint64_t sender, uint64_t number,
    uint64_t *offset)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", log_next_offset(p));
	return log_append(p, sender, number, &(struct record){
		.topic = SLICE_LIT("t"), .payload = slice_str(text),
		.timestamp_ms = 1000}, offset);
}

static void
add_many(struct log_partition *p, int n)
{
	for (int i = 0; i < n; i++)
		cr_assert(add(p, 0, 0, NULL) == LOG_APPEND_OK);
}

/* The records in [from, watermark), read as a worker does. */
static uint64_t
count(struct log_partition *p, uint64_t from, uint64_t *damaged)
{
	struct log_reader *r = log_reader_new("s", 9, 0);
	struct log_segment segment;
	struct record record;
	struct log_range range;
	uint64_t n = 0;

	*damaged = 0;
	for (size_t i = 0; log_segment_get(p, i, &segment); i++)
		log_reader_add_segment(r, segment.base_offset,
		    log_segment_open(p, segment.base_offset));
	log_reader_set_bounds(r, log_start(p), log_high_watermark(p));
	log_reader_seek(r, from);
	for (;;) {
		char text[32];

		switch (log_reader_next(r, &record, &range)) {
		case LOG_READER_RECORD:
			snprintf(text, sizeof(text), "%lu", record.offset);
			cr_assert(slice_is(record.payload, text));
			n++;
			continue;
		case LOG_READER_DAMAGED:
			*damaged += range.last - range.first + 1;
			continue;
		case LOG_READER_TRIMMED:
			continue;
		case LOG_READER_END:
			log_reader_free(r);
			return n;
		case LOG_READER_NEED_SEGMENT:
		case LOG_READER_FAILED:
			cr_assert(false, "at %lu", log_reader_offset(r));
		}
	}
}

TestSuite(log_store);

Test(log_store, append_commit_read)
{
	struct fixture *f = fixture_new();
	struct record record;
	uint64_t offset, damaged;

	cr_assert(add(f->p, 7, 1, &offset) == LOG_APPEND_OK);
	cr_assert_eq(offset, 0);
	cr_assert(add(f->p, 7, 2, &offset) == LOG_APPEND_OK);
	cr_assert(add(f->p, 8, 1, &offset) == LOG_APPEND_OK);
	cr_assert_eq(offset, 2);
	cr_assert_eq(log_high_watermark(f->p), 0);
	cr_assert(log_commit_is_wanted(f->store));
	cr_assert(log_read(f->p, 1, &record) == LOG_READ_OK, "gathered");
	cr_assert(slice_is(record.payload, "1"));
	commit(f);
	cr_assert_eq(log_high_watermark(f->p), 3);
	cr_assert_eq(f->last.first, 0);
	cr_assert_eq(f->last.end, 3);
	cr_assert_eq(f->last.error, 0);
	cr_assert_eq(f->segments, 1);
	cr_assert_eq(f->saved[0].reserved_end, LOG_RESERVE_STEP);
	cr_assert_eq(count(f->p, 0, &damaged), 3);
	for (uint64_t o = 0; o < 3; o++) {
		cr_assert(log_read(f->p, o, &record) == LOG_READ_OK);
		cr_assert_eq(record.offset, o);
	}
	cr_assert(log_read(f->p, 3, &record) == LOG_READ_NONE);
	fixture_free(f);
}

Test(log_store, a_number_is_taken_once)
{
	struct fixture *f = fixture_new();
	struct log_partition *other = log_stream_partition(f->stream, 1);

	cr_assert(add(f->p, 7, 5, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 7, 5, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 7, 4, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 8, 4, NULL) == LOG_APPEND_OK);
	cr_assert(add(other, 7, 4, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 7, 6, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 0, 0, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 0, 0, NULL) == LOG_APPEND_OK);
	/* The low 31 bits are compared: over the end of them, too. */
	cr_assert(add(f->p, 9, 0x7fffffff, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 9, 0x80000000, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 9, 0x80000001, NULL) == LOG_APPEND_OK);
	cr_assert(add(f->p, 9, 0x80000000, NULL) == LOG_APPEND_DUPLICATE);
	commit(f);
	/* From the batches after a crash. */
	fixture_crash(f);
	cr_assert(add(f->p, 7, 6, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 8, 4, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 8, 5, NULL) == LOG_APPEND_OK);
	/* And from the checkpoint. */
	cr_assert(log_store_close(f->store, save, f) == 0);
	fixture_open(f);
	cr_assert_eq(f->recovered, 0);
	cr_assert(add(f->p, 7, 6, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 8, 5, NULL) == LOG_APPEND_DUPLICATE);
	cr_assert(add(f->p, 8, 6, NULL) == LOG_APPEND_OK);
	fixture_free(f);
}

Test(log_store, a_clean_stop_leaves_no_gap_and_a_crash_does)
{
	struct fixture *f = fixture_new();
	uint64_t offset, damaged;

	add_many(f->p, 10);
	cr_assert(log_store_close(f->store, save, f) == 0);
	cr_assert_eq(f->saved[0].reserved_end, 10);
	cr_assert_eq(f->saved[0].checkpoint_offset, 10);
	fixture_open(f);
	cr_assert_eq(log_high_watermark(f->p), 10);
	cr_assert(add(f->p, 0, 0, &offset) == LOG_APPEND_OK);
	cr_assert_eq(offset, 10);
	commit(f);
	fixture_crash(f);
	cr_assert_eq(f->recovered, 1);
	cr_assert_eq(f->recovered_first, 10);
	cr_assert_eq(log_high_watermark(f->p), 11);
	cr_assert_eq(log_next_offset(f->p), LOG_RESERVE_STEP);
	/* Nothing was appended: the reservation is not spent. */
	fixture_crash(f);
	cr_assert_eq(log_next_offset(f->p), LOG_RESERVE_STEP);
	cr_assert(add(f->p, 0, 0, &offset) == LOG_APPEND_OK);
	cr_assert_eq(offset, LOG_RESERVE_STEP);
	commit(f);
	cr_assert_eq(count(f->p, 0, &damaged), 12);
	cr_assert_eq(damaged, 0);
	cr_assert_eq(f->damaged, 0);
	fixture_free(f);
}

Test(log_store, a_failed_transaction_shows_nothing)
{
	struct fixture *f = fixture_new();

	add_many(f->p, 3);
	f->db_error = EIO;
	commit(f);
	cr_assert_eq(log_high_watermark(f->p), 0);
	cr_assert_eq(f->saved[0].reserved_end, 0);
	f->db_error = 0;
	f->last = (struct log_part){0};
	commit(f);
	cr_assert_eq(log_high_watermark(f->p), 3);
	cr_assert(f->last.partition == f->p, "it is told late");
	cr_assert_eq(f->last.first, 0);
	cr_assert_eq(f->last.end, 3);
	f->db_error = EIO;
	add_many(f->p, 2);
	commit(f);
	f->db_error = 0;
	add_many(f->p, 1);
	commit(f);
	cr_assert_eq(f->last.first, 3);
	cr_assert_eq(f->last.end, 6);
	add_many(f->p, 1);
	commit(f);
	cr_assert_eq(log_high_watermark(f->p), 7);
	cr_assert_eq(f->saved[0].reserved_end, LOG_RESERVE_STEP);
	fixture_free(f);
}

Test(log_store, segments_roll_and_are_read_across)
{
	struct fixture *f = fixture_new();
	struct log_segment segment;
	struct record record;
	uint64_t damaged, n = 0;

	log_store_abandon(f->store);
	f->options.segment_bytes = 4096;
	f->options.cache_bytes = 8192;
	fixture_open(f);
	for (int i = 0; i < 50; i++) {
		add_many(f->p, 20);
		commit(f);
	}
	while (log_segment_get(f->p, n, &segment)) {
		cr_assert(segment.bytes <= 4096);
		n++;
	}
	cr_assert(n > 3);
	cr_assert_eq(count(f->p, 0, &damaged), 1000);
	cr_assert_eq(count(f->p, 777, &damaged), 223);
	for (uint64_t o = 0; o < 1000; o++) {
		uint64_t at = o * 7919 % 1000;

		cr_assert(log_read(f->p, at, &record) == LOG_READ_OK);
		cr_assert_eq(record.offset, at);
	}
	fixture_crash(f);
	for (uint64_t o = 0; o < 1000; o++) {
		cr_assert(log_read(f->p, o, &record) == LOG_READ_OK);
		cr_assert_eq(record.offset, o);
	}
	cr_assert_eq(count(f->p, 0, &damaged), 1000);
	fixture_free(f);
}

Test(log_store, retention_by_size_trim_and_purge)
{
	struct fixture *f = fixture_new();
	uint64_t damaged, n;

	log_store_abandon(f->store);
	f->options.segment_bytes = 4096;
	fixture_open(f);
	for (int i = 0; i < 50; i++) {
		add_many(f->p, 20);
		commit(f);
	}
	log_stream_set_retention(f->stream,
	    (struct log_retention){.bytes = 10000});
	log_retention_run(f->store, 2000);
	cr_assert(log_partition_bytes(f->p) <= 10000);
	cr_assert(f->gone > 0);
	cr_assert(log_start(f->p) > 0);
	n = count(f->p, 0, &damaged);
	cr_assert_eq(n, 1000 - log_start(f->p));
	cr_assert(log_commit_is_wanted(f->store));
	commit(f);
	cr_assert_eq(f->saved[0].log_start, log_start(f->p));
	fixture_crash(f);
	cr_assert_eq(count(f->p, 0, &damaged), n);

	log_trim(f->p, 990);
	cr_assert_eq(log_start(f->p), 990);
	cr_assert_eq(count(f->p, 0, &damaged), 10);
	log_trim(f->p, UINT64_MAX);
	cr_assert_eq(count(f->p, 0, &damaged), 0);
	commit(f);
	fixture_crash(f);
	cr_assert_eq(log_start(f->p), 1000);
	cr_assert_eq(count(f->p, 0, &damaged), 0);
	fixture_free(f);
}

Test(log_store, retention_by_time_rolls_a_quiet_segment)
{
	struct fixture *f = fixture_new();
	uint64_t damaged;

	/* All records were taken at 1000 ms. */
	add_many(f->p, 5);
	commit(f);
	log_stream_set_retention(f->stream,
	    (struct log_retention){.time_ms = 3600000});
	log_retention_run(f->store, 3000000);
	commit(f);
	cr_assert_eq(f->segments, 2, "it was rolled");
	cr_assert_eq(count(f->p, 0, &damaged), 5);
	/* By the file's time, for the new segment is empty. */
	log_retention_run(f->store, (uint64_t)time(NULL) * 1000 + 3700000);
	cr_assert_eq(count(f->p, 0, &damaged), 0);
	cr_assert_eq(log_start(f->p), 5);
	commit(f);
	add_many(f->p, 1);
	commit(f);
	fixture_crash(f);
	cr_assert_eq(count(f->p, 0, &damaged), 1);
	cr_assert_eq(damaged, 0);
	fixture_free(f);
}

Test(log_store, a_stream_is_removed_and_made_again)
{
	struct fixture *f = fixture_new();
	struct log_stream_options options = {.name = "s", .incarnation = 10,
		.partitions = 1, .is_new = true};
	uint64_t damaged;
	DIR *dir;
	int n = 0;

	add_many(f->p, 5);
	commit(f);
	add_many(f->p, 5);
	/* While a commit is under way. */
	log_commit_start(f->store, save, f);
	log_stream_remove(f->stream);
	cr_assert(log_stream_find(f->store, "s") == NULL);
	f->stream = log_stream_open(f->store, &options);
	cr_assert(f->stream != NULL);
	f->last = (struct log_part){0};
	log_commit_wait(f->store);
	cr_assert(f->last.partition == NULL, "not told of the old one");
	f->p = log_stream_partition(f->stream, 0);
	memset(f->saved, 0, sizeof(f->saved));
	cr_assert(log_recover(f->p, &f->saved[0], NULL) == 0);
	add_many(f->p, 2);
	commit(f);
	cr_assert_eq(count(f->p, 0, &damaged), 2);
	dir = opendir(f->dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n++;
	closedir(dir);
	cr_assert_eq(n, 3, "., .. and s");
	log_stream_remove(f->stream);
	commit(f);
	fixture_free(f);
}

Test(log_store, a_flipped_byte_is_named_and_costs_one_batch)
{
	struct fixture *f = fixture_new();
	const struct log_damage *damage;
	uint64_t damaged;
	uint8_t byte;
	int fd;

	for (int i = 0; i < 5; i++) {
		add_many(f->p, 4);
		commit(f);
	}
	fd = openat(f->dirfd, "s/0/00000000000000000000.log", O_RDWR);
	cr_assert(fd >= 0);
	cr_assert(pread(fd, &byte, 1, 250) == 1);
	byte ^= 1;
	cr_assert(pwrite(fd, &byte, 1, 250) == 1);
	/* No checkpoint was made yet: recovery walks over it. */
	fixture_crash(f);
	cr_assert_eq(f->damaged, 1);
	cr_assert_eq(f->recovered, 16);
	cr_assert_eq(log_damage_get(f->p, &damage), 1);
	cr_assert_eq(damage[0].last - damage[0].first + 1, 4);
	cr_assert_eq(count(f->p, 0, &damaged), 16);
	cr_assert_eq(damaged, 4);
	close(fd);
	fixture_free(f);
}

Test(log_store, a_torn_tail_is_cut_and_a_short_file_is_damage)
{
	struct fixture *f = fixture_new();
	uint64_t damaged;
	struct stat st;
	int fd;

	for (int i = 0; i < 3; i++) {
		add_many(f->p, 4);
		commit(f);
	}
	fd = openat(f->dirfd, "s/0/00000000000000000000.log", O_RDWR);
	cr_assert(fstat(fd, &st) == 0);
	/* Past the checkpoint (there is none): the tail was not durable. */
	cr_assert(ftruncate(fd, st.st_size - 3) == 0);
	fixture_crash(f);
	cr_assert_eq(f->damaged, 0);
	cr_assert_eq(count(f->p, 0, &damaged), 8);
	cr_assert_eq(damaged, 0);
	cr_assert_eq(log_next_offset(f->p), LOG_RESERVE_STEP);
	add_many(f->p, 1);
	commit(f);
	cr_assert_eq(count(f->p, 0, &damaged), 9);
	cr_assert_eq(damaged, 0);

	/* Below a clean stop's end it is a loss, and stays one. */
	cr_assert(log_store_close(f->store, save, f) == 0);
	cr_assert(ftruncate(fd, 190) == 0);
	close(fd);
	fixture_open(f);
	cr_assert_eq(count(f->p, 0, &damaged), 5);
	cr_assert_eq(damaged, 4);
	fd = openat(f->dirfd, "s/0/00000000000001048576.log", O_RDWR);
	cr_assert(ftruncate(fd, 0) == 0);
	close(fd);
	log_store_abandon(f->store);
	f->damaged = 0;
	fixture_open(f);
	cr_assert_eq(f->damaged, 1);
	cr_assert_eq(count(f->p, LOG_RESERVE_STEP, &damaged), 0);
	cr_assert_eq(damaged, 1);
	cr_assert(log_next_offset(f->p) > LOG_RESERVE_STEP);
	/* The same when there is something behind it. */
	add_many(f->p, 3);
	commit(f);
	cr_assert_eq(count(f->p, LOG_RESERVE_STEP, &damaged), 3);
	cr_assert_eq(damaged, 1);
	fixture_crash(f);
	add_many(f->p, 1);
	commit(f);
	cr_assert_eq(count(f->p, LOG_RESERVE_STEP, &damaged), 4);
	cr_assert_eq(damaged, 1);
	fixture_free(f);
}

Test(log_store, weaker_modes_show_what_is_written)
{
	struct fixture *f = fixture_new();
	struct log_stats stats;

	log_store_abandon(f->store);
	f->options.fsync = LOG_FSYNC_NEVER;
	fixture_open(f);
	add_many(f->p, 3);
	commit(f);
	cr_assert_eq(log_high_watermark(f->p), 3);
	log_stats_get(f->store, &stats);
	cr_assert_eq(stats.syncs, 0);
	log_store_abandon(f->store);
	f->options.fsync = LOG_FSYNC_INTERVAL;
	f->options.fsync_interval_ms = 20;
	fixture_open(f);
	add_many(f->p, 3);
	commit(f);
	log_stats_get(f->store, &stats);
	cr_assert_eq(stats.syncs, 0);
	usleep(30000);
	cr_assert(log_commit_is_wanted(f->store));
	commit(f);
	log_stats_get(f->store, &stats);
	cr_assert_eq(stats.syncs, 1);
	cr_assert(!log_commit_is_wanted(f->store));
	fixture_free(f);
}

Test(log_store, finds_a_time)
{
	struct fixture *f = fixture_new();

	for (int i = 0; i < 10; i++) {
		cr_assert(log_append(f->p, 0, 0, &(struct record){
			.topic = SLICE_LIT("t"),
			.timestamp_ms = 100 * i}, NULL) == LOG_APPEND_OK);
		commit(f);
	}
	cr_assert_eq(log_find_time(f->p, 0), 0);
	cr_assert_eq(log_find_time(f->p, 250), 3);
	cr_assert_eq(log_find_time(f->p, 900), 9);
	cr_assert_eq(log_find_time(f->p, 901), 10);
	fixture_free(f);
}

Test(log_store, a_kafka_batch_is_kept_as_it_came)
{
	struct fixture *f = fixture_new();
	struct record_batch_writer w;
	struct record record;
	uint64_t offset;
	struct buf b;

	buf_init(&b);
	record_batch_begin(&w, &b, 0, 5);
	record_batch_put(&w, 1000, slice_str("k"), slice_str("v"));
	record_batch_put(&w, 1000, SLICE_NULL, SLICE_NULL);
	add_many(f->p, 1);
	cr_assert(log_append_batch(f->p, record_batch_end(&w), &offset) ==
	    LOG_APPEND_OK);
	cr_assert_eq(offset, 1);
	add_many(f->p, 1);
	cr_assert_eq(log_next_offset(f->p), 4);
	commit(f);
	cr_assert(log_read(f->p, 2, &record) == LOG_READ_OK);
	cr_assert(slice_is_null(record.payload));
	cr_assert(slice_is(record.topic, "s"));
	cr_assert(log_read(f->p, 3, &record) == LOG_READ_OK);
	cr_assert(slice_is(record.payload, "3"));
	buf_fini(&b);
	fixture_free(f);
}
