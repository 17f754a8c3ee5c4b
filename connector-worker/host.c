#include "connector-worker/host.h"

#include <stdarg.h>
#include <stdio.h>

struct ev_loop *
sink_loop(const struct sink *s)
{
	return s->loop;
}

const struct sink_options *
sink_opts(const struct sink *s)
{
	return s->options;
}

const char *
sink_connector(const struct sink *s)
{
	return s->connector;
}

const char *
sink_stream(const struct sink *s)
{
	return s->stream;
}

bool
sink_is_test(const struct sink *s)
{
	return s->is_test;
}

void
sink_probed(struct sink *s, bool is_up, const char *reason)
{
	if (s->host->probed != NULL)
		s->host->probed(s->arg, is_up, reason);
}

void
sink_found(struct sink *s, const char *what, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (s->host->found != NULL)
		s->host->found(s->arg, what, text);
}

void
sink_tested(struct sink *s, bool is_good, const char *reason)
{
	if (s->host->tested != NULL)
		s->host->tested(s->arg, is_good, reason);
}

void
sink_reject(struct sink *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->host->rejected(s->arg, text);
}

bool
sink_keep_now(struct sink *s, struct slice key, struct slice value)
{
	return s->host->keep_now != NULL &&
	    s->host->keep_now(s->arg, key, value);
}

void
sink_position(const struct sink *s, struct buf *out)
{
	if (s->host->position != NULL)
		s->host->position(s->arg, out);
}

bool
sink_rewind(struct sink *s, struct slice position)
{
	return s->host->rewind != NULL && s->host->rewind(s->arg, position);
}

void
sink_kept(const struct sink *s, void (*cb)(struct slice, struct slice,
    void *), void *arg)
{
	if (s->host->kept != NULL)
		s->host->kept(s->arg, cb, arg);
}
