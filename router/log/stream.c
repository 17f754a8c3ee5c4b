#include "router/log/store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REMOVED ".removed-"
#define DAMAGE_MAX 1000		/* named in status; more is a lost disk */

/* ---- removal of files, off the loop ------------------------------------- */

void
removals_add(struct removals *r, int flags, const char *fmt, ...)
{
	struct removal *removal;
	va_list ap;

	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 8 : r->cap * 2;
		r->v = mem_realloc(r->v, r->cap * sizeof(*r->v));
	}
	removal = &r->v[r->n++];
	removal->flags = flags;
	va_start(ap, fmt);
	vsnprintf(removal->path, sizeof(removal->path), fmt, ap);
	va_end(ap);
}

void
removals_run(const struct log_store *s, struct removals *r)
{
	for (size_t i = 0; i < r->n; i++)
		(void)s->limits.io->unlinkat(s->limits.io_arg,
		    s->options.dirfd, r->v[i].path, r->v[i].flags);
	r->n = 0;
}

/* Forgets what is to be removed of a stream that goes as a whole. */
static void
removals_drop(struct removals *r, const char *stream)
{
	size_t len = strlen(stream), n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (strncmp(r->v[i].path, stream, len) != 0 ||
		    r->v[i].path[len] != '/')
			r->v[n++] = r->v[i];
	r->n = n;
}

static int
dir_open(int dirfd, const char *name)
{
	return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Calls fn with the path of each entry of a folder of DATA/streams. */
static void
dir_walk(struct log_store *s, const char *path,
    void (*fn)(struct log_store *s, const char *path))
{
	int fd = dir_open(s->options.dirfd, path);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char *name;

	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		name = strcmp(path, ".") == 0
		    ? mem_strdup(entry->d_name)
		    : mem_printf("%s/%s", path, entry->d_name);
		fn(s, name);
		free(name);
	}
	closedir(dir);
}

static void
remove_file(struct log_store *s, const char *path)
{
	removals_add(&s->removals, 0, "%s", path);
}

static void
remove_partition(struct log_store *s, const char *path)
{
	dir_walk(s, path, remove_file);
	removals_add(&s->removals, AT_REMOVEDIR, "%s", path);
}

/* Queues the removal of a folder that has its tombstone's name already. */
static void
remove_buried(struct log_store *s, const char *path)
{
	if (strncmp(path, REMOVED, sizeof(REMOVED) - 1) != 0)
		return;
	dir_walk(s, path, remove_partition);
	removals_add(&s->removals, AT_REMOVEDIR, "%s", path);
}

void
streams_sweep(struct log_store *s)
{
	dir_walk(s, ".", remove_buried);
}

/*
 * At once out of the way of a new stream of the same name; its files go with
 * the next commit, for the removal of a long one blocks.
 */
static int
stream_bury(struct log_store *s, const char *name)
{
	char grave[LOG_STREAM_NAME_MAX + 32];

	snprintf(grave, sizeof(grave), REMOVED "%016" PRIx64, random_u64());
	if (s->limits.io->renameat(s->limits.io_arg, s->options.dirfd, name,
		grave) == -1)
		return errno == ENOENT ? 0 : -1;
	removals_drop(&s->removals, name);
	remove_buried(s, grave);
	return 0;
}

/* ---- streams ------------------------------------------------------------ */

static int
dir_make(struct log_store *s, int dirfd, const char *name)
{
	if (s->limits.io->mkdirat(s->limits.io_arg, dirfd, name, 0750) == 0)
		return s->limits.io->fsync(s->limits.io_arg, dirfd);
	return errno == EEXIST ? 0 : -1;
}

static int
partitions_open(struct log_store *s, struct log_stream *t)
{
	int dirfd, error = 0;

	if (dir_make(s, s->options.dirfd, t->name) == -1)
		return -1;
	dirfd = dir_open(s->options.dirfd, t->name);
	if (dirfd == -1)
		return -1;
	for (uint32_t i = 0; i < t->partitions_len && error == 0; i++) {
		struct log_partition *p = &t->partitions[i];
		char name[16];

		snprintf(name, sizeof(name), "%" PRIu32, i);
		error = dir_make(s, dirfd, name);
		if (error == 0)
			p->dirfd = dir_open(dirfd, name);
		if (p->dirfd == -1)
			error = -1;
	}
	close(dirfd);
	return error;
}

static void
partition_init(struct log_partition *p, struct log_stream *t, uint32_t index)
{
	p->stream = t;
	p->index = index;
	p->dirfd = p->fd = p->read.fd = -1;
	segment_scan_init(&p->read.scan);
	buf_init(&p->read.inflated);
}

/* What it gathered is not for the next commit any more. */
static void
partition_forget(struct log_partition *p)
{
	struct log_store *s = p->stream->store;

	for (size_t i = 0; p->is_dirty && i < s->dirty_len; i++)
		if (s->dirty[i] == p) {
			s->dirty[i] = s->dirty[--s->dirty_len];
			p->is_dirty = false;
		}
	partition_drop(p);
}

static void
partition_fini(struct log_partition *p)
{
	struct log_store *s = p->stream->store;

	partition_forget(p);
	gather_give(s, p->flying);
	gather_uncache(p);
	for (size_t i = 0; i < p->segments_len; i++)
		segment_fini(&p->segments[i]);
	free(p->segments);
	senders_fini(&p->senders);
	read_fini(&p->read);
	free(p->damage);
	if (p->fd != -1)
		s->limits.io->close(s->limits.io_arg, p->fd);
	if (p->dirfd != -1)
		close(p->dirfd);
}

void
stream_free(struct log_stream *t)
{
	for (uint32_t i = 0; i < t->partitions_len; i++)
		partition_fini(&t->partitions[i]);
	free(t->partitions);
	free((void *)(uintptr_t)t->topic.p);
	free(t->name);
	free(t);
}

static struct log_stream *
stream_new(struct log_store *s, const struct log_stream_options *options)
{
	struct log_stream *t = mem_zalloc(1, sizeof(*t));
	char *topic = mem_strdup(options->name);

	for (char *c = topic; *c != '\0'; c++)
		if (*c == '.')
			*c = '/';
	t->store = s;
	t->name = mem_strdup(options->name);
	t->topic = slice_str(topic);
	t->incarnation = options->incarnation;
	t->retention = options->retention;
	t->is_cached = options->is_cached;
	t->partitions_len = options->partitions;
	t->partitions = mem_zalloc(t->partitions_len, sizeof(*t->partitions));
	for (uint32_t i = 0; i < t->partitions_len; i++)
		partition_init(&t->partitions[i], t, i);
	return t;
}

struct log_stream *
log_stream_open(struct log_store *s, const struct log_stream_options *options)
{
	struct log_stream *t;
	int error;

	if (!log_stream_name_is_valid(slice_str(options->name)) ||
	    options->partitions == 0) {
		errno = EINVAL;
		return NULL;
	}
	if (log_stream_find(s, options->name) != NULL) {
		errno = EEXIST;
		return NULL;
	}
	if (options->is_new && stream_bury(s, options->name) == -1)
		return NULL;
	t = stream_new(s, options);
	if (partitions_open(s, t) == -1) {
		error = errno;
		stream_free(t);
		errno = error;
		return NULL;
	}
	t->next = s->streams;
	s->streams = t;
	return t;
}

struct log_stream *
log_stream_find(struct log_store *s, const char *name)
{
	struct log_stream *t = s->streams;

	while (t != NULL && (t->is_removed || strcmp(t->name, name) != 0))
		t = t->next;
	return t;
}

void
log_stream_remove(struct log_stream *t)
{
	struct log_store *s = t->store;
	struct log_stream **link = &s->streams;
	bool is_flying = false;

	if (stream_bury(s, t->name) == -1)
		log_error("stream %s: its files stay: %s", t->name,
		    strerror(errno));
	t->is_removed = true;
	for (size_t i = 0; s->job != NULL && i < s->job->parts_len; i++)
		if (s->job->parts[i].partition->stream == t)
			is_flying = true;
	for (size_t i = 0; s->job != NULL && i < s->job->rows_len; i++)
		if (s->job->rows[i].partition->stream == t)
			is_flying = true;
	if (is_flying) {
		/* The commit under way still needs it; no other one does. */
		for (uint32_t i = 0; i < t->partitions_len; i++)
			partition_forget(&t->partitions[i]);
		return;
	}
	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	stream_free(t);
}

struct log_partition *
log_stream_partition(struct log_stream *t, uint32_t index)
{
	return index < t->partitions_len ? &t->partitions[index] : NULL;
}

const char *
log_stream_name(const struct log_stream *t)
{
	return t->name;
}

uint64_t
log_stream_incarnation(const struct log_stream *t)
{
	return t->incarnation;
}

uint32_t
log_stream_partitions(const struct log_stream *t)
{
	return t->partitions_len;
}

void
log_stream_set_retention(struct log_stream *t, struct log_retention retention)
{
	t->retention = retention;
}

void
log_stream_set_owner(struct log_stream *t, void *owner)
{
	t->owner = owner;
}

void *
log_stream_owner(const struct log_stream *t)
{
	return t->owner;
}

/* ---- partitions --------------------------------------------------------- */

uint64_t
log_start(const struct log_partition *p)
{
	return p->log_start;
}

uint64_t
log_high_watermark(const struct log_partition *p)
{
	return p->high_watermark;
}

uint64_t
log_next_offset(const struct log_partition *p)
{
	return p->next_offset;
}

struct log_stream *
log_partition_stream(const struct log_partition *p)
{
	return p->stream;
}

uint32_t
log_partition_index(const struct log_partition *p)
{
	return p->index;
}

void
partition_add_damage(struct log_partition *p, const struct log_damage *damage)
{
	for (size_t i = 0; i < p->damage_len; i++)
		if (p->damage[i].first == damage->first &&
		    p->damage[i].last == damage->last)
			return;
	log_error("stream %s/%" PRIu32 ": damage in segment %020" PRIu64
	    ".log at byte %" PRIu64 ": offsets %" PRIu64 " to %" PRIu64
	    " cannot be read", p->stream->name, p->index, damage->segment,
	    damage->position, damage->first, damage->last);
	if (p->damage_len == DAMAGE_MAX)
		return;
	p->damage = mem_realloc(p->damage,
	    (p->damage_len + 1) * sizeof(*p->damage));
	p->damage[p->damage_len++] = *damage;
}

size_t
log_damage_get(const struct log_partition *p,
    const struct log_damage **damage)
{
	*damage = p->damage;
	return p->damage_len;
}

uint64_t
log_partition_bytes(const struct log_partition *p)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < p->segments_len; i++)
		bytes += p->segments[i].bytes;
	return bytes;
}

int
log_segment_open(const struct log_partition *p, uint64_t base_offset)
{
	char name[LOG_SEGMENT_NAME];

	log_segment_name(name, base_offset);
	return openat(p->dirfd, name, O_RDONLY | O_CLOEXEC);
}
