/*
 * secret - ${env:NAME} and ${file:/path} in the strings of a configuration.
 *
 * A file's text loses one newline at its end; at most SECRET_FILE_MAX bytes
 * are taken. Other ${...} are templates and stay as they are.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/buf.h"

#define SECRET_FILE_MAX 65536
#define SECRET_MASK "***"

/* Where the values come from; tests give their own. */
struct secret_source {
	const char *(*env)(const char *name);
	/* The text, or NULL with *why; the caller frees it. */
	char *(*file)(const char *path, const char **why);
};

/* The environment and the file system. */
extern const struct secret_source secret_system;

bool secret_is_reference(const char *text);
/*
 * The text with its references replaced, on the heap; NULL with the reason
 * in why ("environment variable X is not set").
 */
char *secret_resolve(const char *text, const struct secret_source *,
    char *why, size_t size);

#endif
