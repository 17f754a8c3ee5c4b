/*
 * The data folder: made, locked against a second instance, and given to the
 * users of the processes that write it.
 */
#include "supervisor/data.h"

#include "base/log.h"
#include "base/mem.h"
#include "supervisor/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FILE "supervisor.lock"

static char problem[4600];

static const char *
data_failed(const char *path, const char *why)
{
	snprintf(problem, sizeof(problem), "data folder %s: %s", path, why);
	return problem;
}

/* mkdir -p */
static bool
folder_make(const char *path)
{
	char *copy = mem_strdup(path), *slash;
	bool is_good = true;

	for (slash = strchr(copy + 1, '/'); slash != NULL && is_good;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		is_good = mkdir(copy, 0755) == 0 || errno == EEXIST ||
		    errno == EROFS;
		*slash = '/';
	}
	free(copy);
	return is_good && (mkdir(path, 0711) == 0 || errno == EEXIST);
}

static const char *
data_lock(const char *path)
{
	static char owner[128];
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[32] = "";
	int fd = openat(tree.data_fd, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC,
	    0600);
	ssize_t n;

	if (fd == -1)
		return data_failed(path, strerror(errno));
	if (fcntl(fd, F_OFD_SETLK, &whole) == 0) {
		n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
		if (ftruncate(fd, 0) == -1 || write(fd, text, (size_t)n) != n)
			return data_failed(path, strerror(errno));
		/* The descriptor stays open: it is the lock. */
		return NULL;
	}
	n = pread(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : strcspn(text, "\n")] = '\0';
	close(fd);
	snprintf(owner, sizeof(owner), "already in use by another instance "
	    "(process %s); stop it or give another folder by --data",
	    text[0] == '\0' ? "unknown" : text);
	return data_failed(path, owner);
}

/* A folder of DATA with its owner and mode. */
static bool
folder_own(const char *name, uid_t uid, mode_t mode)
{
	if (mkdirat(tree.data_fd, name, mode) == -1 && errno != EEXIST)
		return false;
	if (tree.is_root && fchownat(tree.data_fd, name, uid, uid,
	    AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	return fchmodat(tree.data_fd, name, mode, 0) == 0;
}

static uid_t walk_uid;

static int
walk_own(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	const char *end = strrchr(path, '.');
	/* Definitions hold secrets: they stay ours. */
	bool is_ours = flag == FTW_F && end != NULL &&
	    strcmp(end, ".yaml") == 0;
	uid_t uid = is_ours ? 0 : walk_uid;

	(void)at;
	if (st->st_uid != uid && lchown(path, uid, uid) == -1)
		log_warn("cannot give %s to its process: %s", path,
		    strerror(errno));
	return 0;
}

/* What an instance of another user left is given to ours. */
static void
tree_own(const char *name, uid_t uid)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s", tree.data, name);
	walk_uid = uid;
	nftw(path, walk_own, 16, FTW_PHYS);
}

static bool
file_is_routers(const char *name)
{
	return strncmp(name, "router.", 7) == 0;
}

static void
data_give(void)
{
	struct dirent *e;
	DIR *d;

	tree_own("streams", UID_ROUTER);
	tree_own("connectors", UID_WORKER);
	tree_own("auth", UID_AUTH);
	d = opendir(tree.data);
	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (file_is_routers(e->d_name) && fchownat(tree.data_fd,
		    e->d_name, UID_ROUTER, UID_ROUTER,
		    AT_SYMLINK_NOFOLLOW) == -1)
			log_warn("cannot give %s to the router: %s", e->d_name,
			    strerror(errno));
	closedir(d);
}

const char *
data_open(const char *path)
{
	const char *why;

	if (!folder_make(path))
		return data_failed(path, strerror(errno));
	tree.data = realpath(path, NULL);
	tree.data_fd = tree.data == NULL ? -1 : open(tree.data,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree.data_fd == -1)
		return data_failed(path, strerror(errno));
	if ((why = data_lock(path)) != NULL)
		return why;
	if ((tree.is_root && (fchown(tree.data_fd, UID_ROUTER, UID_ROUTER) ==
	    -1 || fchmod(tree.data_fd, 0711) == -1)) ||
	    !folder_own("streams", UID_ROUTER, 0700) ||
	    !folder_own("connectors", UID_WORKER, 0700) ||
	    !folder_own("auth", UID_AUTH, 0700) ||
	    !folder_own("crashes", 0, 0700))
		return data_failed(path, strerror(errno));
	if (tree.is_root)
		data_give();
	return NULL;
}

/* The folder of a file, so that the rename itself is on disk. */
static bool
folder_sync(const char *name)
{
	char folder[512];
	int fd;
	bool is_good;

	snprintf(folder, sizeof(folder), "%s", name);
	*strrchr(folder, '/') = '\0';
	fd = openat(tree.data_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return false;
	is_good = fsync(fd) == 0;
	close(fd);
	return is_good;
}

bool
data_write(const char *name, struct slice text)
{
	char next[512];
	ssize_t n = 1;
	bool is_good;
	int fd, saved;

	snprintf(next, sizeof(next), "%s.new", name);
	/* Not through what somebody else has put there. */
	unlinkat(tree.data_fd, next, 0);
	fd = openat(tree.data_fd, next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600);
	if (fd == -1)
		return false;
	while (text.len > 0 && (n = write(fd, text.p, text.len)) > 0) {
		text.p += n;
		text.len -= (size_t)n;
	}
	is_good = n > 0 && fsync(fd) == 0;
	saved = errno;
	close(fd);
	if (is_good && renameat(tree.data_fd, next, tree.data_fd, name) == 0)
		return folder_sync(name);
	if (is_good)
		saved = errno;
	unlinkat(tree.data_fd, next, 0);
	errno = saved;
	return false;
}

bool
data_read(const char *name, struct buf *text)
{
	int fd = openat(tree.data_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return false;
	do {
		n = read(fd, buf_reserve(text, 65536), 65536);
		if (n > 0)
			buf_commit(text, (size_t)n);
	} while (n > 0 && buf_len(text) < (16u << 20));
	close(fd);
	return n == 0;
}
