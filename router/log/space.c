#include "router/log/store.h"

#include "base/clock.h"

#define CHECK_MS 200
/* So much must be there again before the store is full no more. */
#define RESUME_BYTES ((uint64_t)1 << 20)

static void
space_set_full(struct log_store *s, bool is_full)
{
	if (s->is_full == is_full)
		return;
	s->is_full = is_full;
	if (s->options.events != NULL && s->options.events->on_space != NULL)
		s->options.events->on_space(s->options.owner, is_full);
}

/* Looks at the file system, but not more often than every 200 ms. */
void
space_check(struct log_store *s, bool is_forced)
{
	uint64_t now = clock_mono_ms(), space, taken;

	if (!is_forced && now - s->space_checked_ms < CHECK_MS)
		return;
	s->space_checked_ms = now;
	if (s->limits.io->space(s->limits.io_arg, s->limits.dirfd, &space) ==
	    -1)
		return;
	taken = s->limits.keep_free_bytes + s->gathered + s->flying;
	s->budget = space > taken ? space - taken : 0;
	if (s->is_full && s->budget >= RESUME_BYTES)
		space_set_full(s, false);
}

void
space_lost(struct log_store *s)
{
	s->budget = 0;
	s->space_checked_ms = clock_mono_ms();
	space_set_full(s, true);
}

/* Bytes that the active segment has room for beyond what is gathered. */
static uint64_t
partition_room(struct log_partition *p)
{
	const struct segment *active = segment_active(p);
	uint64_t used;

	if (active == NULL || p->must_roll)
		return 0;
	used = active->bytes +
	    (p->open != NULL ? p->open->bytes.len : 0) +
	    (p->flying != NULL ? p->flying->bytes.len : 0);
	return active->allocated > used ? active->allocated - used : 0;
}

bool
space_take(struct log_partition *p, size_t size)
{
	struct log_store *s = p->stream->store;

	if (s->is_full) {
		space_check(s, false);
		if (s->is_full)
			return false;
	}
	if (partition_room(p) >= size)
		return true;
	if (s->budget < size)
		space_check(s, false);
	if (s->budget < size) {
		space_lost(s);
		return false;
	}
	s->budget -= size;
	return true;
}

bool
log_space_is_full(struct log_store *s)
{
	if (s->is_full)
		space_check(s, false);
	return s->is_full;
}
