#include "router/interest.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trie.h"

#include <stdlib.h>

void
interest_init(struct interest *in)
{
	*in = (struct interest){.trie = trie_new(), .version = 1};
}

/*
 * A value of the trie is a struct filter, or the set of slots alone, shifted
 * left with the lowest bit set, which no pointer has.
 */
static void *
slots_value(uint64_t slots)
{
	return (void *)(uintptr_t)(slots << 1 | 1);
}

static struct filter *
value_filter(void *value)
{
	return ((uintptr_t)value & 1) != 0 ? NULL : value;
}

static uint64_t
value_slots(void *value)
{
	struct filter *f = value_filter(value);

	if (f != NULL)
		return f->slots;
	return value == NULL ? 0 : (uint64_t)(uintptr_t)value >> 1;
}

static void
value_free(void *value)
{
	struct filter *f = value_filter(value);

	if (f == NULL)
		return;
	free(f->streams);
	free(f->subs);
	free(f);
}

void
interest_fini(struct interest *in)
{
	trie_free(in->trie, value_free);
	in->trie = NULL;
}

/* The slots outside of which it is wanted. */
static uint64_t
value_wanted(void *value)
{
	uint64_t slots = value_slots(value);

	/* Of streams or sessions: outside everybody. */
	if (value_filter(value) != NULL)
		return UINT64_MAX;
	if (slots == 0)
		return 0;
	/* One process alone: wanted outside all but that one. */
	return (slots & (slots - 1)) == 0 ? ~slots : UINT64_MAX;
}

static void
tell_change(struct interest *in, struct slice filter, uint64_t before,
    uint64_t after)
{
	uint64_t diff = (before ^ after) & in->attached;

	in->version++;
	if ((after & ~before) != 0)
		in->has_grown = true;
	for (unsigned slot = 0; diff != 0; slot++, diff >>= 1)
		if ((diff & 1) != 0 && in->on_wanted != NULL)
			in->on_wanted(
			    in->owner, slot, after >> slot & 1, filter);
}

static void
slots_set(struct interest *in, struct slice filter, uint64_t slots)
{
	void **at = trie_add(in->trie, filter);
	struct filter *f = *at == NULL ? NULL : value_filter(*at);
	uint64_t before = *at == NULL ? 0 : value_wanted(*at), after;

	if (f != NULL)
		f->slots = slots;
	else
		*at = slots_value(slots);
	after = value_wanted(*at);
	if (f == NULL && slots == 0)
		trie_remove(in->trie, filter);
	tell_change(in, filter, before, after);
}

void
interest_add_slot(struct interest *in, struct slice filter, unsigned slot)
{
	void *value = trie_find(in->trie, filter);

	bug_on(slot >= INTEREST_SLOTS);
	slots_set(in, filter, value_slots(value) | UINT64_C(1) << slot);
}

void
interest_remove_slot(struct interest *in, struct slice filter, unsigned slot)
{
	void *value = trie_find(in->trie, filter);

	if (value != NULL)
		slots_set(in, filter,
		    value_slots(value) & ~(UINT64_C(1) << slot));
}

/* Keys are gathered first: a walk must not change its trie. */
struct gathering {
	struct buf keys;	/* u32 length, bytes */
	unsigned slot;
};

static bool
gather_key(struct slice key, void *value, void *arg)
{
	struct gathering *g = arg;

	if ((value_slots(value) >> g->slot & 1) == 0)
		return true;
	buf_add_be32(&g->keys, (uint32_t)key.len);
	buf_add_slice(&g->keys, key);
	return true;
}

void
interest_clear_slot(struct interest *in, unsigned slot)
{
	struct gathering g = {.slot = slot};
	struct slice rest;

	trie_walk(in->trie, gather_key, &g);
	rest = buf_slice(&g.keys);
	while (rest.len >= 4) {
		size_t n = (size_t)rest.p[0] << 24 | (size_t)rest.p[1] << 16 |
		    (size_t)rest.p[2] << 8 | rest.p[3];

		interest_remove_slot(in, slice_of(rest.p + 4, n), slot);
		rest = slice_of(rest.p + 4 + n, rest.len - 4 - n);
	}
	buf_fini(&g.keys);
}

struct telling {
	struct interest *in;
	unsigned slot;
};

static bool
tell_filter(struct slice key, void *value, void *arg)
{
	struct telling *t = arg;

	if ((value_wanted(value) >> t->slot & 1) != 0)
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

/* ---- streams and sessions ----------------------------------------------- */

/* The filter's struct, made now if it has none; *before: what it was. */
static struct filter *
filter_get(struct interest *in, struct slice text, uint64_t *before)
{
	void **at = trie_add(in->trie, text);
	struct filter *f = *at == NULL ? NULL : value_filter(*at);

	*before = *at == NULL ? 0 : value_wanted(*at);
	if (f != NULL)
		return f;
	f = mem_zalloc(1, sizeof(*f));
	f->slots = *at == NULL ? 0 : value_slots(*at);
	*at = f;
	return f;
}

/* One that no stream or session wants any more has no struct. */
static void
filter_trim(struct interest *in, struct slice text, struct filter *f)
{
	uint64_t slots = f->slots;

	if (f->streams_len > 0 || f->subs_len > 0) {
		in->version++;
		return;
	}
	*trie_add(in->trie, text) = slots_value(slots);
	value_free(f);
	if (slots == 0)
		trie_remove(in->trie, text);
	tell_change(in, text, UINT64_MAX,
	    slots == 0 ? 0 : value_wanted(slots_value(slots)));
}

void
interest_add_stream(
    struct interest *in, struct slice filter, struct stream *st)
{
	uint64_t before;
	struct filter *f = filter_get(in, filter, &before);

	if (f->streams_len == f->streams_cap) {
		f->streams_cap = f->streams_cap == 0 ? 2 : f->streams_cap * 2;
		f->streams = mem_realloc(f->streams,
		    f->streams_cap * sizeof(struct stream *));
	}
	f->streams[f->streams_len++] = st;
	tell_change(in, filter, before, UINT64_MAX);
}

void
interest_remove_stream(
    struct interest *in, struct slice filter, struct stream *st)
{
	void *value = trie_find(in->trie, filter);
	struct filter *f = value == NULL ? NULL : value_filter(value);

	if (f == NULL)
		return;
	for (uint32_t i = 0; i < f->streams_len; i++) {
		if (f->streams[i] != st)
			continue;
		f->streams[i] = f->streams[--f->streams_len];
		break;
	}
	filter_trim(in, filter, f);
}

void
interest_add_sub(struct interest *in, struct sub *sub)
{
	struct slice text = slice_of(sub->text, sub->len);
	uint64_t before;
	struct filter *f = filter_get(in, text, &before);

	bug_on(sub->filter != NULL);
	if (f->subs_len == f->subs_cap) {
		f->subs_cap = f->subs_cap == 0 ? 1 : f->subs_cap * 2;
		f->subs = mem_realloc(
		    f->subs, f->subs_cap * sizeof(struct sub *));
	}
	sub->filter = f;
	sub->pos = f->subs_len;
	f->subs[f->subs_len++] = sub;
	tell_change(in, text, before, UINT64_MAX);
}

void
interest_remove_sub(struct interest *in, struct sub *sub)
{
	struct filter *f = sub->filter;

	if (f == NULL)
		return;
	f->subs[sub->pos] = f->subs[--f->subs_len];
	f->subs[sub->pos]->pos = sub->pos;
	sub->filter = NULL;
	filter_trim(in, slice_of(sub->text, sub->len), f);
}

struct matching {
	void (*cb)(const struct filter *f, void *arg);
	void *arg;
};

static void
match_filter(void *value, void *arg)
{
	struct matching *m = arg;
	const struct filter *f = value_filter(value);
	struct filter of_slots = {.slots = value_slots(value)};

	m->cb(f != NULL ? f : &of_slots, m->arg);
}

void
interest_match(const struct interest *in, struct slice topic,
    void (*cb)(const struct filter *f, void *arg), void *arg)
{
	struct matching m = {cb, arg};

	trie_match(in->trie, topic, match_filter, &m);
}
