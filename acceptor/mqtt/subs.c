#include "acceptor/mqtt/subs.h"

#include "base/mem.h"
#include "proto/mqtt/topic.h"

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

/* ---- groups ------------------------------------------------------------- */

static struct group *
group_find(const struct filter *f, struct slice name)
{
	struct group *g = f->groups;

	while (g != NULL && !slice_eq(slice_of(g->name, g->name_len), name))
		g = g->next;
	return g;
}

static struct group *
group_get(struct filter *f, struct slice name)
{
	struct group *g = group_find(f, name);

	if (g != NULL)
		return g;
	g = mem_zalloc(1, sizeof(*g) + name.len);
	g->name_len = (uint32_t)name.len;
	memcpy(g->name, name.p, name.len);
	g->filter = f;
	g->next = f->groups;
	f->groups = g;
	return g;
}

void
group_release(struct group *g)
{
	if (--g->references == 0 && g->filter == NULL)
		free(g);
}

/* No filter any more: it lives for those that refer to it still. */
static void
group_end(struct subs *s, struct group *g)
{
	struct group **at = &g->filter->groups;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	g->references++;
	if (s->on_group_end != NULL)
		s->on_group_end(g);
	g->filter = NULL;
	group_release(g);
}

/* ---- subscriptions ------------------------------------------------------ */

static struct subscription **
list_of(struct filter *f, struct group *g)
{
	return g != NULL ? &g->first : &f->first;
}

/* Through the shorter of the two lists: both lead to it. */
static struct subscription *
sub_find(struct filter *f, struct group *g, const struct client *client,
    struct subscription *list)
{
	struct subscription *a = list, *b = *list_of(f, g);

	for (; a != NULL && b != NULL; a = a->of_next, b = b->next) {
		if (a->filter == f && a->group == g)
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
	struct slice name;
	bool is_shared = mqtt_filter_share(&filter, &name);
	struct filter *f = trie_find(s->trie, filter);
	struct group *g = is_shared && f != NULL ? group_find(f, name) : NULL;

	return f == NULL || (is_shared && g == NULL) ? NULL :
	    sub_find(f, g, client, list);
}

struct subscription *
subs_add(struct subs *s, struct client *client, struct subscription **list,
    struct slice filter, bool *existed)
{
	struct slice name;
	bool is_shared = mqtt_filter_share(&filter, &name);
	struct filter *f = filter_get(s, filter);
	struct group *g = is_shared ? group_get(f, name) : NULL;
	struct subscription *sub = sub_find(f, g, client, *list);
	struct subscription **head = list_of(f, g);

	s->generation++;
	*existed = sub != NULL;
	if (sub != NULL)
		return sub;
	sub = mem_zalloc(1, sizeof(*sub));
	sub->filter = f;
	sub->group = g;
	sub->client = client;
	sub->next = *head;
	if (*head != NULL)
		(*head)->prev = sub;
	*head = sub;
	if (g != NULL)
		g->count++;
	else
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
	struct group *g = sub->group;

	if (sub->prev != NULL)
		sub->prev->next = sub->next;
	else
		*list_of(f, g) = sub->next;
	if (sub->next != NULL)
		sub->next->prev = sub->prev;
	if (g != NULL && g->cursor == sub)
		g->cursor = sub->next;
	if (g == NULL)
		f->count--;
	else if (--g->count == 0)
		group_end(s, g);
	if (f->count > 0 || f->groups != NULL)
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
