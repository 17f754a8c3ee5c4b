#include "connector-worker/sinks/file_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE 0750

const char *
file_place_init(struct file_place *p, const struct template *t)
{
	struct slice prefix = template_prefix(t);
	size_t n = prefix.len;

	while (n > 0 && prefix.p[n - 1] != '/')
		n--;
	if (n >= sizeof(p->base))
		return "is longer than 1023 bytes";
	if (n == 0 && !template_is_constant(t))
		return "must begin with a fixed folder, before the first ${";
	if (template_is_constant(t) && (n == prefix.len || prefix.len == 0))
		return "names no file";
	p->prefix = n;
	/* Without a folder it is the data folder; "/" stays itself. */
	if (n > 1)
		n--;
	snprintf(p->base, sizeof(p->base), "%.*s", n == 0 ? 1 : (int)n,
	    n == 0 ? "." : (const char *)prefix.p);
	return NULL;
}

const char *
file_path_check(const struct file_place *p, struct slice path)
{
	size_t i, start = p->prefix, len;

	if (path.len >= FILE_PATH_MAX)
		return "the path is longer than 1023 bytes";
	if (memchr(path.p, '\0', path.len) != NULL)
		return "the path holds a NUL character";
	for (i = start; i <= path.len; i++) {
		if (i < path.len && path.p[i] != '/')
			continue;
		len = i - start;
		if ((len == 1 && path.p[start] == '.') ||
		    (len == 2 && memcmp(path.p + start, "..", 2) == 0))
			return "the path leaves its fixed part";
		/* Room for the ending of a rotated file. */
		if (len > 220)
			return "a part of the path is longer than 220 bytes";
		if (i == path.len && len == 0)
			return "the path names no file";
		start = i + 1;
	}
	return NULL;
}

/* mkdir -p of the fixed part. */
static int
base_open(const struct file_place *p)
{
	char path[FILE_PATH_MAX];
	size_t i, n = strlen(p->base);
	int fd = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd != -1 || errno != ENOENT)
		return fd;
	for (i = 1; i <= n; i++) {
		if (p->base[i] != '/' && p->base[i] != '\0')
			continue;
		memcpy(path, p->base, i);
		path[i] = '\0';
		if (mkdir(path, FOLDER_MODE) == -1 && errno != EEXIST)
			return -1;
	}
	return open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int
folder_enter(int at, const char *name)
{
	int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, flags), err;

	if (fd == -1 && errno == ENOENT) {
		if (mkdirat(at, name, FOLDER_MODE) == -1 && errno != EEXIST)
			goto out;
		fd = openat(at, name, flags);
	}
out:
	err = errno;
	close(at);
	errno = err;
	return fd;
}

int
file_folder_open(const struct file_place *p, const char *path,
    const char **name)
{
	char part[256];
	const char *slash;
	int fd = base_open(p);

	*name = path + p->prefix;
	while (fd != -1 && (slash = strchr(*name, '/')) != NULL) {
		if (slash > *name) {
			snprintf(part, sizeof(part), "%.*s",
			    (int)(slash - *name), *name);
			fd = folder_enter(fd, part);
		}
		*name = slash + 1;
	}
	return fd;
}
