/*
 * record_shim - LD_PRELOAD: writes down what a program does to the files
 * below DATA, so that a test can make the state that a power cut would have
 * left at any moment.
 *
 * RECORD_LOG names the log. A record is u64 started, u64 ended (monotonic
 * ns), u32 operation, u32 length of the path, u64 offset, u64 length, the
 * path, and for a write its bytes. Records of one file are in the order in
 * which the operations ended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation { WRITE = 1, TRUNCATE, ALLOCATE, SYNC, UNLINK, RENAME };

struct head {
	uint64_t started, ended;
	uint32_t operation, path_len;
	uint64_t offset, length;
};

static int log_fd = -1;

__attribute__((constructor)) static void
shim_open(void)
{
	const char *path = getenv("RECORD_LOG");

	int fd;

	unsetenv("LD_PRELOAD");
	if (path == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	close(fd);
}

static uint64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void
record(enum operation op, uint64_t started, const char *path, uint64_t offset,
    uint64_t length, const struct iovec *data, int count)
{
	struct head h = {started, now(), op, (uint32_t)strlen(path), offset,
	    length};
	struct iovec iov[64] = {{&h, sizeof(h)}, {(void *)path, h.path_len}};
	int saved = errno, i;
	uint64_t left = length;
	int n = 2;

	for (i = 0; i < count && left > 0; i++) {
		iov[n] = data[i];
		if (iov[n].iov_len > left)
			iov[n].iov_len = left;
		left -= iov[n].iov_len;
		if (++n == 64 && left > 0)
			abort();
	}
	if (writev(log_fd, iov, n) < 0)
		abort();
	errno = saved;
}

/* The path of a descriptor that is ours to record, or NULL. */
static const char *
path_of(int fd, char *path)
{
	char link[64];
	ssize_t n;

	if (log_fd < 0 || fd == log_fd)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return NULL;
	path[n] = '\0';
	if (strstr(path, "/streams") == NULL &&
	    strstr(path, "/router.db") == NULL)
		return NULL;
	return strstr(path, "-shm") == NULL ? path : NULL;
}

#define NEXT(name) \
	static __typeof__(&name) next; \
	if (next == NULL) \
		next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* A child closes all that it should not have: not our log. */
int
close_range(unsigned first, unsigned last, int flags)
{
	NEXT(close_range);

	if (log_fd < 0 || first > (unsigned)log_fd || last < (unsigned)log_fd)
		return next(first, last, flags);
	if (first < (unsigned)log_fd &&
	    next(first, (unsigned)log_fd - 1, flags) != 0)
		return -1;
	return next((unsigned)log_fd + 1, last, flags);
}

ssize_t
write(int fd, const void *buf, size_t len)
{
	char path[PATH_MAX];
	uint64_t t = now();
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t n;
	NEXT(write);

	n = next(fd, buf, len);
	if (n > 0 && at >= 0 && path_of(fd, path) != NULL)
		record(WRITE, t, path, (uint64_t)at, (uint64_t)n,
		    &(struct iovec){(void *)buf, (size_t)n}, 1);
	return n;
}

ssize_t
pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	char path[PATH_MAX];
	uint64_t t = now();
	ssize_t n;
	NEXT(pwrite64);

	n = next(fd, buf, len, at);
	if (n > 0 && path_of(fd, path) != NULL)
		record(WRITE, t, path, (uint64_t)at, (uint64_t)n,
		    &(struct iovec){(void *)buf, (size_t)n}, 1);
	return n;
}

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t at)
{
	return pwrite64(fd, buf, len, at);
}

ssize_t
pwritev64(int fd, const struct iovec *iov, int count, off_t at)
{
	char path[PATH_MAX];
	uint64_t t = now();
	ssize_t n;
	NEXT(pwritev64);

	n = next(fd, iov, count, at);
	if (n > 0 && path_of(fd, path) != NULL)
		record(WRITE, t, path, (uint64_t)at, (uint64_t)n, iov, count);
	return n;
}

ssize_t
pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	return pwritev64(fd, iov, count, at);
}

int
ftruncate64(int fd, off_t size)
{
	char path[PATH_MAX];
	uint64_t t = now();
	int rc;
	NEXT(ftruncate64);

	rc = next(fd, size);
	if (rc == 0 && path_of(fd, path) != NULL)
		record(TRUNCATE, t, path, (uint64_t)size, 0, NULL, 0);
	return rc;
}

int
ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int
fallocate64(int fd, int mode, off_t at, off_t len)
{
	char path[PATH_MAX];
	uint64_t t = now();
	int rc;
	NEXT(fallocate64);

	rc = next(fd, mode, at, len);
	if (rc == 0 && (mode & FALLOC_FL_KEEP_SIZE) == 0 &&
	    path_of(fd, path) != NULL)
		record(ALLOCATE, t, path, (uint64_t)(at + len), 0, NULL, 0);
	return rc;
}

int
fallocate(int fd, int mode, off_t at, off_t len)
{
	return fallocate64(fd, mode, at, len);
}

int
posix_fallocate64(int fd, off_t at, off_t len)
{
	return fallocate64(fd, 0, at, len) == 0 ? 0 : errno;
}

int
posix_fallocate(int fd, off_t at, off_t len)
{
	return posix_fallocate64(fd, at, len);
}

static int
sync_and_record(int (*next)(int), int fd)
{
	char path[PATH_MAX];
	uint64_t t = now();
	int rc = next(fd);

	if (rc == 0 && path_of(fd, path) != NULL)
		record(SYNC, t, path, 0, 0, NULL, 0);
	return rc;
}

int
fsync(int fd)
{
	NEXT(fsync);
	return sync_and_record(next, fd);
}

int
fdatasync(int fd)
{
	NEXT(fdatasync);
	return sync_and_record(next, fd);
}

static const char *
path_at(int dirfd, const char *name, char *path)
{
	char folder[PATH_MAX];
	char link[64];
	ssize_t n;

	if (log_fd < 0)
		return NULL;
	if (name[0] == '/') {
		snprintf(path, PATH_MAX, "%s", name);
	} else {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(dirfd == AT_FDCWD ? "/proc/self/cwd" : link,
		    folder, sizeof(folder) - 1);
		if (n < 0)
			return NULL;
		folder[n] = '\0';
		if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >=
		    PATH_MAX)
			abort();
	}
	if (strstr(path, "/streams") == NULL &&
	    strstr(path, "/router.db") == NULL)
		return NULL;
	return strstr(path, "-shm") == NULL ? path : NULL;
}

int
unlinkat(int dirfd, const char *name, int flags)
{
	char path[PATH_MAX];
	uint64_t t = now();
	int rc;
	NEXT(unlinkat);

	rc = next(dirfd, name, flags);
	if (rc == 0 && (flags & AT_REMOVEDIR) == 0 &&
	    path_at(dirfd, name, path) != NULL)
		record(UNLINK, t, path, 0, 0, NULL, 0);
	return rc;
}

int
unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int
renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	uint64_t t = now();
	int rc;
	NEXT(renameat);

	rc = next(from_dir, from, to_dir, to);
	if (rc == 0 && path_at(from_dir, from, a) != NULL &&
	    path_at(to_dir, to, b) != NULL)
		record(RENAME, t, a, 0, strlen(b),
		    &(struct iovec){b, strlen(b)}, 1);
	return rc;
}

int
rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}
