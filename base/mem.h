/*
 * mem - allocation that does not fail.
 *
 * Out of memory is a bug or a limit that was set too low: the process
 * aborts and its supervisor starts it again. Free with free(3).
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
/* Zeroed; n * size is checked for overflow. */
void *mem_zalloc(size_t n, size_t size)
    __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#endif
