#include "connector-worker/sinks/file_out.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/sinks/file_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS 256
#define OPEN_MAX_FILES 64
/* A point each so many bytes, so many of them, and the file's beginning. */
#define POINT_STEP (64u << 10)
#define POINTS_MAX 256
#define HOUR_MS UINT64_C(3600000)

struct outs {
	struct sink *sink;
	const struct file_rules *rules;
	struct out *buckets[BUCKETS];
	unsigned open_count;
	/*
	 * While what one file lost is delivered again: up to these offsets
	 * the others may have it already. Key "r" in the database.
	 */
	struct file_state again;
	/* Keys of points that mean nothing any more, each with a NUL. */
	struct buf stale;
};

/* --- what the database says of files ------------------------------------ */

static void
key_state(struct buf *key, const struct out *out)
{
	buf_clear(key);
	buf_add_u8(key, 'f');
	buf_add_str(key, out->path);
}

static void
key_point(struct buf *key, const struct out *out, uint64_t length)
{
	buf_clear(key);
	buf_addf(key, "p%016llx%016llx%s",
	    (unsigned long long)out->state.generation,
	    (unsigned long long)length, out->path);
}

static void
points_drop(struct out *out)
{
	while (out->point_count > 0)
		free(out->points[--out->point_count].position);
}

/* The file is another, or was cut: rows of its points go with a batch. */
static void
points_retire(struct outs *o, struct out *out)
{
	struct buf key;
	size_t i;

	buf_init(&key);
	for (i = 0; i < out->point_count; i++) {
		key_point(&key, out, out->points[i].length);
		buf_add(&o->stale, buf_cstr(&key), buf_len(&key) + 1);
	}
	buf_fini(&key);
	points_drop(out);
	out->state.generation = random_u64();
}

static void
point_add(struct out *out, uint64_t length, char *position)
{
	size_t i = out->point_count;

	if (i == out->point_cap) {
		out->point_cap = i == 0 ? 4 : i * 2;
		out->points = mem_realloc(out->points,
		    out->point_cap * sizeof(*out->points));
	}
	while (i > 0 && out->points[i - 1].length > length) {
		out->points[i] = out->points[i - 1];
		i--;
	}
	out->points[i] = (struct file_point){length, position};
	out->point_count++;
}

struct out *
outs_find(struct outs *o, struct slice path)
{
	uint64_t hash = XXH3_64bits(path.p, path.len);
	struct out **bucket = &o->buckets[hash % BUCKETS], *out;

	for (out = *bucket; out != NULL; out = out->next)
		if (out->hash == hash && slice_is(path, out->path))
			return out;
	out = mem_zalloc(1, sizeof(*out));
	out->path = slice_dup(path);
	out->hash = hash;
	out->fd = -1;
	out->next = *bucket;
	*bucket = out;
	return out;
}

static bool
hex_get(struct slice s, uint64_t *v)
{
	char text[17];
	char *end;

	if (s.len != 16)
		return false;
	memcpy(text, s.p, 16);
	text[16] = '\0';
	*v = strtoull(text, &end, 16);
	return *end == '\0';
}

static void
load_state(struct slice key, struct slice value, void *arg)
{
	struct out *out;

	if (key.len < 2 || key.p[0] != 'f')
		return;
	out = outs_find(arg, slice_of(key.p + 1, key.len - 1));
	out->has_state = file_state_get(value, &out->state);
}

static void
load_point(struct slice key, struct slice value, void *arg)
{
	uint64_t generation, length;
	struct outs *o = arg;
	struct out *out;

	if (key.len < 34 || key.p[0] != 'p' ||
	    !hex_get(slice_of(key.p + 1, 16), &generation) ||
	    !hex_get(slice_of(key.p + 17, 16), &length))
		return;
	out = outs_find(o, slice_of(key.p + 33, key.len - 33));
	if (out->has_state && out->state.generation == generation) {
		point_add(out, length, slice_dup(value));
		return;
	}
	buf_add_slice(&o->stale, key);
	buf_add_u8(&o->stale, '\0');
}

static void
load_again(struct slice key, struct slice value, void *arg)
{
	struct outs *o = arg;

	if (slice_is(key, "r"))
		file_state_get(value, &o->again);
}

struct outs *
outs_new(struct sink *sink, const struct file_rules *rules)
{
	struct outs *o = mem_zalloc(1, sizeof(*o));

	o->sink = sink;
	o->rules = rules;
	sink_kept(sink, load_state, o);
	sink_kept(sink, load_point, o);
	sink_kept(sink, load_again, o);
	return o;
}

static void
out_close(struct outs *o, struct out *out)
{
	if (out->fd == -1)
		return;
	close(out->fd);
	out->fd = -1;
	o->open_count--;
	buf_fini(&out->raw);
}

void
outs_free(struct outs *o)
{
	struct out *out;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		while ((out = o->buckets[i]) != NULL) {
			o->buckets[i] = out->next;
			out_close(o, out);
			points_drop(out);
			free(out->points);
			buf_fini(&out->raw);
			free(out->path);
			free(out);
		}
	buf_fini(&o->stale);
	free(o);
}

static bool
out_commit(struct outs *o, struct out *out)
{
	struct buf key, value;
	bool is_good;

	buf_init(&key);
	buf_init(&value);
	key_state(&key, out);
	file_state_put(&out->state, &value);
	is_good = sink_keep_now(o->sink, buf_slice(&key), buf_slice(&value));
	buf_fini(&key);
	buf_fini(&value);
	return is_good;
}

/* --- after a crash ------------------------------------------------------ */

/* Commits a point by itself. */
static bool
point_commit(struct outs *o, struct out *out, const struct file_point *p)
{
	struct buf key;
	bool is_good;

	buf_init(&key);
	key_point(&key, out, p->length);
	is_good = sink_keep_now(o->sink, buf_slice(&key),
	    slice_str(p->position));
	buf_fini(&key);
	return is_good;
}

/* Before the first file goes back: up to where any file may have records. */
static bool
outs_note_again(struct outs *o)
{
	const struct out *out;
	const struct position *p;
	struct buf value;
	bool is_good;
	size_t i, j;

	for (i = 0; i < BUCKETS; i++)
		for (out = o->buckets[i]; out != NULL; out = out->next)
			for (j = 0; j < out->state.upto_count; j++) {
				p = &out->state.upto[j];
				file_state_advance(&o->again, p->incarnation,
				    p->partition, p->offset);
			}
	buf_init(&value);
	file_state_put(&o->again, &value);
	is_good = sink_keep_now(o->sink, SLICE_LIT("r"), buf_slice(&value));
	buf_fini(&value);
	return is_good;
}

bool
outs_has_already(const struct outs *o, const struct out *out,
    const struct record *rec)
{
	return o->again.upto_count > 0 &&
	    file_state_has(&o->again, rec->incarnation, rec->partition,
	    rec->offset) &&
	    file_state_has(&out->state, rec->incarnation, rec->partition,
	    rec->offset);
}

/* All that came again is there: what comes from now on is new. */
void
outs_passed(struct outs *o, struct sink_batch *batch, uint64_t incarnation)
{
	struct position *p = o->again.upto;
	struct buf value;
	size_t i;

	for (i = 0; i < o->again.upto_count; i++)
		if (p[i].incarnation == incarnation &&
		    p[i].partition == batch->partition &&
		    p[i].offset <= batch->last_offset + 1)
			break;
	if (i == o->again.upto_count)
		return;
	o->again.upto_count--;
	memmove(p + i, p + i + 1,
	    (o->again.upto_count - i) * sizeof(*p));
	buf_init(&value);
	file_state_put(&o->again, &value);
	sink_keep(batch, SLICE_LIT("r"), o->again.upto_count == 0 ?
	    SLICE_NULL : buf_slice(&value));
	buf_fini(&value);
}

/*
 * Goes back to the point. First the offsets: if this is as far as it gets,
 * the same comes again at the next start.
 */
static bool
out_go_back_to(struct outs *o, struct out *out, const struct file_point *to)
{
	struct file_point first, point = {to->length, mem_strdup(to->position)};
	struct slice text = slice_str(point.position);
	struct position at;
	bool is_good;

	log_warn("%s is shorter than what was delivered: from byte %llu on "
	    "it is delivered again", out->path,
	    (unsigned long long)point.length);
	first = (struct file_point){out->points[0].length,
	    mem_strdup(out->points[0].position)};
	is_good = outs_note_again(o) && sink_rewind(o->sink, text);
	points_retire(o, out);
	out->state.length = point.length;
	out->state.upto_count = 0;
	while (position_next(&text, &at) == 1)
		file_state_advance(&out->state, at.incarnation, at.partition,
		    at.offset);
	is_good = is_good && out_commit(o, out);
	if (first.length < point.length) {
		point_add(out, first.length, first.position);
		is_good = is_good && point_commit(o, out, &first);
	} else {
		free(first.position);
	}
	point_add(out, point.length, point.position);
	return is_good && point_commit(o, out, &point);
}

static bool
out_go_back(struct outs *o, struct out *out, uint64_t size)
{
	size_t i = out->point_count;

	while (i > 0 && out->points[i - 1].length > size)
		i--;
	if (i > 0)
		return out_go_back_to(o, out, &out->points[i - 1]);
	log_error("%s is %llu bytes shorter than what was delivered, and "
	    "nothing is known of that place: these records are lost there",
	    out->path, (unsigned long long)(out->state.length - size));
	out->state.length = size;
	return out_commit(o, out);
}

static void
out_recover(struct outs *o, struct out *out)
{
	struct stat st;
	int fd;

	fd = disk_open_known(o->rules, out->path, &out->state, &st);
	if (fd == -1)
		return;
	if ((uint64_t)st.st_size < out->state.length &&
	    !out_go_back(o, out, (uint64_t)st.st_size))
		sink_reject(o->sink, "%s is shorter than what was delivered, "
		    "and the offset cannot be moved back", out->path);
	if ((uint64_t)st.st_size > out->state.length &&
	    ftruncate(fd, (off_t)out->state.length) == -1)
		log_error("%s: %s", out->path, strerror(errno));
	close(fd);
}

void
outs_recover(struct outs *o)
{
	struct out *out;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		for (out = o->buckets[i]; out != NULL; out = out->next)
			if (out->has_state)
				out_recover(o, out);
}

/* --- opening ------------------------------------------------------------ */

static bool
out_refuse(struct out *out, enum sink_outcome outcome, const char *what,
    const char *why)
{
	snprintf(out->why, sizeof(out->why), "%.150s: %s%s%.60s", out->path,
	    what, what[0] == '\0' ? "" : ": ", why);
	out->fault = out->why;
	out->outcome = outcome;
	return false;
}

/* A path that only this record has is the record's fault. */
static bool
out_refuse_errno(struct outs *o, struct out *out, const char *what)
{
	bool is_path = errno == ENOTDIR || errno == ELOOP ||
	    errno == ENAMETOOLONG || errno == EISDIR;

	return out_refuse(out, is_path && !o->rules->is_constant ?
	    SINK_REFUSED : SINK_UNAVAILABLE, what, strerror(errno));
}

static bool
outs_make_room(struct outs *o)
{
	struct out *out, *oldest = NULL;
	size_t i;

	if (o->open_count < OPEN_MAX_FILES)
		return true;
	for (i = 0; i < BUCKETS; i++)
		for (out = o->buckets[i]; out != NULL; out = out->next)
			if (out->fd != -1 && !out->is_dirty &&
			    (oldest == NULL || out->turn < oldest->turn))
				oldest = out;
	if (oldest != NULL)
		out_close(o, oldest);
	return oldest != NULL;
}

static uint64_t
period_of(enum file_rotation rotation, uint64_t ms)
{
	return rotation == ROTATE_HOURLY ? ms / HOUR_MS :
	    rotation == ROTATE_DAILY ? ms / HOUR_MS / 24 : 0;
}

/* A file made just now, or an empty one: ours from the commit on. */
static bool
out_begin(struct outs *o, struct out *out, const struct stat *st,
    const char *name)
{
	struct file_state fresh = {.device = st->st_dev,
	    .inode = st->st_ino};

	fresh.used_ms = clock_wall_ms();
	fresh.period = period_of(o->rules->rotation, fresh.used_ms);
	snprintf(fresh.name, sizeof(fresh.name), "%s", name);
	points_retire(o, out);
	fresh.generation = out->state.generation;
	out->state = fresh;
	out->has_state = true;
	if (out_commit(o, out))
		return true;
	out->has_state = false;
	return out_refuse(out, SINK_UNAVAILABLE, "",
	    "the new file cannot be noted in the database");
}

static bool
out_open(struct outs *o, struct out *out)
{
	char name[FILE_NAME_MAX] = "";
	struct stat st;
	bool is_ours = false;

	/* A batch for more files than may be open comes in several calls. */
	if (!outs_make_room(o))
		return out_refuse(out, SINK_HELD, "", "too many files");
	out->fd = -1;
	if (out->has_state) {
		out->fd = disk_open_known(o->rules, out->path, &out->state,
		    &st);
		is_ours = out->fd != -1;
	}
	if (!is_ours)
		out->fd = disk_open_new(o->rules, out->path, name, &st);
	if (out->fd == -1)
		return out_refuse_errno(o, out, "");
	o->open_count++;
	if (!disk_lock(out->fd)) {
		out_close(o, out);
		return out_refuse(out, SINK_UNAVAILABLE, "",
		    "another connector or program has it locked");
	}
	if (is_ours) {
		out->state.rotating_to[0] = '\0';
		return true;
	}
	if (out_begin(o, out, &st, name))
		return true;
	out_close(o, out);
	return false;
}

/* --- before each batch --------------------------------------------------- */

/* Cut by somebody while we have it open (copy and truncate): go on there. */
static void
out_was_cut(struct outs *o, struct out *out, uint64_t size)
{
	log_warn("%s was cut from %llu to %llu bytes by somebody else",
	    out->path, (unsigned long long)out->state.length,
	    (unsigned long long)size);
	out->state.length = size;
	points_retire(o, out);
}

static bool
out_is_due(const struct outs *o, const struct out *out)
{
	const struct file_rules *r = o->rules;

	if (out->state.length == 0)
		return false;
	if (r->rotation == ROTATE_SIZE)
		return out->state.length >= r->max_size;
	return out->state.period != period_of(r->rotation, clock_wall_ms());
}

/*
 * On disk before each step: that it is to be renamed, to what; then the new
 * file. All records of the old one are committed with the first.
 */
static bool
out_rotate(struct outs *o, struct out *out)
{
	uint64_t period_ms = out->state.period * HOUR_MS *
	    (o->rules->rotation == ROTATE_DAILY ? 24 : 1);

	if (!disk_rotated_name(o->rules, out->path, &out->state, period_ms))
		return out_refuse_errno(o, out, "rotation");
	if (!out_commit(o, out))
		return out_refuse(out, SINK_UNAVAILABLE, "rotation",
		    "the database cannot be written");
	if (!disk_rename(o->rules, out->path, &out->state))
		return out_refuse_errno(o, out, "rotation");
	out_close(o, out);
	out->has_state = false;
	if (!out_open(o, out))
		return false;
	disk_prune(o->rules, out->path);
	return true;
}

static void
out_note_point(struct outs *o, struct out *out)
{
	uint64_t last = out->point_count == 0 ? 0 :
	    out->points[out->point_count - 1].length;
	struct buf position;

	out->has_new_point = false;
	if (out->point_count > 0 && out->state.length - last < POINT_STEP)
		return;
	buf_init(&position);
	sink_position(o->sink, &position);
	point_add(out, out->state.length, slice_dup(buf_slice(&position)));
	buf_fini(&position);
	out->has_new_point = true;
}

bool
out_prepare(struct outs *o, struct out *out, uint64_t turn)
{
	struct stat st;

	if (out->turn == turn)
		return out->fault == NULL;
	out->turn = turn;
	out->fault = NULL;
	if (out->fd != -1 && !disk_is_still(o->rules, out->path, &out->state))
		out_close(o, out);
	if (out->fd == -1 && !out_open(o, out))
		return false;
	if (fstat(out->fd, &st) == -1)
		return out_refuse_errno(o, out, "");
	if ((uint64_t)st.st_size < out->state.length)
		out_was_cut(o, out, (uint64_t)st.st_size);
	if (out_is_due(o, out) && !out_rotate(o, out))
		return false;
	out_note_point(o, out);
	return true;
}

/* --- after each batch ---------------------------------------------------- */

static void
out_keep_point(struct out *out, struct sink_batch *batch, struct buf *key)
{
	const struct file_point *p;

	if (!out->has_new_point)
		return;
	out->has_new_point = false;
	p = &out->points[out->point_count - 1];
	key_point(key, out, p->length);
	sink_keep(batch, buf_slice(key), slice_str(p->position));
	if (out->point_count <= POINTS_MAX)
		return;
	/* The first is the file's beginning and stays. */
	key_point(key, out, out->points[1].length);
	sink_keep(batch, buf_slice(key), SLICE_NULL);
	free(out->points[1].position);
	out->point_count--;
	memmove(out->points + 1, out->points + 2,
	    (out->point_count - 1) * sizeof(*out->points));
}

static void
stale_drop(struct outs *o, struct sink_batch *batch)
{
	struct slice all = buf_slice(&o->stale), key;

	while (all.len > 0) {
		key = slice_str((const char *)all.p);
		sink_keep(batch, key, SLICE_NULL);
		all = slice_of(all.p + key.len + 1, all.len - key.len - 1);
	}
	buf_trim(&o->stale, 0);
}

void
out_written(struct outs *o, struct out *out, struct sink_batch *batch,
    uint64_t incarnation)
{
	struct buf key, value;

	out->is_dirty = false;
	out->state.length += out->job.written;
	out->state.used_ms = clock_wall_ms();
	file_state_advance(&out->state, incarnation, batch->partition,
	    batch->last_offset + 1);
	buf_init(&key);
	buf_init(&value);
	key_state(&key, out);
	file_state_put(&out->state, &value);
	sink_keep(batch, buf_slice(&key), buf_slice(&value));
	out_keep_point(out, batch, &key);
	stale_drop(o, batch);
	buf_fini(&key);
	buf_fini(&value);
}

void
out_failed(struct outs *o, struct out *out)
{
	out->is_dirty = false;
	if (ftruncate(out->fd, (off_t)out->state.length) == -1)
		log_error("%s: %s", out->path, strerror(errno));
	/* After a failed sync the descriptor says nothing true any more. */
	out_close(o, out);
}
