#include "router/log/store.h"

#include "base/mem.h"

#include <stdlib.h>

#define SPARE_MAX 16			/* gathers kept for reuse */
#define SPARE_BYTES ((size_t)256 << 10)	/* and the memory that each may keep */

struct gather *
gather_take(struct log_store *s, uint64_t first)
{
	struct gather *g = s->spare;

	if (g != NULL) {
		s->spare = g->younger;
		s->spare_len--;
	} else {
		g = mem_zalloc(1, sizeof(*g));
	}
	g->first = g->end = first;
	g->batches_len = 0;
	g->partition = NULL;
	g->younger = NULL;
	return g;
}

void
gather_give(struct log_store *s, struct gather *g)
{
	if (g == NULL)
		return;
	if (s->spare_len == SPARE_MAX) {
		buf_fini(&g->bytes);
		free(g->batches);
		free(g);
		return;
	}
	buf_trim(&g->bytes, SPARE_BYTES);
	g->younger = s->spare;
	s->spare = g;
	s->spare_len++;
}

struct gather_batch *
gather_add_batch(struct gather *g, uint64_t base_offset)
{
	if (g->batches_len == g->batches_cap) {
		g->batches_cap = g->batches_cap == 0 ? 4
						     : g->batches_cap * 2;
		g->batches = mem_realloc(g->batches,
		    g->batches_cap * sizeof(*g->batches));
	}
	g->batches[g->batches_len] = (struct gather_batch){
		.base_offset = base_offset,
		.at = g->bytes.len,
		.has_number = true,
	};
	return &g->batches[g->batches_len++];
}

void
gather_undo(const struct gather *g, struct senders *senders)
{
	for (size_t i = g->batches_len; i > 0; i--) {
		const struct gather_batch *b = &g->batches[i - 1];
		struct log_sender *sender = senders_find(senders, b->sender);

		if (sender == NULL)
			continue;
		if (b->has_number)
			sender->number = b->number;
		else
			senders_remove(senders, b->sender);
	}
}

bool
gather_find(const struct gather *g, uint64_t offset, struct slice *in)
{
	size_t low = 0, high = g->batches_len, end;

	if (offset < g->first || offset >= g->end)
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (g->batches[middle].base_offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	end = low < g->batches_len ? g->batches[low].at : g->bytes.len;
	*in = slice_of(g->bytes.p + g->batches[low - 1].at,
	    end - g->batches[low - 1].at);
	return true;
}

/* ---- the cache: committed gathers of the streams that are read back ------ */

static size_t
gather_weight(const struct gather *g)
{
	return sizeof(*g) + g->bytes.cap +
	    g->batches_cap * sizeof(*g->batches);
}

/* The oldest of all is the oldest of its partition, too. */
static void
cache_evict(struct log_store *s)
{
	struct gather *g = s->oldest;
	struct log_partition *p = g->partition;

	s->oldest = g->younger;
	if (s->oldest == NULL)
		s->youngest = NULL;
	if (p->read.gather == g)
		p->read.gather = NULL;
	s->cached_bytes -= gather_weight(g);
	p->cached_len--;
	memmove(p->cached, p->cached + 1, p->cached_len * sizeof(*p->cached));
	gather_give(s, g);
}

void
gather_cache(struct log_partition *p, struct gather *g)
{
	struct log_store *s = p->stream->store;

	/* A buffer that grew for a burst would waste most of the cache. */
	if (g->bytes.cap / 2 > g->bytes.len) {
		g->bytes.p = mem_realloc(g->bytes.p, g->bytes.len);
		g->bytes.cap = g->bytes.len;
	}
	if (p->cached_len == p->cached_cap) {
		p->cached_cap = p->cached_cap == 0 ? 16 : p->cached_cap * 2;
		p->cached = mem_realloc(p->cached,
		    p->cached_cap * sizeof(*p->cached));
	}
	p->cached[p->cached_len++] = g;
	g->partition = p;
	g->younger = NULL;
	if (s->youngest != NULL)
		s->youngest->younger = g;
	else
		s->oldest = g;
	s->youngest = g;
	s->cached_bytes += gather_weight(g);
	while (s->cached_bytes > s->options.cache_bytes && s->oldest != NULL)
		cache_evict(s);
}

void
gather_uncache(struct log_partition *p)
{
	struct log_store *s = p->stream->store;
	struct gather **link = &s->oldest, *last = NULL;

	while (*link != NULL) {
		struct gather *g = *link;

		if (g->partition != p) {
			last = g;
			link = &g->younger;
			continue;
		}
		*link = g->younger;
		s->cached_bytes -= gather_weight(g);
		gather_give(s, g);
	}
	s->youngest = last;
	p->read.gather = NULL;
	free(p->cached);
	p->cached = NULL;
	p->cached_len = p->cached_cap = 0;
}
