#include "router/interest.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/trie.h"

#include <stdlib.h>

void
interest_init(struct interest *in)
{
	*in = (struct interest){.trie = trie_new(), .version = 1};
}

static void
filter_free(void *value)
{
	struct filter *f = value;

	free(f->streams);
	free(f->subs);
	free(f);
}

void
interest_fini(struct interest *in)
{
	trie_free(in->trie, filter_free);
	in->trie = NULL;
}

static struct filter *
filter_get(struct interest *in, struct slice text)
{
	void **slot = trie_add(in->trie, text);
	struct filter *f;

	if (*slot != NULL)
		return *slot;
	bug_on(text.len > UINT16_MAX);
	f = mem_zalloc(1, sizeof(*f) + text.len);
	f->len = (uint16_t)text.len;
	memcpy(f->text, text.p, text.len);
	*slot = f;
	return f;
}

/* The slots outside of which the filter is wanted. */
static uint64_t
filter_wanted(const struct filter *f)
{
	if (f->streams_len > 0 || f->subs_len > 0)
		return UINT64_MAX;
	if (f->slots == 0)
		return 0;
	/* One process alone: wanted outside all but that one. */
	return (f->slots & (f->slots - 1)) == 0 ? ~f->slots : UINT64_MAX;
}

/* Tells what changed; a filter that nobody wants is freed. */
static void
filter_changed(struct interest *in, struct filter *f, uint64_t before)
{
	uint64_t after = filter_wanted(f);
	uint64_t diff = (before ^ after) & in->attached;
	struct slice text = slice_of(f->text, f->len);

	in->version++;
	if ((after & ~before) != 0)
		in->has_grown = true;
	for (unsigned slot = 0; diff != 0; slot++, diff >>= 1)
		if ((diff & 1) != 0 && in->on_wanted != NULL)
			in->on_wanted(
			    in->owner, slot, after >> slot & 1, text);
	if (f->slots == 0 && f->streams_len == 0 && f->subs_len == 0) {
		trie_remove(in->trie, text);
		filter_free(f);
	}
}

void
interest_add_slot(struct interest *in, struct slice filter, unsigned slot)
{
	struct filter *f = filter_get(in, filter);
	uint64_t before = filter_wanted(f);

	bug_on(slot >= INTEREST_SLOTS);
	f->slots |= UINT64_C(1) << slot;
	filter_changed(in, f, before);
}

static void
filter_remove_slot(struct interest *in, struct filter *f, unsigned slot)
{
	uint64_t before = filter_wanted(f);

	f->slots &= ~(UINT64_C(1) << slot);
	filter_changed(in, f, before);
}

void
interest_remove_slot(struct interest *in, struct slice filter, unsigned slot)
{
	struct filter *f = trie_find(in->trie, filter);

	if (f != NULL)
		filter_remove_slot(in, f, slot);
}

/* Filters are gathered first: a walk must not change its trie. */
struct gathering {
	struct filter **v;
	size_t n, cap;
	unsigned slot;
};

static bool
gather_filter(struct slice key, void *value, void *arg)
{
	struct gathering *g = arg;
	struct filter *f = value;

	(void)key;
	if ((f->slots >> g->slot & 1) == 0)
		return true;
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? 64 : g->cap * 2;
		g->v = mem_realloc(g->v, g->cap * sizeof(struct filter *));
	}
	g->v[g->n++] = f;
	return true;
}

void
interest_clear_slot(struct interest *in, unsigned slot)
{
	struct gathering g = {.slot = slot};

	trie_walk(in->trie, gather_filter, &g);
	for (size_t i = 0; i < g.n; i++)
		filter_remove_slot(in, g.v[i], slot);
	free(g.v);
}

struct telling {
	struct interest *in;
	unsigned slot;
};

static bool
tell_filter(struct slice key, void *value, void *arg)
{
	struct telling *t = arg;

	if ((filter_wanted(value) >> t->slot & 1) != 0)
		t->in->on_wanted(t->in->owner, t->slot, true, key);
	return true;
}

void
interest_attach(struct interest *in, unsigned slot)
{
	struct telling t = {in, slot};

	in->attached |= UINT64_C(1) << slot;
	if (in->on_wanted != NULL)
		trie_walk(in->trie, tell_filter, &t);
}

void
interest_detach(struct interest *in, unsigned slot)
{
	in->attached &= ~(UINT64_C(1) << slot);
}

void
interest_add_stream(
    struct interest *in, struct slice filter, struct stream *st)
{
	struct filter *f = filter_get(in, filter);
	uint64_t before = filter_wanted(f);

	if (f->streams_len == f->streams_cap) {
		f->streams_cap = f->streams_cap == 0 ? 2 : f->streams_cap * 2;
		f->streams = mem_realloc(f->streams,
		    f->streams_cap * sizeof(struct stream *));
	}
	f->streams[f->streams_len++] = st;
	filter_changed(in, f, before);
}

void
interest_remove_stream(
    struct interest *in, struct slice filter, struct stream *st)
{
	struct filter *f = trie_find(in->trie, filter);
	uint64_t before;

	if (f == NULL)
		return;
	before = filter_wanted(f);
	for (uint32_t i = 0; i < f->streams_len; i++) {
		if (f->streams[i] != st)
			continue;
		f->streams[i] = f->streams[--f->streams_len];
		break;
	}
	filter_changed(in, f, before);
}

void
interest_add_sub(struct interest *in, struct sub *sub)
{
	struct filter *f = filter_get(in, slice_of(sub->text, sub->len));
	uint64_t before = filter_wanted(f);

	bug_on(sub->filter != NULL);
	if (f->subs_len == f->subs_cap) {
		f->subs_cap = f->subs_cap == 0 ? 1 : f->subs_cap * 2;
		f->subs = mem_realloc(
		    f->subs, f->subs_cap * sizeof(struct sub *));
	}
	sub->filter = f;
	sub->pos = f->subs_len;
	f->subs[f->subs_len++] = sub;
	filter_changed(in, f, before);
}

void
interest_remove_sub(struct interest *in, struct sub *sub)
{
	struct filter *f = sub->filter;
	uint64_t before;

	if (f == NULL)
		return;
	before = filter_wanted(f);
	f->subs[sub->pos] = f->subs[--f->subs_len];
	f->subs[sub->pos]->pos = sub->pos;
	sub->filter = NULL;
	filter_changed(in, f, before);
}

struct matching {
	void (*cb)(const struct filter *f, void *arg);
	void *arg;
};

static void
match_filter(void *value, void *arg)
{
	struct matching *m = arg;

	m->cb(value, m->arg);
}

void
interest_match(const struct interest *in, struct slice topic,
    void (*cb)(const struct filter *f, void *arg), void *arg)
{
	struct matching m = {cb, arg};

	trie_match(in->trie, topic, match_filter, &m);
}
