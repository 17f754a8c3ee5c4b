#include "router/log/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int
system_openat(void *arg, int dirfd, const char *path, int flags, mode_t mode)
{
	(void)arg;
	return openat(dirfd, path, flags | O_CLOEXEC, mode);
}

static int
system_close(void *arg, int fd)
{
	(void)arg;
	return close(fd);
}

static ssize_t
system_pwrite(void *arg, int fd, const void *p, size_t n, off_t at)
{
	(void)arg;
	return pwrite(fd, p, n, at);
}

static int
system_ftruncate(void *arg, int fd, off_t size)
{
	(void)arg;
	return ftruncate(fd, size);
}

static int
system_fallocate(void *arg, int fd, off_t at, off_t n)
{
	(void)arg;
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, at, n);
}

static int
system_fdatasync(void *arg, int fd)
{
	(void)arg;
	return fdatasync(fd);
}

static int
system_fsync(void *arg, int fd)
{
	(void)arg;
	return fsync(fd);
}

static int
system_mkdirat(void *arg, int dirfd, const char *path, mode_t mode)
{
	(void)arg;
	return mkdirat(dirfd, path, mode);
}

static int
system_renameat(void *arg, int dirfd, const char *from, const char *to)
{
	(void)arg;
	return renameat(dirfd, from, dirfd, to);
}

static int
system_unlinkat(void *arg, int dirfd, const char *path, int flags)
{
	(void)arg;
	return unlinkat(dirfd, path, flags);
}

static int
system_space(void *arg, int dirfd, uint64_t *bytes)
{
	struct statvfs fs;

	(void)arg;
	if (fstatvfs(dirfd, &fs) == -1)
		return -1;
	*bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

const struct log_io log_io_system = {
	.openat = system_openat,
	.close = system_close,
	.pwrite = system_pwrite,
	.ftruncate = system_ftruncate,
	.fallocate = system_fallocate,
	.fdatasync = system_fdatasync,
	.fsync = system_fsync,
	.mkdirat = system_mkdirat,
	.renameat = system_renameat,
	.unlinkat = system_unlinkat,
	.space = system_space,
};
