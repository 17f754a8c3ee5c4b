/*
 * vfs - sqlite's unix VFS with paths left as they are given.
 *
 * The default resolves every path to an absolute one, which fails for a
 * process that may not traverse the parents of its current directory.
 */
#ifndef BASE_DB_VFS_H
#define BASE_DB_VFS_H

/* The name to open with, NULL when sqlite has no unix VFS. */
const char *vfs_register(void);

#endif
