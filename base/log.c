#include "base/log.h"

#include "base/clock.h"
#include "base/ring.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	const char *process;
	enum log_level level;
	bool json;
} logger = {"bulkhead", LOG_INFO, false};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void
log_init(const char *process)
{
	logger.process = process;
}

void
log_set(enum log_level level, bool json)
{
	logger.level = level;
	logger.json = json;
}

bool
log_level_parse(const char *s, enum log_level *level)
{
	for (size_t i = 0; i < 4; i++)
		if (strcmp(s, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

/* Appends text as a JSON string's content; returns the new length. */
static size_t
json_escape(char *out, size_t at, size_t cap, const char *text)
{
	for (; *text != '\0' && at + 8 < cap; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\') {
			out[at++] = '\\';
			out[at++] = (char)c;
		} else if (c < 0x20) {
			at += (size_t)snprintf(
			    out + at, cap - at, "\\u%04x", (unsigned)c);
		} else {
			out[at++] = (char)c;
		}
	}
	return at;
}

static void
log_write(const char *out, size_t n)
{
	/* Nobody to tell when stderr is gone. */
	if (write(STDERR_FILENO, out, n) < 0)
		return;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[3600], out[4096], now[32];
	va_list ap;
	size_t n;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (level >= LOG_INFO)
		ring_add(text, strlen(text));
	if (level < logger.level)
		return;
	clock_rfc3339(clock_wall_ms(), now, sizeof(now));
	if (logger.json) {
		n = (size_t)snprintf(out, sizeof(out),
		    "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\","
		    "\"pid\":%d,\"message\":\"",
		    now, level_names[level], logger.process, (int)getpid());
		n = json_escape(out, n, sizeof(out) - 4, text);
		memcpy(out + n, "\"}\n", 3);
		log_write(out, n + 3);
		return;
	}
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	len = snprintf(out, sizeof(out), "%s %-5s %s[%d]: %s\n", now,
	    level_names[level], logger.process, (int)getpid(), text);
	if (len > 0)
		log_write(out, (size_t)len < sizeof(out) ? (size_t)len
							  : sizeof(out) - 1);
}

bool
log_may(long long *next)
{
	long long now = (long long)clock_mono_ms();

	if (now < *next)
		return false;
	*next = now + 1000;
	return true;
}

void
fatal(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_line(LOG_ERROR, "%s", text);
	exit(1);
}

void
bug_abort(const char *what, const char *file, int line)
{
	log_line(LOG_ERROR, "bug: %s at %s:%d", what, file, line);
	abort();
}
