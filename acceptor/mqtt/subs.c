#include "acceptor/mqtt/subs.h"

#include "base/mem.h"

#include <stdlib.h>

void
subs_init(struct subs *s, void (*on_first)(struct filter *),
    void (*on_last)(struct filter *))
{
	*s = (struct subs){.trie = trie_new(), .generation = 1,
	    .on_first = on_first, .on_last = on_last};
}

void
subs_fini(struct subs *s)
{
	trie_free(s->trie, free);
	*s = (struct subs){0};
}

static struct filter *
filter_get(struct subs *s, struct slice text)
{
	void **slot = trie_add(s->trie, text);
	struct filter *f = *slot;

	if (f != NULL)
		return f;
	f = mem_zalloc(1, sizeof(*f) + text.len);
	f->len = (uint32_t)text.len;
	memcpy(f->text, text.p, text.len);
	*slot = f;
	s->on_first(f);
	return f;
}

/* Through the shorter of the two lists: both lead to it. */
static struct subscription *
sub_find(const struct filter *f, const struct client *client,
    struct subscription *list)
{
	struct subscription *a = list, *b = f->first;

	for (; a != NULL && b != NULL; a = a->of_next, b = b->next) {
		if (a->filter == f)
			return a;
		if (b->client == client)
			return b;
	}
	return NULL;
}

struct subscription *
subs_find(const struct subs *s, const struct client *client,
    struct subscription *list, struct slice filter)
{
	const struct filter *f = trie_find(s->trie, filter);

	return f == NULL ? NULL : sub_find(f, client, list);
}

struct subscription *
subs_add(struct subs *s, struct client *client, struct subscription **list,
    struct slice filter, bool *existed)
{
	struct filter *f = filter_get(s, filter);
	struct subscription *sub = sub_find(f, client, *list);

	s->generation++;
	*existed = sub != NULL;
	if (sub != NULL)
		return sub;
	sub = mem_zalloc(1, sizeof(*sub));
	sub->filter = f;
	sub->client = client;
	sub->next = f->first;
	if (f->first != NULL)
		f->first->prev = sub;
	f->first = sub;
	f->count++;
	sub->of_next = *list;
	if (*list != NULL)
		(*list)->of_prev = sub;
	*list = sub;
	s->count++;
	return sub;
}

static void
filter_unlink(struct subs *s, struct subscription *sub)
{
	struct filter *f = sub->filter;

	if (sub->prev != NULL)
		sub->prev->next = sub->next;
	else
		f->first = sub->next;
	if (sub->next != NULL)
		sub->next->prev = sub->prev;
	if (--f->count > 0)
		return;
	s->on_last(f);
	trie_remove(s->trie, filter_text(f));
	free(f);
}

void
subs_remove(struct subs *s, struct subscription **list,
    struct subscription *sub)
{
	s->generation++;
	s->count--;
	if (sub->of_prev != NULL)
		sub->of_prev->of_next = sub->of_next;
	else
		*list = sub->of_next;
	if (sub->of_next != NULL)
		sub->of_next->of_prev = sub->of_prev;
	filter_unlink(s, sub);
	if (sub->held != NULL) {
		parcels_fini(sub->held);
		free(sub->held);
	}
	free(sub);
}
