#include "acceptor/mqtt/wanted.h"

#include <sys/mman.h>

#define PAGE_LEN 4096

void
wanted_init(struct wanted *w)
{
	*w = (struct wanted){.trie = trie_new(), .changes = 1};
}

static void
wanted_unmap(struct wanted *w)
{
	if (w->page != NULL)
		munmap((void *)(uintptr_t)w->page, PAGE_LEN);
	w->page = NULL;
}

void
wanted_fini(struct wanted *w)
{
	wanted_unmap(w);
	trie_free(w->trie, NULL);
	w->trie = NULL;
}

bool
wanted_map(struct wanted *w, int fd)
{
	void *p = mmap(NULL, PAGE_LEN, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return false;
	wanted_unmap(w);
	w->page = p;
	return true;
}

void
wanted_clear(struct wanted *w)
{
	trie_free(w->trie, NULL);
	w->trie = trie_new();
	w->changes++;
}

void
wanted_add(struct wanted *w, struct slice filter)
{
	/* Being there is all that an entry says. */
	*trie_add(w->trie, filter) = w;
	w->changes++;
}

void
wanted_remove(struct wanted *w, struct slice filter)
{
	trie_remove(w->trie, filter);
	w->changes++;
}

void
wanted_apply(struct wanted *w, uint64_t generation)
{
	w->applied = generation;
}

static void
on_match(void *value, void *arg)
{
	(void)value;
	*(bool *)arg = true;
}

bool
wanted_match(const struct wanted *w, struct slice topic)
{
	bool is_wanted = false;

	trie_match(w->trie, topic, on_match, &is_wanted);
	return is_wanted;
}
