#include "base/trie.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/topic.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * A node is a level below its parent. Children by literal level are found
 * through one table for the whole trie, open addressing on the hash of level
 * and parent; the two wildcard children hang on the node itself, as a match
 * looks at them at every node.
 */
struct node {
	void *value;
	struct node *parent;
	struct node *child;	/* first literal child */
	struct node *next;	/* siblings of it */
	struct node *prev;
	struct node *plus;
	struct node *multi;
	uint64_t hash;
	uint64_t mark;		/* the step of a match that last added it */
	uint16_t len;
	bool is_entry;
	char level[];
};

struct node_set {
	struct node **nodes;
	size_t n, cap;
};

/* What a match needs beside the trie; kept so that it allocates nothing. */
struct scratch {
	struct node_set now, then;
	uint64_t step;		/* never repeats: one for each level matched */
};

struct trie {
	struct node *root;
	struct node **table;
	size_t mask;
	size_t used;
	size_t count;
	struct scratch *scratch;
};

#define TABLE_MIN 16

static bool
level_is_plus(struct slice level)
{
	return level.len == 1 && level.p[0] == '+';
}

static bool
level_is_multi(struct slice level)
{
	return level.len == 1 && level.p[0] == '#';
}

static uint64_t
child_hash(const struct node *parent, uint64_t level_hash)
{
	uint64_t h = level_hash ^ ((uint64_t)(uintptr_t)parent >> 4) *
	    UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 32;
	return h * UINT64_C(0xd6e8feb86659fd93);
}

static uint64_t
level_hash(struct slice level)
{
	return XXH3_64bits(level.p, level.len);
}

static size_t
table_index(const struct trie *t, uint64_t hash)
{
	return (size_t)(hash >> 16) & t->mask;
}

static struct node *
table_find(const struct trie *t, const struct node *parent, uint64_t hash,
    struct slice level)
{
	uint64_t h = child_hash(parent, hash);
	struct node *n;
	size_t i;

	for (i = table_index(t, h); (n = t->table[i]) != NULL;
	    i = (i + 1) & t->mask)
		if (n->hash == h && n->parent == parent &&
		    n->len == level.len &&
		    memcmp(n->level, level.p, level.len) == 0)
			return n;
	return NULL;
}

static void
table_put(struct trie *t, struct node *n)
{
	size_t i = table_index(t, n->hash);

	while (t->table[i] != NULL)
		i = (i + 1) & t->mask;
	t->table[i] = n;
}

static void
table_resize(struct trie *t, size_t size)
{
	struct node **old = t->table;
	size_t i, old_size = t->mask + 1;

	t->table = mem_zalloc(size, sizeof(*t->table));
	t->mask = size - 1;
	if (old == NULL)
		return;
	for (i = 0; i < old_size; i++)
		if (old[i] != NULL)
			table_put(t, old[i]);
	free(old);
}

static void
table_add(struct trie *t, struct node *n)
{
	if ((t->used + 1) * 3 > (t->mask + 1) * 2)
		table_resize(t, (t->mask + 1) * 2);
	table_put(t, n);
	t->used++;
}

/* Takes n out and closes the gap, so that no probe ends too early. */
static void
table_remove(struct trie *t, struct node *n)
{
	size_t gap, i, home;

	for (gap = table_index(t, n->hash); t->table[gap] != n;
	    gap = (gap + 1) & t->mask)
		;
	for (i = (gap + 1) & t->mask; t->table[i] != NULL;
	    i = (i + 1) & t->mask) {
		home = table_index(t, t->table[i]->hash);
		if (((i - home) & t->mask) < ((i - gap) & t->mask))
			continue;
		t->table[gap] = t->table[i];
		gap = i;
	}
	t->table[gap] = NULL;
	t->used--;
	if (t->mask + 1 > TABLE_MIN && t->used * 8 < t->mask + 1)
		table_resize(t, (t->mask + 1) / 2);
}

static struct node *
node_new(struct node *parent, struct slice level)
{
	struct node *n = mem_zalloc(1, sizeof(*n) + level.len);

	n->parent = parent;
	n->len = (uint16_t)level.len;
	if (level.len > 0)
		memcpy(n->level, level.p, level.len);
	return n;
}

struct trie *
trie_new(void)
{
	struct trie *t = mem_zalloc(1, sizeof(*t));

	t->root = node_new(NULL, SLICE_EMPTY);
	t->scratch = mem_zalloc(1, sizeof(*t->scratch));
	table_resize(t, TABLE_MIN);
	return t;
}

static bool
node_is_bare(const struct node *n)
{
	return n->child == NULL && n->plus == NULL && n->multi == NULL;
}

/* Unhooks a node without children and frees it. */
static void
node_prune(struct trie *t, struct node *n)
{
	struct node *parent = n->parent;

	if (parent->plus == n) {
		parent->plus = NULL;
	} else if (parent->multi == n) {
		parent->multi = NULL;
	} else {
		table_remove(t, n);
		if (n->prev != NULL)
			n->prev->next = n->next;
		else
			parent->child = n->next;
		if (n->next != NULL)
			n->next->prev = n->prev;
	}
	free(n);
}

/* The first child in the order literal, "+", "#" that comes after prev. */
static struct node *
node_child_after(const struct node *n, const struct node *prev)
{
	if (prev == NULL && n->child != NULL)
		return n->child;
	if (prev != NULL && prev == n->multi)
		return NULL;
	if (prev != NULL && prev == n->plus)
		return n->multi;
	if (prev != NULL && prev->next != NULL)
		return prev->next;
	return n->plus != NULL ? n->plus : n->multi;
}

/* The node after n in a walk of all below top, NULL at its end. */
static struct node *
node_after(const struct node *n, const struct node *top)
{
	struct node *next = node_child_after(n, NULL);

	while (next == NULL && n != top) {
		next = node_child_after(n->parent, n);
		n = n->parent;
	}
	return next;
}

void
trie_free(struct trie *t, void (*free_value)(void *))
{
	struct node *n, *parent;

	if (t == NULL)
		return;
	/* Down to a leaf, free it, and on from its parent. */
	n = t->root;
	while (n != NULL) {
		struct node *down = node_child_after(n, NULL);

		if (down != NULL) {
			n = down;
			continue;
		}
		if (n->is_entry && n->value != NULL && free_value != NULL)
			free_value(n->value);
		parent = n->parent;
		if (parent == NULL)
			free(n);
		else if (parent->plus == n || parent->multi == n) {
			node_prune(t, n);
		} else {
			parent->child = n->next;
			free(n);
		}
		n = parent;
	}
	free(t->table);
	free(t->scratch->now.nodes);
	free(t->scratch->then.nodes);
	free(t->scratch);
	free(t);
}

static struct node *
node_literal_add(struct trie *t, struct node *parent, struct slice level)
{
	uint64_t hash = level_hash(level);
	struct node *n = table_find(t, parent, hash, level);

	if (n != NULL)
		return n;
	n = node_new(parent, level);
	n->hash = child_hash(parent, hash);
	n->next = parent->child;
	if (n->next != NULL)
		n->next->prev = n;
	parent->child = n;
	table_add(t, n);
	return n;
}

static struct node *
node_add(struct trie *t, struct node *parent, struct slice level)
{
	struct node **slot;

	if (level_is_plus(level))
		slot = &parent->plus;
	else if (level_is_multi(level))
		slot = &parent->multi;
	else
		return node_literal_add(t, parent, level);
	if (*slot == NULL)
		*slot = node_new(parent, level);
	return *slot;
}

void **
trie_add(struct trie *t, struct slice key)
{
	struct node *n = t->root;
	struct slice level;

	while (topic_next(&key, &level))
		n = node_add(t, n, level);
	if (!n->is_entry) {
		n->is_entry = true;
		t->count++;
	}
	return &n->value;
}

static struct node *
node_find(const struct trie *t, struct slice key)
{
	struct node *n = t->root;
	struct slice level;

	while (n != NULL && topic_next(&key, &level)) {
		if (level_is_plus(level))
			n = n->plus;
		else if (level_is_multi(level))
			n = n->multi;
		else
			n = table_find(t, n, level_hash(level), level);
	}
	return n;
}

void *
trie_find(const struct trie *t, struct slice key)
{
	const struct node *n = node_find(t, key);

	return n != NULL && n->is_entry ? n->value : NULL;
}

void *
trie_remove(struct trie *t, struct slice key)
{
	struct node *n = node_find(t, key), *parent;
	void *value;

	if (n == NULL || !n->is_entry)
		return NULL;
	value = n->value;
	n->value = NULL;
	n->is_entry = false;
	t->count--;
	while (n != t->root && !n->is_entry && node_is_bare(n)) {
		parent = n->parent;
		node_prune(t, n);
		n = parent;
	}
	return value;
}

size_t
trie_count(const struct trie *t)
{
	return t->count;
}

/* A topic against filters: all the ways through the trie, level by level. */
struct match {
	struct scratch *scratch;
	uint64_t first;		/* the step that this match began with */
	void (*cb)(void *, void *);
	void *arg;
};

static void
set_add(struct node_set *s, struct node *n)
{
	if (s->n == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->nodes = mem_realloc(s->nodes, s->cap * sizeof(*s->nodes));
	}
	s->nodes[s->n++] = n;
}

static void
match_report(const struct match *m, const struct node *n)
{
	if (n->is_entry && n->value != NULL)
		m->cb(n->value, m->arg);
}

/*
 * Adds a node that the levels so far lead to, and with it the "#" below it,
 * which needs no level. A "#" with nothing below matches whatever follows:
 * it is reported at once, and once in a match.
 */
static void
match_enter(struct match *m, struct node *n)
{
	struct scratch *s = m->scratch;

	while (n != NULL && n->mark != s->step) {
		if (n->parent != NULL && n->parent->multi == n &&
		    node_is_bare(n)) {
			if (n->mark < m->first)
				match_report(m, n);
			n->mark = s->step;
			return;
		}
		n->mark = s->step;
		set_add(&s->then, n);
		n = n->multi;
	}
}

static void
match_turn(struct scratch *s)
{
	struct node_set last = s->now;

	s->now = s->then;
	s->then = last;
	s->then.n = 0;
	s->step++;
}

/* All the ways on from the nodes reached so far by one level of the topic. */
static void
match_level(struct match *m, const struct trie *t, struct slice level)
{
	const struct node_set *now = &m->scratch->now;
	uint64_t hash = level_hash(level);
	struct node *n;
	size_t i;

	for (i = 0; i < now->n; i++) {
		n = now->nodes[i];
		if (n->child != NULL)
			match_enter(m, table_find(t, n, hash, level));
		match_enter(m, n->plus);
		if (n->parent != NULL && n->parent->multi == n)
			match_enter(m, n);
	}
}

void
trie_match(const struct trie *t, struct slice topic,
    void (*cb)(void *, void *), void *arg)
{
	struct scratch *s = t->scratch;
	struct match m = {.scratch = s, .cb = cb, .arg = arg};
	struct slice level;
	size_t i;

	s->then.n = 0;
	m.first = ++s->step;
	if (topic.len > 0 && topic.p[0] == '$') {
		/* No wildcard in the first level: only the literal way. */
		if (!topic_next(&topic, &level))
			return;
		match_enter(&m, table_find(t, t->root, level_hash(level),
		    level));
	} else {
		match_enter(&m, t->root);
	}
	match_turn(s);
	while (s->now.n > 0 && topic_next(&topic, &level)) {
		match_level(&m, t, level);
		match_turn(s);
	}
	for (i = 0; i < s->now.n; i++)
		match_report(&m, s->now.nodes[i]);
}

/* A filter against topics: down the literal levels, out at a wildcard. */
struct ask {
	const struct trie *t;
	struct slice filter;
	void (*cb)(void *, void *);
	void *arg;
};

static void
ask_report(const struct ask *a, const struct node *n)
{
	if (n->is_entry && n->value != NULL)
		a->cb(n->value, a->arg);
}

static bool
node_is_hidden(const struct node *n)
{
	return n->parent->parent == NULL && n->len > 0 && n->level[0] == '$';
}

/* The node after n and all below it. */
static struct node *
node_after_all(const struct node *n, const struct node *top)
{
	struct node *next = NULL;

	while (next == NULL && n != top) {
		next = node_child_after(n->parent, n);
		n = n->parent;
	}
	return next;
}

static void
ask_below(const struct ask *a, const struct node *top)
{
	const struct node *n = top;

	while (n != NULL) {
		if (n != top && node_is_hidden(n)) {
			n = node_after_all(n, top);
			continue;
		}
		ask_report(a, n);
		n = node_after(n, top);
	}
}

/* The key of n, below top, written from the end of a buffer forwards. */
static struct slice
node_key(const struct node *n, const struct node *top, struct buf *b)
{
	const struct node *p;
	size_t len = 0, end;
	uint8_t *out;

	for (p = n; p != top; p = p->parent)
		len += (size_t)p->len + 1;
	buf_clear(b);
	if (len == 0)
		return SLICE_NULL;
	out = buf_reserve(b, len);
	end = len - 1;
	for (p = n; p != top; p = p->parent) {
		end -= p->len;
		memcpy(out + end, p->level, p->len);
		if (end > 0)
			out[--end] = '/';
	}
	return slice_of(out, len - 1);
}

/* "#" before the end, which only AMQP has: each key below is asked. */
static void
ask_each_below(const struct ask *a, const struct node *top)
{
	const struct node *n;
	struct buf key;

	buf_init(&key);
	for (n = top; n != NULL; n = node_after(n, top))
		if (n->is_entry && topic_match(a->filter,
		    node_key(n, a->t->root, &key)))
			ask_report(a, n);
	buf_fini(&key);
}

static void
ask_from(const struct ask *a, const struct node *n, struct slice rest,
    size_t depth)
{
	const struct node *child;
	struct slice level;

	if (depth > TOPIC_LEVELS_MAX)
		return;
	while (topic_next(&rest, &level)) {
		if (level_is_multi(level)) {
			if (slice_is_null(rest))
				ask_below(a, n);
			else
				ask_each_below(a, n);
			return;
		}
		if (level_is_plus(level)) {
			for (child = n->child; child != NULL;
			    child = child->next)
				if (!node_is_hidden(child))
					ask_from(a, child, rest, depth + 1);
			return;
		}
		n = table_find(a->t, n, level_hash(level), level);
		if (n == NULL)
			return;
	}
	ask_report(a, n);
}

void
trie_match_filters(const struct trie *t, struct slice filter,
    void (*cb)(void *, void *), void *arg)
{
	struct ask a = {t, filter, cb, arg};

	ask_from(&a, t->root, filter, 0);
}

void
trie_walk(const struct trie *t, bool (*cb)(struct slice, void *, void *),
    void *arg)
{
	const struct node *n;
	struct buf key;

	buf_init(&key);
	for (n = node_after(t->root, t->root); n != NULL;
	    n = node_after(n, t->root))
		if (n->is_entry && n->value != NULL &&
		    !cb(node_key(n, t->root, &key), n->value, arg))
			break;
	buf_fini(&key);
}
