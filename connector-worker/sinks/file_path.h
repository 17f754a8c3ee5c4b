/*
 * file_path - from a path as rendered to a folder's descriptor and a name,
 * never out of the fixed part of the path.
 *
 * The fixed part is what the definition itself says before its first value,
 * up to the last '/': it is opened as it is, symbolic links included. Below
 * it every folder is opened (or made) one by one, without following links.
 */
#ifndef SINKS_FILE_PATH_H
#define SINKS_FILE_PATH_H

#include "base/template.h"

#define FILE_PATH_MAX 1024

struct file_place {
	char base[FILE_PATH_MAX];	/* the fixed folder */
	size_t prefix;			/* its length in every path */
};

/* NULL, or what is wrong with the template as a path. */
const char *file_place_init(struct file_place *p, const struct template *t);
/* NULL, or why this path, as rendered, cannot be one below the place. */
const char *file_path_check(const struct file_place *p, struct slice path);
/*
 * The folder of a checked path, made if need be; *name is its last part.
 * -1 with errno.
 */
int file_folder_open(const struct file_place *p, const char *path,
    const char **name);

#endif
