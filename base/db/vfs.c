#include "base/db/vfs.h"

#include <sqlite3.h>

#include <stddef.h>
#include <string.h>

static int
vfs_full_pathname(sqlite3_vfs *vfs, const char *path, int cap, char *out)
{
	size_t n = strlen(path);

	(void)vfs;
	if (n >= (size_t)cap)
		return SQLITE_CANTOPEN;
	memcpy(out, path, n + 1);
	return SQLITE_OK;
}

/*
 * The unix VFS is a struct of functions that keep nothing in it: a copy
 * with one function changed is a VFS, as unix-none and unix-excl are.
 */
const char *
vfs_register(void)
{
	static sqlite3_vfs vfs;
	sqlite3_vfs *unix_vfs;

	if (vfs.zName != NULL)
		return vfs.zName;
	unix_vfs = sqlite3_vfs_find("unix");
	if (unix_vfs == NULL)
		return NULL;
	vfs = *unix_vfs;
	vfs.pNext = NULL;
	vfs.zName = "unix-as-given";
	vfs.xFullPathname = vfs_full_pathname;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK) {
		vfs.zName = NULL;
		return NULL;
	}
	return vfs.zName;
}
