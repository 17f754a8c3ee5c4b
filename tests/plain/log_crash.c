/* links: router_log */
/*
 * Crash states of the log: a scripted run over a disk that records every
 * write, sync and change of a folder. The run is then cut behind each sync
 * (and between them); what was not synced is kept, dropped or torn; the
 * files that result are recovered, and it is checked that
 *
 *  - what was acknowledged before the cut is there,
 *  - what is there is what was appended at that offset,
 *  - the next offset is beyond all that somebody may have seen,
 *  - a number that is there is a duplicate, one that is not there is not.
 *
 * A plain program: exit status 0, or 1 with the first fault. The seed may be
 * given: log_crash SEED.
 */
#include "base/log.h"
#include "base/log_reader.h"
#include "base/mem.h"
#include "router/log/io.h"
#include "router/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTITIONS 2
#define SENDERS 3
#define COMMITS 60
#define FILES 512
#define OPS 20000
#define RECORDS 4000

#define EXPECT(cond, ...)                                             \
	do {                                                          \
		if (!(cond)) {                                        \
			fprintf(stderr, "log_crash: %s: ", #cond);    \
			fprintf(stderr, __VA_ARGS__);                 \
			fprintf(stderr, " (cut %zu, %s, seed %u)\n",  \
			    cut_now, variant_name, seed);             \
			exit(1);                                      \
		}                                                     \
	} while (0)

static size_t cut_now;
static const char *variant_name = "run";
static unsigned seed = 1;

static unsigned
rnd(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

/* ---- the recording disk ------------------------------------------------- */

enum op_kind {
	OP_CREATE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC,
	OP_UNLINK,
	OP_SYNC_DIR,
	OP_DB,		/* the transaction is durable */
	OP_ACK,		/* everything up to acked[] is acknowledged */
};

struct op {
	enum op_kind kind;
	int file;
	char dir[16];		/* SYNC_DIR: below the root, "s/0" */
	off_t at;
	size_t len;
	uint8_t *data;
};

struct saved {
	struct log_state state;
	struct log_sender senders[LOG_SENDERS_MAX];
};

struct appended {
	uint32_t partition;
	uint64_t offset, sender, number;
	size_t at_op;		/* ops there were when it was appended */
	size_t acked_op;	/* the OP_ACK of it, SIZE_MAX none */
	bool is_refused;
};

static struct {
	pthread_mutex_t lock;
	char root[64];
	struct op ops[OPS];
	size_t ops_len;
	char path[FILES][64];
	int files;
	int fd_file[1024];
	int sync_error, write_error;	/* countdown to a failure, 0 none */
	struct saved db[OPS / 8][PARTITIONS];
	size_t db_len;
	struct appended appended[RECORDS];
	size_t appended_len;
	uint64_t log_start[PARTITIONS];	/* greatest that was ever asked for */
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct op *
op_add(enum op_kind kind, int file)
{
	struct op *op = &disk.ops[disk.ops_len++];

	bug_on(disk.ops_len == OPS);
	op->kind = kind;
	op->file = file;
	return op;
}

/* The path of a descriptor below the root. */
static void
fd_path(int fd, char *out, size_t cap)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	snprintf(out, cap, "%s", strlen(path) > strlen(disk.root)
	    ? path + strlen(disk.root) + 1 : "");
}

static int
file_find(const char *path)
{
	for (int i = disk.files; i > 0; i--)
		if (strcmp(disk.path[i - 1], path) == 0)
			return i - 1;
	return -1;
}

static int
rec_openat(void *arg, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd = log_io_system.openat(NULL, dirfd, name, flags, mode);
	char dir[64], path[128];

	(void)arg;
	if (fd == -1)
		return -1;
	pthread_mutex_lock(&disk.lock);
	fd_path(dirfd, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((flags & O_CREAT) != 0) {
		snprintf(disk.path[disk.files], sizeof(disk.path[0]), "%.63s",
		    path);
		op_add(OP_CREATE, disk.files++);
	}
	disk.fd_file[fd] = file_find(path);
	pthread_mutex_unlock(&disk.lock);
	return fd;
}

static bool
counts_down(int *n)
{
	return *n > 0 && --*n == 0;
}

static ssize_t
rec_pwrite(void *arg, int fd, const void *p, size_t n, off_t at)
{
	struct op *op;

	(void)arg;
	pthread_mutex_lock(&disk.lock);
	if (counts_down(&disk.write_error)) {
		pthread_mutex_unlock(&disk.lock);
		errno = ENOSPC;
		return -1;
	}
	op = op_add(OP_WRITE, disk.fd_file[fd]);
	op->at = at;
	op->len = n;
	op->data = mem_alloc(n);
	memcpy(op->data, p, n);
	pthread_mutex_unlock(&disk.lock);
	return pwrite(fd, p, n, at);
}

static int
rec_ftruncate(void *arg, int fd, off_t size)
{
	(void)arg;
	pthread_mutex_lock(&disk.lock);
	op_add(OP_TRUNCATE, disk.fd_file[fd])->at = size;
	pthread_mutex_unlock(&disk.lock);
	return ftruncate(fd, size);
}

static int
rec_fdatasync(void *arg, int fd)
{
	bool fails;

	(void)arg;
	pthread_mutex_lock(&disk.lock);
	fails = counts_down(&disk.sync_error);
	if (!fails)
		op_add(OP_SYNC, disk.fd_file[fd]);
	pthread_mutex_unlock(&disk.lock);
	errno = EIO;
	return fails ? -1 : 0;
}

static int
rec_fsync(void *arg, int fd)
{
	(void)arg;
	pthread_mutex_lock(&disk.lock);
	fd_path(fd, op_add(OP_SYNC_DIR, -1)->dir, sizeof(disk.ops[0].dir));
	pthread_mutex_unlock(&disk.lock);
	return 0;
}

static int
rec_unlinkat(void *arg, int dirfd, const char *path, int flags)
{
	char dir[64], whole[192];

	(void)arg;
	pthread_mutex_lock(&disk.lock);
	fd_path(dirfd, dir, sizeof(dir));
	snprintf(whole, sizeof(whole), "%s%s%s", dir,
	    dir[0] != '\0' ? "/" : "", path);
	op_add(OP_UNLINK, file_find(whole));
	pthread_mutex_unlock(&disk.lock);
	return unlinkat(dirfd, path, flags);
}

static int
quiet_sync(void *arg, int fd)
{
	(void)arg, (void)fd;
	return 0;
}

/* Thousands of files come and go: in memory where there is such a folder. */
static void
folder_make(char *path, size_t cap, const char *name)
{
	snprintf(path, cap, "%s/%s.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", name);
	bug_on(mkdtemp(path) == NULL);
}

/* ---- the run ------------------------------------------------------------ */

static int
save(void *job, const struct log_commit *commit)
{
	struct saved *to, *from;

	(void)job;
	pthread_mutex_lock(&disk.lock);
	from = disk.db[disk.db_len];
	to = disk.db[++disk.db_len];
	memcpy(to, from, sizeof(disk.db[0]));
	for (size_t i = 0; i < commit->rows_len; i++) {
		const struct log_row *row = &commit->rows[i];
		struct saved *s = &to[row->index];

		s->state.reserved_end = row->state.reserved_end;
		s->state.log_start = row->state.log_start;
		if (!row->is_checkpoint)
			continue;
		s->state = row->state;
		if (row->state.senders_len > 0)
			memcpy(s->senders, row->state.senders,
			    row->state.senders_len * sizeof(*s->senders));
	}
	op_add(OP_DB, (int)disk.db_len);
	pthread_mutex_unlock(&disk.lock);
	return 0;
}

static void
on_committed(void *owner, void *job, const struct log_commit *commit)
{
	size_t at;

	(void)owner, (void)job;
	pthread_mutex_lock(&disk.lock);
	at = disk.ops_len;
	op_add(OP_ACK, -1);
	pthread_mutex_unlock(&disk.lock);
	for (size_t i = 0; i < commit->parts_len; i++) {
		const struct log_part *part = &commit->parts[i];

		for (size_t j = 0; j < disk.appended_len; j++) {
			struct appended *a = &disk.appended[j];

			if (a->partition !=
				log_partition_index(part->partition) ||
			    a->offset < part->first ||
			    a->offset >= part->refused_end)
				continue;
			if (part->error == 0 && a->offset < part->end)
				a->acked_op = at;
			else if (part->error != 0)
				a->is_refused = true;
		}
	}
}

static void
payload_of(const struct appended *a, char text[64])
{
	/* Some are long, so that commits have several pages. */
	int n = snprintf(text, 64, "%u %lu %lu %lu ", a->partition, a->sender,
	    a->number, a->offset);

	memset(text + n, 'x', (size_t)(63 - n));
	text[a->offset % 3 == 0 ? 63 : n] = '\0';
}

static void
append(struct log_stream *stream, uint64_t *numbers)
{
	struct appended *a = &disk.appended[disk.appended_len];
	uint64_t sender = 1 + rnd(SENDERS), offset;
	struct log_partition *p;
	char text[64];

	a->partition = rnd(PARTITIONS);
	p = log_stream_partition(stream, a->partition);
	a->sender = sender;
	a->number = ++numbers[sender];
	a->offset = log_next_offset(p);
	a->acked_op = SIZE_MAX;
	payload_of(a, text);
	switch (log_append(p, sender, a->number, &(struct record){
		.topic = SLICE_LIT("t"), .payload = slice_str(text)}, &offset)) {
	case LOG_APPEND_OK:
		break;
	case LOG_APPEND_NO_SPACE:
		return;
	case LOG_APPEND_DUPLICATE:
	case LOG_APPEND_TOO_LARGE:
		EXPECT(false, "append");
	}
	EXPECT(offset == a->offset, "%lu is not %lu", offset, a->offset);
	pthread_mutex_lock(&disk.lock);
	a->at_op = disk.ops_len;
	pthread_mutex_unlock(&disk.lock);
	disk.appended_len++;
}

static struct log_store *
store_open(const struct log_io *io, int dirfd,
    const struct log_events *events, struct log_stream **stream)
{
	struct log_options options = {.dirfd = dirfd, .events = events,
		.io = io, .writers = 2, .segment_bytes = 6000,
		.allocate_bytes = 4096, .batch_bytes = 600,
		.checkpoint_interval_ms = 1};
	struct log_store *s = log_store_new(&options);

	*stream = log_stream_open(s, &(struct log_stream_options){
		.name = "s", .incarnation = 9, .partitions = PARTITIONS});
	bug_on(*stream == NULL);
	return s;
}

static void
run(void)
{
	static const struct log_events events = {.on_committed = on_committed};
	struct log_io io = log_io_system;
	uint64_t numbers[SENDERS + 1] = {0};
	struct log_stream *stream;
	struct log_store *s;
	int dirfd = open(disk.root, O_RDONLY | O_DIRECTORY);

	io.openat = rec_openat;
	io.pwrite = rec_pwrite;
	io.ftruncate = rec_ftruncate;
	io.fdatasync = rec_fdatasync;
	io.fsync = rec_fsync;
	io.unlinkat = rec_unlinkat;
	s = store_open(&io, dirfd, &events, &stream);
	for (uint32_t i = 0; i < PARTITIONS; i++)
		bug_on(log_recover(log_stream_partition(stream, i),
			   &(struct log_state){0}, NULL) != 0);
	for (int i = 0; i < COMMITS; i++) {
		struct log_partition *p = log_stream_partition(stream, 0);

		for (unsigned n = rnd(14); n > 0; n--)
			append(stream, numbers);
		if (i % 5 == 4)
			log_checkpoint_is_due(s);
		if (i == 20)
			disk.sync_error = 1;
		if (i == 40) {
			/* Space comes back after 200 ms. */
			disk.write_error = 1;
		}
		if (i == 30) {
			disk.log_start[0] = log_high_watermark(p) / 2;
			log_trim(p, disk.log_start[0]);
		}
		log_commit_start(s, save, NULL);
		for (unsigned n = rnd(6); n > 0; n--)
			append(stream, numbers);
		log_commit_wait(s);
		if (i == 40)
			usleep(220000);
	}
	bug_on(log_store_close(s, save, NULL) != 0);
	close(dirfd);
}

/* ---- a state of the disk ------------------------------------------------ */

enum variant { KEEP_ALL, DROP_ALL, KEEP_SOME };

static const char *const variants[] = {
	[KEEP_ALL] = "kept", [DROP_ALL] = "dropped", [KEEP_SOME] = "torn"};

struct image {
	bool is_there;
	struct buf bytes;
};

static void
image_write(struct image *image, const struct op *op, size_t from, size_t to)
{
	struct buf *b = &image->bytes;
	size_t end = (size_t)op->at + to;

	if (from >= to)
		return;
	if (b->len < end) {
		memset(buf_reserve(b, end - b->len), 0, end - b->len);
		b->len = end;
	}
	memcpy(b->p + (size_t)op->at + from, op->data + from, to - from);
}

static void
image_truncate(struct image *image, size_t size)
{
	if (image->bytes.len < size) {
		size_t n = size - image->bytes.len;

		memset(buf_reserve(&image->bytes, n), 0, n);
	}
	image->bytes.len = size;
}

/* A write of which nobody knows what got to the disk: sector by sector. */
static void
image_tear(struct image *image, const struct op *op)
{
	size_t from = 0;

	while (from < op->len) {
		size_t to = ((size_t)op->at + from) / 512 * 512 + 512 -
		    (size_t)op->at;

		if (to > op->len)
			to = op->len;
		if (rnd(2) == 0)
			image_write(image, op, from, to);
		from = to;
	}
}

/* Is the op durable for certain at the cut? */
static bool
is_durable(size_t i, size_t cut)
{
	const struct op *op = &disk.ops[i];

	for (size_t j = i + 1; j < cut; j++) {
		const struct op *sync = &disk.ops[j];
		bool is_data = op->kind == OP_WRITE ||
		    op->kind == OP_TRUNCATE;

		if (is_data && sync->kind == OP_SYNC && sync->file == op->file)
			return true;
		if (!is_data && sync->kind == OP_SYNC_DIR &&
		    strncmp(disk.path[op->file], sync->dir,
			strlen(sync->dir)) == 0)
			return true;
	}
	return false;
}

static void
image_apply(struct image *images, const struct op *op, bool is_certain,
    enum variant variant, bool *folder_ends)
{
	struct image *image = &images[op->file];
	bool is_kept = is_certain || variant == KEEP_ALL ||
	    (variant == KEEP_SOME && rnd(2) == 0);

	switch (op->kind) {
	case OP_CREATE:
	case OP_UNLINK:
		/* Folders are journaled: in order, up to some point. */
		if (!is_kept)
			*folder_ends = true;
		if (is_certain || !*folder_ends)
			image->is_there = op->kind == OP_CREATE;
		break;
	case OP_WRITE:
		if (is_certain || variant == KEEP_ALL)
			image_write(image, op, 0, op->len);
		else if (variant == KEEP_SOME)
			image_tear(image, op);
		break;
	case OP_TRUNCATE:
		if (is_kept)
			image_truncate(image, (size_t)op->at);
		break;
	case OP_SYNC:
	case OP_SYNC_DIR:
	case OP_DB:
	case OP_ACK:
		break;
	}
}

static void
state_build(size_t cut, enum variant variant, const char *root)
{
	static struct image images[FILES];
	bool folder_ends = false;
	char path[192];

	for (int i = 0; i < disk.files; i++) {
		images[i].is_there = false;
		buf_clear(&images[i].bytes);
	}
	for (size_t i = 0; i < cut; i++)
		if (disk.ops[i].file >= 0 && disk.ops[i].kind <= OP_UNLINK)
			image_apply(images, &disk.ops[i], is_durable(i, cut),
			    variant, &folder_ends);
	snprintf(path, sizeof(path), "%s/s", root);
	mkdir(path, 0700);
	for (int i = 0; i < PARTITIONS; i++) {
		snprintf(path, sizeof(path), "%s/s/%d", root, i);
		mkdir(path, 0700);
	}
	for (int i = 0; i < disk.files; i++) {
		int fd;

		if (!images[i].is_there)
			continue;
		snprintf(path, sizeof(path), "%s/%s", root, disk.path[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		bug_on(fd == -1 || write(fd, images[i].bytes.p,
		    images[i].bytes.len) != (ssize_t)images[i].bytes.len);
		close(fd);
	}
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
	(void)st, (void)type;
	return ftw->level == 0 ? 0 : remove(path);
}

/* ---- what must be true of it -------------------------------------------- */

struct found {
	bool is_found[RECORDS];
	size_t n;
	bool has_damage;
};

static const struct appended *
appended_find(uint32_t partition, uint64_t offset)
{
	for (size_t i = 0; i < disk.appended_len; i++)
		if (disk.appended[i].partition == partition &&
		    disk.appended[i].offset == offset)
			return &disk.appended[i];
	return NULL;
}

static void
read_all(struct log_partition *p, struct found *found)
{
	struct log_reader *r = log_reader_new("s", 9, 0);
	struct log_segment segment;
	struct record record;
	struct log_range range;
	enum log_reader_answer answer;

	for (size_t i = 0; log_segment_get(p, i, &segment); i++)
		log_reader_add_segment(r, segment.base_offset,
		    log_segment_open(p, segment.base_offset));
	log_reader_set_bounds(r, log_start(p), log_high_watermark(p));
	while ((answer = log_reader_next(r, &record, &range)) !=
	    LOG_READER_END) {
		const struct appended *a;
		char text[64];

		if (answer == LOG_READER_TRIMMED)
			continue;
		if (answer == LOG_READER_DAMAGED) {
			found->has_damage = true;
			continue;
		}
		EXPECT(answer == LOG_READER_RECORD, "answer %d", answer);
		a = appended_find(log_partition_index(p), record.offset);
		EXPECT(a != NULL, "offset %lu was never assigned",
		    record.offset);
		payload_of(a, text);
		EXPECT(slice_is(record.payload, text), "'%.*s' is not '%s'",
		    SLICE_ARG(record.payload), text);
		EXPECT(!found->is_found[a - disk.appended], "twice");
		found->is_found[a - disk.appended] = true;
		found->n++;
	}
	log_reader_free(r);
}

static void
check_records(const struct found *found, struct log_stream *stream,
    size_t cut)
{
	for (size_t i = 0; i < disk.appended_len; i++) {
		const struct appended *a = &disk.appended[i];
		const struct log_partition *p = log_stream_partition(stream,
		    a->partition);

		if (a->at_op >= cut)
			break;
		EXPECT(log_next_offset(p) > a->offset ||
			(a->acked_op >= cut && !found->is_found[i]),
		    "offset %lu would be used again", a->offset);
		if (a->acked_op < cut &&
		    a->offset >= disk.log_start[a->partition])
			EXPECT(found->is_found[i],
			    "partition %u offset %lu was acknowledged",
			    a->partition, a->offset);
	}
}

/* Hands everything over again, as the senders would. */
static void
check_numbers(const struct found *found, struct log_stream *stream,
    size_t cut)
{
	for (size_t i = 0; i < disk.appended_len; i++) {
		const struct appended *a = &disk.appended[i];
		enum log_append answer;

		if (a->at_op >= cut || a->is_refused ||
		    a->offset < disk.log_start[a->partition])
			continue;
		answer = log_append(log_stream_partition(stream,
		    a->partition), a->sender, a->number, &(struct record){
		    .topic = SLICE_LIT("t")}, NULL);
		if (found->is_found[i] && !found->has_damage)
			EXPECT(answer == LOG_APPEND_DUPLICATE,
			    "number %lu is there", a->number);
		if (!found->is_found[i])
			EXPECT(answer == LOG_APPEND_OK,
			    "number %lu of %lu is lost (%d)", a->number,
			    a->sender, answer);
	}
}

static void
check_state(size_t cut, enum variant variant)
{
	static struct found found, again;
	struct log_io io = log_io_system;
	struct log_stream *stream;
	struct log_store *s;
	char root[64];
	const struct saved *saved;
	size_t db = 0;
	int dirfd;

	cut_now = cut;
	variant_name = variants[variant];
	memset(&found, 0, sizeof(found));
	memset(&again, 0, sizeof(again));
	folder_make(root, sizeof(root), "log_crash_state");
	state_build(cut, variant, root);
	for (size_t i = 0; i < cut; i++)
		if (disk.ops[i].kind == OP_DB)
			db = (size_t)disk.ops[i].file;
	saved = disk.db[db];
	io.fdatasync = quiet_sync;
	io.fsync = quiet_sync;
	dirfd = open(root, O_RDONLY | O_DIRECTORY);
	/* Twice: recovery may be cut as well. */
	for (int i = 0; i < 2; i++) {
		s = store_open(&io, dirfd, NULL, &stream);
		for (uint32_t j = 0; j < PARTITIONS; j++) {
			struct log_state state = saved[j].state;

			state.senders = saved[j].senders;
			EXPECT(log_recover(log_stream_partition(stream, j),
				   &state, NULL) == 0, "recovery fails");
			read_all(log_stream_partition(stream, j),
			    i == 0 ? &found : &again);
		}
		if (i == 0)
			log_store_abandon(s);
	}
	EXPECT(found.n == again.n, "%zu, then %zu", found.n, again.n);
	check_records(&found, stream, cut);
	check_numbers(&found, stream, cut);
	log_commit_start(s, NULL, NULL);
	log_commit_wait(s);
	log_store_abandon(s);
	close(dirfd);
	nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	rmdir(root);
}

int
main(int argc, char **argv)
{
	size_t states = 0;

	if (argc > 1)
		seed = (unsigned)strtoul(argv[1], NULL, 10);
	log_set(LOG_ERROR + 1, false);
	folder_make(disk.root, sizeof(disk.root), "log_crash");
	run();
	for (size_t cut = 0; cut <= disk.ops_len; cut++) {
		enum op_kind kind = cut == 0 ? OP_ACK
					     : disk.ops[cut - 1].kind;

		/* Behind each sync, and behind one write in four. */
		if (kind != OP_SYNC && kind != OP_SYNC_DIR && kind != OP_DB &&
		    kind != OP_ACK && cut % 4 != 0)
			continue;
		for (int v = KEEP_ALL; v <= KEEP_SOME; v++, states++)
			check_state(cut, (enum variant)v);
		check_state(cut, KEEP_SOME);
		states++;
	}
	nftw(disk.root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	rmdir(disk.root);
	for (size_t i = 0; i < disk.ops_len; i++)
		free(disk.ops[i].data);
	printf("log_crash: %zu operations, %zu records, %zu states\n",
	    disk.ops_len, disk.appended_len, states);
	return 0;
}
