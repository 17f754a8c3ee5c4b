/*
 * file_disk - the steps on the file system that file_out is made of. Each
 * finds the folder anew, so that no descriptor outlives a rename of it.
 */
#ifndef SINKS_FILE_DISK_H
#define SINKS_FILE_DISK_H

#include "connector-worker/sinks/file_out.h"

#include <sys/stat.h>

/*
 * Opens the file of a state for writing if it is still the same device and
 * inode at its name; -1 if not.
 */
int disk_open_known(const struct file_rules *r, const char *path,
    const struct file_state *s, struct stat *st);
/*
 * Makes a file for the path and syncs its folder. An empty one that stands
 * there is taken; where another's stands, it gets a name beside it, which
 * goes to name (FILE_NAME_MAX bytes). -1 with errno.
 */
int disk_open_new(const struct file_rules *r, const char *path, char *name,
    struct stat *st);
/* The name still leads to this file. */
bool disk_is_still(const struct file_rules *r, const char *path,
    const struct file_state *s);
bool disk_lock(int fd);

/* Chooses a free name for the full file: s->rotating_to. */
bool disk_rotated_name(const struct file_rules *r, const char *path,
    struct file_state *s, uint64_t period_ms);
/* Renames it so; nothing is ever replaced. */
bool disk_rename(const struct file_rules *r, const char *path,
    const struct file_state *s);
/* Removes the oldest rotated files beyond keep_files. */
void disk_prune(const struct file_rules *r, const char *path);

#endif
