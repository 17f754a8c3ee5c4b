#include "router/log/part.h"

#include "base/log_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct part_segment *
part_active(struct part *part)
{
	return part->segments_len == 0
	    ? NULL : &part->segments[part->segments_len - 1];
}

static int
part_sync(struct part *part, const struct part_limits *l)
{
	part->syncs++;
	if (l->io->fdatasync(l->io_arg, part->fd) == 0)
		return 0;
	part->sync_failures++;
	return errno;
}

/*
 * Gives the room behind the last byte back and closes the segment. What is
 * in it was synced by the commit that wrote it, or, in the weaker modes, is
 * synced now as well as it can be.
 */
static void
part_seal(struct part *part, const struct part_limits *l)
{
	struct part_segment *active = part_active(part);

	if (part->fd == -1)
		return;
	if (active->allocated > active->bytes)
		(void)l->io->ftruncate(l->io_arg, part->fd,
		    (off_t)active->bytes);
	if (part->has_unsynced)
		(void)part_sync(part, l);
	part->has_unsynced = false;
	l->io->close(l->io_arg, part->fd);
	part->fd = -1;
	active->allocated = active->bytes;
}

static int
part_roll(struct part *part, const struct part_limits *l)
{
	char name[LOG_SEGMENT_NAME], aside[LOG_SEGMENT_NAME + 4];
	const int flags = O_RDWR | O_CREAT | O_EXCL;

	part_seal(part, l);
	log_segment_name(name, part->first);
	part->fd = l->io->openat(l->io_arg, part->dirfd, name, flags, 0640);
	if (part->fd == -1 && errno == EEXIST) {
		/*
		 * As far as router.db knows nothing was ever told about this
		 * file: it failed before its first record was durable. But a
		 * router.db can be an old copy: keep the bytes beside the log.
		 */
		snprintf(aside, sizeof(aside), "%s.old", name);
		(void)l->io->renameat(l->io_arg, part->dirfd, name, aside);
		part->fd = l->io->openat(l->io_arg, part->dirfd, name, flags,
		    0640);
	}
	if (part->fd == -1)
		return errno;
	if (part->segments_len > 0 &&
	    part_active(part)->base_offset == part->first) {
		part->segments_len--;
		part->has_replaced = true;
		if (part->segments_len == 0)
			part->has_unrolled = false;
	}
	part->segments[part->segments_len++] =
	    (struct part_segment){.base_offset = part->first};
	if (l->io->fsync(l->io_arg, part->dirfd) == -1)
		return errno;
	return 0;
}

/*
 * Room for n bytes more: a whole step while there is plenty, only what is
 * needed when space gets short, and never what is to be kept free.
 */
static int
part_allocate(struct part *part, const struct part_limits *l, size_t n)
{
	struct part_segment *active = part_active(part);
	uint64_t need, want, space;

	if (active->bytes + n <= active->allocated)
		return 0;
	if (l->io->space(l->io_arg, l->dirfd, &space) == -1)
		return errno;
	need = active->bytes + n - active->allocated;
	if (space < l->keep_free_bytes || space - l->keep_free_bytes < need)
		return ENOSPC;
	want = (need + l->allocate_bytes - 1) / l->allocate_bytes *
	    l->allocate_bytes;
	if (active->allocated + want > l->segment_bytes)
		want = l->segment_bytes > active->allocated + need
		    ? l->segment_bytes - active->allocated : need;
	if (space - l->keep_free_bytes < want)
		want = need;
	if (l->io->fallocate(l->io_arg, part->fd, (off_t)active->allocated,
		(off_t)want) == -1) {
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return errno;
		want = need;
	}
	active->allocated += want;
	return 0;
}

/* Writes at the segment's end, without counting it yet. */
static int
part_append(struct part *part, const struct part_limits *l)
{
	struct part_segment *active = part_active(part);
	struct slice rest = part->bytes;
	uint64_t at = active->bytes;
	int error = part_allocate(part, l, rest.len);

	while (error == 0 && rest.len > 0) {
		ssize_t n = l->io->pwrite(l->io_arg, part->fd, rest.p,
		    rest.len, (off_t)at);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			error = n == 0 ? EIO : errno;
			break;
		}
		rest.p += n;
		rest.len -= (size_t)n;
		at += (uint64_t)n;
	}
	if (error == 0 && part->must_sync) {
		error = part_sync(part, l);
		part->has_unsynced = false;
	} else if (error == 0 && part->bytes.len > 0) {
		part->has_unsynced = true;
	}
	return error;
}

/*
 * The segment ends where it ended before: nobody may find half a commit
 * behind that. The room is gone with it.
 */
static void
part_cut(struct part *part, const struct part_limits *l)
{
	struct part_segment *active = part_active(part);

	if (part->fd == -1)
		return;
	(void)l->io->ftruncate(l->io_arg, part->fd, (off_t)active->bytes);
	active->allocated = active->bytes;
}

bool
part_is_no_space(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

void
part_write(struct part *part, const struct part_limits *l)
{
	struct part_segment *active = part_active(part);
	int error = 0;

	if (active == NULL || part->fd == -1 || part->must_roll ||
	    (active->bytes > 0 && part->bytes.len > 0 &&
		active->bytes + part->bytes.len > l->segment_bytes))
		error = part_roll(part, l);
	if (error == 0)
		error = part_append(part, l);
	if (error != 0 && !part_is_no_space(error) && part->bytes.len > 0) {
		/*
		 * The disk failed. A sync is never tried again on the same
		 * file: the kernel may have dropped the pages and would say
		 * yes. The segment ends at its last durable byte, and the
		 * records go whole into a new one.
		 */
		part_cut(part, l);
		error = part_roll(part, l);
		if (error == 0)
			error = part_append(part, l);
	}
	part->error = error;
	if (error != 0) {
		part_cut(part, l);
		return;
	}
	part_active(part)->bytes += part->bytes.len;
}
