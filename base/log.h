/*
 * log - lines to stderr, text or JSON, one write each.
 *
 * Never pass a secret. A line is cut at 4 KiB. Lines of the same origin are
 * not held back: who may be made to log by a peer counts instead, and logs
 * by log_limited. Each line of level info and above also goes to the event
 * ring (base/ring.h) for the crash report.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(const char *process);
void log_set(enum log_level level, bool json);
bool log_level_parse(const char *s, enum log_level *level);

void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* At most a line a second per call site. */
#define log_limited(level, ...)                        \
	do {                                           \
		static long long log_next_;            \
		if (log_may(&log_next_))               \
			log_line(level, __VA_ARGS__);  \
	} while (0)
bool log_may(long long *next);

/* main.c only: the process cannot start. Exits with 1. */
_Noreturn void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* A bug: stays on in release; the supervisor restarts. */
#define bug_on(cond)                                                     \
	do {                                                             \
		if (__builtin_expect(!!(cond), 0))                       \
			bug_abort(#cond, __FILE__, __LINE__);            \
	} while (0)
_Noreturn void bug_abort(const char *what, const char *file, int line);

#endif
