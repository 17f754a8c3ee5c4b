#include "router/log/store.h"

#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room behind a segment's end that is worth giving back. */
#define ROOM_MIN ((uint64_t)1 << 20)

/* One partition's recovery. */
struct recovery {
	struct log_partition *p;
	const struct log_state *state;
	const struct log_recovery *callbacks;
	struct segment_scan scan;
	struct record_space space;
	struct buf inflated;
	uint64_t expected;	/* offset of the next batch */
	uint64_t tail_end;	/* offset at which a damaged tail ends */
	bool has_damage;	/* numbers behind it count no more */
	bool has_settled;	/* something was made durable */
};

/* ---- what is on disk ---------------------------------------------------- */

static int
compare_offsets(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The base offsets of all segment files, sorted; -1 with errno. */
static ssize_t
segments_list(const struct log_partition *p, uint64_t **list)
{
	int fd = openat(p->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	size_t n = 0, cap = 0;
	struct dirent *entry;
	uint64_t base;

	*list = NULL;
	if (dir == NULL) {
		if (fd != -1)
			close(fd);
		return -1;
	}
	while ((errno = 0, entry = readdir(dir)) != NULL) {
		if (!log_segment_parse(entry->d_name, &base))
			continue;
		if (n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			*list = mem_realloc(*list, cap * sizeof(**list));
		}
		(*list)[n++] = base;
	}
	if (errno != 0) {
		closedir(dir);
		return -1;
	}
	closedir(dir);
	if (n > 0)
		qsort(*list, n, sizeof(**list), compare_offsets);
	return (ssize_t)n;
}

/*
 * Fills p->segments. Those that retention had given up before the crash are
 * queued for removal.
 */
static int
segments_load(struct log_partition *p)
{
	uint64_t *list;
	ssize_t n = segments_list(p, &list);

	if (n == -1)
		return errno;
	for (ssize_t i = 0; i < n; i++) {
		char name[LOG_SEGMENT_NAME];
		struct segment *segment;
		struct stat st;

		log_segment_name(name, list[i]);
		if (i + 1 < n && list[i + 1] <= p->log_start) {
			removals_add(&p->stream->store->removals, 0,
			    "%s/%" PRIu32 "/%s", p->stream->name, p->index,
			    name);
			continue;
		}
		if (fstatat(p->dirfd, name, &st, 0) == -1) {
			free(list);
			return errno;
		}
		segment = segment_add(p, list[i]);
		segment->bytes = (uint64_t)st.st_size;
		segment->allocated = (uint64_t)st.st_blocks * 512;
		if (segment->allocated < segment->bytes)
			segment->allocated = segment->bytes;
		segment->end_offset = i + 1 < n &&
			list[i + 1] % LOG_GAP_ALIGN != 0
		    ? list[i + 1] : UINT64_MAX;
	}
	free(list);
	return 0;
}

/* ---- scanning ----------------------------------------------------------- */

static void
recover_records(struct recovery *r, struct record_batch *b)
{
	const struct log_recovery *callbacks = r->callbacks;
	struct log_partition *p = r->p;
	struct record_batch plain = *b;
	struct record_cursor cursor;
	struct record_raw raw;
	struct record record;

	if (callbacks == NULL || callbacks->on_record == NULL ||
	    (b->attributes & RECORD_CONTROL) != 0)
		return;
	if ((plain.attributes & RECORD_COMPRESSION) != 0 &&
	    record_batch_inflate(&plain, RECORD_INFLATED_MAX, &r->inflated) !=
		RECORD_OK)
		return;
	record_cursor_init(&cursor, &plain);
	while (record_cursor_next(&cursor, &raw) == RECORD_OK) {
		if (record_get(&plain, &raw, p->stream->topic, &r->space,
			&record) != RECORD_OK)
			continue;
		record.stream = slice_str(p->stream->name);
		record.incarnation = p->stream->incarnation;
		record.partition = p->index;
		callbacks->on_record(callbacks->arg, p, &record, b);
	}
}

static void
recover_batch(struct recovery *r, struct segment *segment,
    struct record_batch *b)
{
	struct log_partition *p = r->p;
	uint64_t at = r->scan.at - b->size;

	r->expected = record_batch_last_offset(b) + 1;
	segment_mark(segment, b->base_offset, at, r->expected, r->scan.at);
	if (at == 0)
		segment->first_ms = b->base_timestamp;
	if (r->expected <= r->state->checkpoint_offset)
		return;
	/*
	 * A sender's numbers below its last one count as here. Behind damage
	 * that would be a lie about what was lost, and its messages may not
	 * be acknowledged yet: those that come again are appended again.
	 */
	if (record_batch_is_ours(b) && !r->has_damage &&
	    (b->producer_id & SENDER_INCARNATION) != 0)
		senders_add(&p->senders, b->producer_id, b->base_sequence);
	recover_records(r, b);
}

static void
recover_damage(struct recovery *r, const struct segment *segment,
    uint64_t end, uint64_t position, uint64_t size)
{
	struct log_damage damage = {r->expected, end - 1,
		segment->base_offset, position, size};

	if (end <= r->expected)
		return;
	r->expected = end;
	r->has_damage = true;
	partition_add_damage(r->p, &damage);
	if (r->callbacks != NULL && r->callbacks->on_damage != NULL)
		r->callbacks->on_damage(r->callbacks->arg, r->p, &damage);
}

/* The offsets between the end of the segment and the next one's base. */
static void
recover_seam(struct recovery *r, struct segment *segment, uint64_t next)
{
	uint64_t tail = r->scan.damage, end = next;

	segment->end_offset = r->expected;
	if (next % LOG_GAP_ALIGN == 0)
		end = tail == 0 ? r->expected : r->tail_end;
	if (r->expected < next)
		recover_damage(r, segment, end, r->scan.at, tail);
	r->expected = next;
}

/*
 * All batches of a segment from a position on; stops at its tail or at the
 * next segment's base offset. 0 or errno.
 */
static int
scan_segment(struct recovery *r, struct segment *segment, uint64_t at,
    uint64_t next)
{
	struct record_batch b;
	int error = 0;
	char name[LOG_SEGMENT_NAME];
	int fd;

	log_segment_name(name, segment->base_offset);
	fd = openat(r->p->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return errno;
	segment_scan_open(&r->scan, fd, at);
	while (r->expected < next) {
		enum segment_answer answer = segment_scan_next(&r->scan,
		    r->expected, next, &b);

		if (answer == SEGMENT_BATCH) {
			recover_batch(r, segment, &b);
		} else if (answer == SEGMENT_DAMAGE) {
			recover_damage(r, segment, b.base_offset,
			    r->scan.at - r->scan.damage, r->scan.damage);
		} else {
			if (answer == SEGMENT_FAILED)
				error = errno;
			r->tail_end = segment_scan_tail_end(&r->scan,
			    r->expected);
			break;
		}
	}
	close(fd);
	return error;
}

/*
 * Up to here the segments reached for certain. A clean stop's reserved end
 * is the end itself, and only by chance a multiple of the step.
 */
static uint64_t
known_end(const struct log_state *state)
{
	if (state->reserved_end % LOG_GAP_ALIGN != 0 &&
	    state->reserved_end > state->checkpoint_offset)
		return state->reserved_end;
	return state->checkpoint_offset;
}

/*
 * What a commit synced and a checkpoint names is durable; and after a clean
 * stop everything is. A start with many quiet partitions must not wait for a
 * sync of each.
 */
static bool
is_settled(const struct recovery *r, const struct segment *segment)
{
	enum log_fsync mode = r->p->stream->store->options.fsync;

	if (r->scan.damage > 0 ||
	    segment->base_offset != r->state->checkpoint_segment ||
	    r->expected != r->state->checkpoint_offset)
		return false;
	/* It goes on, and has its room. */
	if (r->expected == r->state->reserved_end)
		return true;
	return mode == LOG_FSYNC_GROUP &&
	    segment->allocated < segment->bytes + ROOM_MIN;
}

/* What was found may be in the page cache only: make it durable, or cut. */
static int
settle_segment(struct recovery *r, struct segment *segment, bool must_cut)
{
	const struct part_limits *l = &r->p->stream->store->limits;
	char name[LOG_SEGMENT_NAME];
	int fd, error = 0;

	if (is_settled(r, segment))
		return 0;
	r->has_settled = true;
	log_segment_name(name, segment->base_offset);
	fd = l->io->openat(l->io_arg, r->p->dirfd, name, O_RDWR, 0);
	if (fd == -1)
		return errno;
	if (must_cut) {
		log_warn("stream %s/%" PRIu32 ": a torn tail of %" PRIu64
		    " bytes after offset %" PRIu64 " is cut",
		    r->p->stream->name, r->p->index, r->scan.damage,
		    r->expected);
		segment->bytes = r->scan.at;
	}
	/* Also without a tail: gives back the room behind the end. */
	if (l->io->ftruncate(l->io_arg, fd, (off_t)segment->bytes) == -1 ||
	    l->io->fdatasync(l->io_arg, fd) == -1)
		error = errno;
	segment->allocated = segment->bytes;
	l->io->close(l->io_arg, fd);
	return error;
}

/* ---- the whole of it ---------------------------------------------------- */

/*
 * Where to begin: at the checkpoint, where its segment still reaches there,
 * else at the beginning of the segment that should hold its offset.
 */
static size_t
scan_begin(const struct recovery *r, uint64_t *at)
{
	const struct log_partition *p = r->p;
	const struct log_state *state = r->state;
	struct segment *segment = segment_find(p, state->checkpoint_offset);

	*at = 0;
	for (size_t i = 0; i < p->segments_len; i++) {
		const struct segment *s = &p->segments[i];

		if (s->base_offset == state->checkpoint_segment &&
		    s->bytes >= state->checkpoint_position &&
		    state->checkpoint_offset >= s->base_offset) {
			*at = state->checkpoint_position;
			return i;
		}
	}
	return segment == NULL ? 0 : (size_t)(segment - p->segments);
}

static int
scan_all(struct recovery *r, bool *was_cut)
{
	struct log_partition *p = r->p;
	uint64_t at;
	size_t first = scan_begin(r, &at);
	int error = 0;

	if (p->segments_len == 0)
		return 0;
	r->expected = at > 0 ? r->state->checkpoint_offset
			     : p->segments[first].base_offset;
	for (size_t i = first; i < p->segments_len && error == 0; i++) {
		struct segment *segment = &p->segments[i];
		bool is_last = i + 1 == p->segments_len;
		uint64_t next = is_last ? OFFSET_MAX
					: p->segments[i + 1].base_offset;

		error = scan_segment(r, segment, i == first ? at : 0, next);
		if (error != 0)
			break;
		if (is_last)
			*was_cut = r->scan.damage > 0 &&
			    r->expected >= known_end(r->state);
		error = settle_segment(r, segment, is_last && *was_cut);
		if (!is_last)
			recover_seam(r, segment, next);
		else
			segment->end_offset = r->expected;
	}
	return error;
}

/*
 * The last segment ends too early. An empty one is put where it should have
 * ended: no gap leads there, so readers see for ever how much is missing.
 */
static int
mark_loss(struct recovery *r, uint64_t known)
{
	struct log_partition *p = r->p;
	const struct part_limits *l = &p->stream->store->limits;
	struct segment *active = segment_active(p);
	char name[LOG_SEGMENT_NAME];
	int fd;

	if (active == NULL || known <= r->expected)
		return 0;
	recover_damage(r, active, known, r->scan.at, r->scan.damage);
	log_segment_name(name, known);
	fd = l->io->openat(l->io_arg, p->dirfd, name, O_RDWR | O_CREAT, 0640);
	if (fd == -1)
		return errno;
	l->io->close(l->io_arg, fd);
	segment_add(p, known);
	return l->io->fsync(l->io_arg, p->dirfd) == -1 ? errno : 0;
}

/*
 * The next offset. After a clean stop everything that was reserved was
 * used, and the last segment goes on. Else offsets beyond what was found may
 * have been seen by somebody: they are left out.
 */
static void
choose_next(struct recovery *r, bool was_cut)
{
	struct log_partition *p = r->p;
	const struct log_state *state = r->state;
	struct segment *active = segment_active(p);
	bool is_new = active == NULL && state->reserved_end == 0;

	if (known_end(state) > r->expected)
		r->expected = known_end(state);
	p->written_end = p->high_watermark = r->expected;
	if (p->log_start > p->written_end)
		p->written_end = p->high_watermark = p->log_start;
	p->next_offset = p->written_end;
	if (is_new || (p->next_offset == state->reserved_end && !was_cut &&
		!r->has_damage))
		return;
	p->must_roll = true;
	if (state->reserved_end > p->next_offset)
		p->next_offset = state->reserved_end;
	else
		p->next_offset = round_up(p->next_offset, LOG_RESERVE_STEP);
	p->next_offset = round_up(p->next_offset, LOG_GAP_ALIGN);
}

/* Goes on in the segment that was found last. */
static int
reopen_active(struct log_partition *p)
{
	const struct part_limits *l = &p->stream->store->limits;
	struct segment *active = segment_active(p);
	char name[LOG_SEGMENT_NAME];

	if (active == NULL || p->must_roll)
		return 0;
	log_segment_name(name, active->base_offset);
	p->fd = l->io->openat(l->io_arg, p->dirfd, name, O_RDWR, 0);
	return p->fd == -1 ? errno : 0;
}

int
log_recover(struct log_partition *p, const struct log_state *state,
    const struct log_recovery *callbacks)
{
	const struct part_limits *l = &p->stream->store->limits;
	struct recovery r = {.p = p, .state = state, .callbacks = callbacks};
	bool was_cut = false;
	int error;

	bug_on(p->is_recovered);
	segment_scan_init(&r.scan);
	buf_init(&r.inflated);
	p->log_start = p->saved_log_start = state->log_start;
	p->reserved_end = state->reserved_end;
	p->checkpoint_offset = state->checkpoint_offset;
	for (size_t i = state->senders_len; i > 0; i--)
		senders_add(&p->senders, state->senders[i - 1].incarnation,
		    state->senders[i - 1].number);
	error = segments_load(p);
	if (error == 0 && p->segments_len > 0 &&
	    p->segments[0].base_offset > p->log_start)
		p->log_start = p->segments[0].base_offset;
	if (error == 0)
		error = scan_all(&r, &was_cut);
	if (error == 0 && r.has_settled &&
	    l->io->fsync(l->io_arg, p->dirfd) == -1)
		error = errno;
	if (error == 0)
		error = mark_loss(&r, known_end(state));
	if (error == 0) {
		choose_next(&r, was_cut);
		error = reopen_active(p);
	}
	p->is_recovered = error == 0;
	if (p->log_start != p->saved_log_start)
		p->stream->store->has_moved_start = true;
	if (p->written_end != p->checkpoint_offset)
		p->stream->store->has_uncheckpointed = true;
	segment_scan_fini(&r.scan);
	buf_fini(&r.inflated);
	record_space_fini(&r.space);
	return error;
}
