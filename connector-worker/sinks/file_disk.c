#include "connector-worker/sinks/file_disk.h"

#include "base/encode.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MODE 0640
#define BESIDE_MAX 10000
#define ROTATED_MAX 10000

static int
folder_of(const struct file_rules *r, const char *path, const char **name)
{
	return file_folder_open(&r->place, path, name);
}

static void
close_keep_errno(int fd)
{
	int err = errno;

	close(fd);
	errno = err;
}

/* The user's own path may be a link; what a record names may not. */
static int
open_flags(const struct file_rules *r)
{
	return O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
	    (r->is_constant ? 0 : O_NOFOLLOW);
}

static const char *
state_name(const struct file_state *s, const char *name)
{
	return s->name[0] != '\0' ? s->name : name;
}

static bool
is_same(const struct file_state *s, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (uint64_t)st->st_dev == s->device &&
	    (uint64_t)st->st_ino == s->inode;
}

int
disk_open_known(const struct file_rules *r, const char *path,
    const struct file_state *s, struct stat *st)
{
	const char *name;
	int at = folder_of(r, path, &name), fd;

	if (at == -1)
		return -1;
	fd = openat(at, state_name(s, name), open_flags(r));
	close_keep_errno(at);
	if (fd == -1)
		return -1;
	if (fstat(fd, st) == 0 && is_same(s, st))
		return fd;
	close(fd);
	return -1;
}

bool
disk_is_still(const struct file_rules *r, const char *path,
    const struct file_state *s)
{
	const char *name;
	struct stat st;
	int at = folder_of(r, path, &name);
	bool is_still;

	if (at == -1)
		return false;
	is_still = fstatat(at, state_name(s, name), &st,
	    r->is_constant ? 0 : AT_SYMLINK_NOFOLLOW) == 0 && is_same(s, &st);
	close(at);
	return is_still;
}

bool
disk_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* A new name is on disk when its folder is. */
static void
folder_sync(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return;
	fsync(fd);
	close(fd);
}

static int
open_one(const struct file_rules *r, int at, const char *name,
    struct stat *st)
{
	int fd = openat(at, name, open_flags(r) | O_CREAT | O_EXCL, FILE_MODE);

	if (fd == -1 && errno == EEXIST)
		fd = openat(at, name, open_flags(r));
	if (fd == -1 && errno == ENXIO)
		errno = EEXIST;
	if (fd == -1)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size == 0)
		return fd;
	close(fd);
	errno = EEXIST;
	return -1;
}

int
disk_open_new(const struct file_rules *r, const char *path, char *name,
    struct stat *st)
{
	const char *own;
	int at = folder_of(r, path, &own), fd;
	unsigned i;

	if (at == -1)
		return -1;
	name[0] = '\0';
	fd = open_one(r, at, own, st);
	for (i = 1; fd == -1 && errno == EEXIST && i < BESIDE_MAX; i++) {
		snprintf(name, FILE_NAME_MAX, "%.230s.new-%u", own, i);
		fd = open_one(r, at, name, st);
	}
	if (fd != -1 && name[0] != '\0')
		log_warn("%s is not a file of this connector: it is left "
		    "alone, records go to %s beside it", path, name);
	if (fd != -1)
		folder_sync(at);
	close_keep_errno(at);
	return fd;
}

static DIR *
folder_list(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL && fd != -1)
		close(fd);
	return dir;
}

/* The largest N of STEM.N, 0 if there is none: numbers are not used again. */
static unsigned
folder_last_number(int at, const char *stem)
{
	DIR *dir = folder_list(at);
	size_t n = strlen(stem);
	unsigned last = 0, v;
	struct dirent *e;
	const char *digits;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		digits = e->d_name + n + 1;
		if (strncmp(e->d_name, stem, n) != 0 || e->d_name[n] != '.' ||
		    strlen(digits) < 6 || strlen(digits) > 9 ||
		    strspn(digits, "0123456789") != strlen(digits))
			continue;
		v = (unsigned)strtoul(digits, NULL, 10);
		if (v > last)
			last = v;
	}
	if (dir != NULL)
		closedir(dir);
	return last;
}

bool
disk_rotated_name(const struct file_rules *r, const char *path,
    struct file_state *s, uint64_t period_ms)
{
	const char *name, *format = r->rotation == ROTATE_HOURLY ?
	    "%Y%m%dT%H" : "%Y%m%d";
	int at = folder_of(r, path, &name);
	struct buf stem;
	struct stat st;

	if (at == -1)
		return false;
	buf_init(&stem);
	buf_addf(&stem, "%.220s", name);
	if (r->rotation != ROTATE_SIZE) {
		buf_add_u8(&stem, '.');
		time_format_add(&stem, slice_str(format), (int64_t)period_ms);
	}
	snprintf(s->rotating_to, FILE_NAME_MAX, "%s", buf_cstr(&stem));
	/* A time has one file, unless its name is taken. */
	if (r->rotation == ROTATE_SIZE ||
	    fstatat(at, s->rotating_to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		snprintf(s->rotating_to, FILE_NAME_MAX, "%s.%06u",
		    buf_cstr(&stem),
		    folder_last_number(at, buf_cstr(&stem)) + 1);
	buf_fini(&stem);
	close(at);
	return true;
}

bool
disk_rename(const struct file_rules *r, const char *path,
    const struct file_state *s)
{
	const char *name;
	int at = folder_of(r, path, &name);
	bool is_good;

	if (at == -1)
		return false;
	is_good = renameat2(at, state_name(s, name), at, s->rotating_to,
	    RENAME_NOREPLACE) == 0;
	if (is_good)
		folder_sync(at);
	close_keep_errno(at);
	return is_good;
}

/* NAME.20240131, NAME.20240131T12, each also .000001, and NAME.000001 */
static bool
is_rotated_name(const char *name, const char *entry)
{
	size_t n = strlen(name);

	if (strncmp(entry, name, n) != 0 || entry[n] != '.')
		return false;
	entry += n + 1;
	return strlen(entry) >= 6 && strspn(entry, "0123456789T.") ==
	    strlen(entry);
}

static int
by_age(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
prune_folder(const struct file_rules *r, DIR *dir, const char *name)
{
	char **names = NULL;
	size_t n = 0, i;
	struct dirent *e;

	while ((e = readdir(dir)) != NULL && n < ROTATED_MAX) {
		if (!is_rotated_name(name, e->d_name))
			continue;
		names = mem_realloc(names, (n + 1) * sizeof(*names));
		names[n++] = mem_strdup(e->d_name);
	}
	if (n > 0)
		qsort(names, n, sizeof(*names), by_age);
	for (i = 0; i < n; i++) {
		if (i + r->keep_files < n)
			unlinkat(dirfd(dir), names[i], 0);
		free(names[i]);
	}
	free(names);
}

void
disk_prune(const struct file_rules *r, const char *path)
{
	const char *name;
	DIR *dir;
	int at;

	if (r->keep_files == 0)
		return;
	at = folder_of(r, path, &name);
	if (at == -1)
		return;
	dir = folder_list(at);
	close(at);
	if (dir == NULL)
		return;
	prune_folder(r, dir, name);
	closedir(dir);
}
