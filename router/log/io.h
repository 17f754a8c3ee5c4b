/*
 * io - the system calls of the log, behind one table: tests record what is
 * written and cut it, or let a call fail.
 *
 * Like the system's: -1 with errno. Called on the loop, on the commit thread
 * and on the writers, at the same time.
 */
#ifndef ROUTER_LOG_IO_H
#define ROUTER_LOG_IO_H

#include <stdint.h>
#include <sys/types.h>

struct log_io {
	int (*openat)(void *arg, int dirfd, const char *path, int flags,
	    mode_t mode);
	int (*close)(void *arg, int fd);
	ssize_t (*pwrite)(void *arg, int fd, const void *p, size_t n,
	    off_t at);
	int (*ftruncate)(void *arg, int fd, off_t size);
	/* Room for [at, at + n) without a change of the file's size. */
	int (*fallocate)(void *arg, int fd, off_t at, off_t n);
	int (*fdatasync)(void *arg, int fd);
	int (*fsync)(void *arg, int fd);	/* of directories */
	int (*mkdirat)(void *arg, int dirfd, const char *path, mode_t mode);
	/* Within one directory. */
	int (*renameat)(void *arg, int dirfd, const char *from,
	    const char *to);
	int (*unlinkat)(void *arg, int dirfd, const char *path, int flags);
	/* Bytes that may be written to this file system. */
	int (*space)(void *arg, int dirfd, uint64_t *bytes);
};

extern const struct log_io log_io_system;

#endif
