/* links: router_log ev */
/*
 * The log under load with its threads and a real loop: many partitions, two
 * commits always overlapping, readers in between. For TSan, which cannot run
 * Criterion: -DCMAKE_C_COMPILER=clang-14 -DCMAKE_C_FLAGS=-fsanitize=thread.
 */
#include "base/log.h"
#include "router/log/log.h"

#include <ev.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTITIONS 8
#define COMMITS 300
#define EXPECT(cond)                                                    \
	do {                                                            \
		if (!(cond)) {                                          \
			fprintf(stderr, "log_threads: %s\n", #cond);    \
			exit(1);                                        \
		}                                                       \
	} while (0)

static struct {
	struct ev_loop *loop;
	struct log_store *store;
	struct log_stream *stream;
	uint64_t appended[PARTITIONS], committed[PARTITIONS];
	uint64_t number;
	uint64_t rows;		/* of the commit thread */
	int commits;
} run;

static int
save(void *job, const struct log_commit *commit)
{
	(void)job;
	run.rows += commit->rows_len;
	return 0;
}

static void
append_some(void)
{
	for (int i = 0; i < 100; i++) {
		uint64_t number = ++run.number;
		uint32_t index = (uint32_t)(number % PARTITIONS);
		struct log_partition *p = log_stream_partition(run.stream,
		    index);
		struct record record;
		uint64_t offset;

		EXPECT(log_append(p, 1 + number % 3, number,
			   &(struct record){.topic = SLICE_LIT("a/b"),
			       .payload = SLICE_LIT("payload")}, &offset) ==
		    LOG_APPEND_OK);
		EXPECT(offset == run.appended[index]++);
		EXPECT(log_read(p, offset / 2, &record) == LOG_READ_OK);
		EXPECT(record.offset == offset / 2);
	}
}

static void
turn(void)
{
	append_some();
	log_checkpoint_is_due(run.store);
	log_commit_start(run.store, save, NULL);
	append_some(); /* while it runs */
}

static void
on_committed(void *owner, void *job, const struct log_commit *commit)
{
	(void)owner, (void)job;
	EXPECT(commit->error == 0 && !commit->has_refused);
	for (size_t i = 0; i < commit->parts_len; i++) {
		const struct log_part *part = &commit->parts[i];
		uint32_t index = log_partition_index(part->partition);

		EXPECT(part->first == run.committed[index]);
		run.committed[index] = part->end;
		EXPECT(log_high_watermark(part->partition) == part->end);
	}
	if (++run.commits < COMMITS)
		turn();
	else
		ev_break(run.loop, EVBREAK_ALL);
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int
main(void)
{
	static const struct log_events events = {.on_committed = on_committed};
	char dir[] = "/tmp/log_threads.XXXXXX";
	struct log_options options = {.events = &events,
		.segment_bytes = 1 << 16, .cache_bytes = 1 << 18,
		.checkpoint_interval_ms = 1};

	EXPECT(mkdtemp(dir) != NULL);
	run.loop = options.loop = ev_loop_new(EVFLAG_AUTO);
	options.dirfd = open(dir, O_RDONLY | O_DIRECTORY);
	run.store = log_store_new(&options);
	run.stream = log_stream_open(run.store, &(struct log_stream_options){
		.name = "s", .incarnation = 1, .partitions = PARTITIONS,
		.is_cached = true});
	for (uint32_t i = 0; i < PARTITIONS; i++)
		EXPECT(log_recover(log_stream_partition(run.stream, i),
			   &(struct log_state){0}, NULL) == 0);
	turn();
	/* The log alone does not keep a loop alive. */
	ev_ref(run.loop);
	ev_run(run.loop, 0);
	EXPECT(run.commits == COMMITS);
	EXPECT(log_store_close(run.store, save, NULL) == 0);
	for (int i = 0; i < PARTITIONS; i++)
		EXPECT(run.committed[i] == run.appended[i]);
	EXPECT(run.rows > 0);
	ev_loop_destroy(run.loop);
	close(options.dirfd);
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	printf("log_threads: %d commits\n", run.commits);
	return 0;
}
