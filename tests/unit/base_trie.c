#include "base/buf.h"
#include "base/topic.h"
#include "base/trie.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice
s(const char *text)
{
	return slice_str(text);
}

Test(topic, checks)
{
	cr_assert_null(topic_check(s("a/b")));
	cr_assert_null(topic_check(s("/")));
	cr_assert_not_null(topic_check(s("")));
	cr_assert_not_null(topic_check(s("a/+")));
	cr_assert_not_null(topic_check(s("a#")));
	cr_assert_not_null(topic_check(s("\xff")));
	cr_assert_not_null(topic_check(slice_of("a\0b", 3)));
	cr_assert_null(filter_check(s("a/+/#")));
	cr_assert_null(filter_check(s("#")));
	cr_assert_null(filter_check(s("+/+")));
	cr_assert_not_null(filter_check(s("a/#/b")));
	cr_assert_not_null(filter_check(s("a+/b")));
	cr_assert_not_null(filter_check(s("a/b#")));
	cr_assert_not_null(filter_check(s("")));
}

Test(topic, bounds)
{
	char *p = malloc(TOPIC_LEN_MAX + 1);

	memset(p, 'a', TOPIC_LEN_MAX + 1);
	cr_assert_null(topic_check(slice_of(p, TOPIC_LEN_MAX)));
	cr_assert_not_null(topic_check(slice_of(p, TOPIC_LEN_MAX + 1)));
	memset(p, '/', TOPIC_LEN_MAX);
	cr_assert_null(topic_check(slice_of(p, TOPIC_LEVELS_MAX - 1)));
	cr_assert_not_null(topic_check(slice_of(p, TOPIC_LEVELS_MAX)));
	free(p);
}

Test(topic, levels)
{
	cr_assert_eq(topic_levels(s("a/b/c")), 3);
	cr_assert_eq(topic_levels(s("/")), 2);
	cr_assert(slice_is(topic_level(s("a/b/c"), 1), "b"));
	cr_assert(slice_is(topic_level(s("a/b/c"), 2), "c"));
	cr_assert(slice_is_null(topic_level(s("a/b/c"), 3)));
}

struct match_case {
	const char *filter, *topic;
	bool is_match;
};

static const struct match_case matches[] = {
	{"a/b", "a/b", true},
	{"a/b", "a/c", false},
	{"a/+", "a/b", true},
	{"a/+", "a", false},
	{"a/+", "a/", true},
	{"+", "/", false},
	{"+/+", "/", true},
	{"a/#", "a", true},
	{"a/#", "a/b/c", true},
	{"#", "a", true},
	{"#", "$SYS/a", false},
	{"+/a", "$SYS/a", false},
	{"$SYS/#", "$SYS/a", true},
	{"a/#", "a/$b", true},
	{"a/#/z", "a/z", true},
	{"a/#/z", "a/b/c/z", true},
	{"a/#/z", "a/b/c/z/y", false},
	{"#/b/#", "a/b/c", true},
	{"#/b/+", "a/b/b/c", true},
	{"#/b/+", "a/b", false},
	{"+/#", "a", true},
	{"a/#/#", "a", true},
	{"$share", "$share", true},
};

Test(topic, match)
{
	size_t i;

	for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++)
		cr_expect_eq(topic_match(s(matches[i].filter),
		    s(matches[i].topic)), matches[i].is_match, "%s %s",
		    matches[i].filter, matches[i].topic);
}

Test(topic, share)
{
	struct slice group, rest;

	cr_assert(filter_share(s("$share/g/a/+"), &group, &rest));
	cr_assert(slice_is(group, "g"));
	cr_assert(slice_is(rest, "a/+"));
	cr_assert_not(filter_share(s("$share/g"), &group, &rest));
	cr_assert_not(filter_share(s("a/b/c"), &group, &rest));
	cr_assert(filter_has_wildcard(s("a/+")));
	cr_assert_not(filter_has_wildcard(s("a/b+")));
}

/* A random name of up to five levels from a small alphabet; '.' is "". */
static void
random_name(unsigned *seed, const char *letters, char *out)
{
	size_t n = 1 + (size_t)rand_r(seed) % 5, i, k = strlen(letters);
	char c;

	for (i = 0; i < n; i++) {
		if (i > 0)
			*out++ = '/';
		c = letters[(size_t)rand_r(seed) % k];
		if (c != '.')
			*out++ = c;
	}
	*out = '\0';
}

Test(topic, covers)
{
	unsigned seed = 7;
	char a[32], b[32], topic[32];
	int i, j, said = 0;

	cr_assert(filter_covers(s("#"), s("a/+/c")));
	cr_assert(filter_covers(s("a/+"), s("a/b")));
	cr_assert(filter_covers(s("a/+"), s("a/+")));
	cr_assert(filter_covers(s("+/#"), s("#/+")));
	cr_assert(filter_covers(s("+/#"), s("#/x")));
	cr_assert(filter_covers(s("a/#"), s("a")));
	cr_assert_not(filter_covers(s("a"), s("a/#")));
	cr_assert_not(filter_covers(s("+"), s("#")));
	cr_assert_not(filter_covers(s("#"), s("$SYS/#")));
	cr_assert(filter_covers(s("$SYS/#"), s("$SYS/+")));
	/* What it says yes to must be so for every topic tried. */
	for (i = 0; i < 3000; i++) {
		random_name(&seed, "ab+#$", a);
		random_name(&seed, "ab+#$", b);
		if (!filter_covers(s(a), s(b)))
			continue;
		said++;
		for (j = 0; j < 300; j++) {
			random_name(&seed, "abc$", topic);
			if (topic_match(s(b), s(topic)))
				cr_assert(topic_match(s(a), s(topic)),
				    "%s covers %s but not %s", a, b, topic);
		}
	}
	cr_assert_gt(said, 50);
}

Test(trie, add_find_remove)
{
	struct trie *t = trie_new();
	int x, y;

	*trie_add(t, s("a/b")) = &x;
	*trie_add(t, s("a")) = &y;
	cr_assert_eq(trie_count(t), 2);
	cr_assert_eq(trie_find(t, s("a/b")), &x);
	cr_assert_eq(trie_find(t, s("a")), &y);
	cr_assert_null(trie_find(t, s("b")));
	cr_assert_null(trie_find(t, s("a/b/c")));
	cr_assert_eq(*trie_add(t, s("a")), &y);
	cr_assert_eq(trie_remove(t, s("a")), &y);
	cr_assert_null(trie_remove(t, s("a")));
	cr_assert_eq(trie_find(t, s("a/b")), &x);
	cr_assert_eq(trie_remove(t, s("a/b")), &x);
	cr_assert_eq(trie_count(t), 0);
	trie_free(t, NULL);
}

struct entry {
	char key[32];
	unsigned seen;
};

static void
see(void *value, void *arg)
{
	struct entry *e = value;

	e->seen++;
	(*(unsigned *)arg)++;
}

static bool
see_key(struct slice key, void *value, void *arg)
{
	cr_assert(slice_is(key, ((struct entry *)value)->key));
	see(value, arg);
	return true;
}

/* A trie of random keys, as unique entries. */
static size_t
fill(struct trie *t, struct entry *e, size_t n, const char *letters,
    unsigned *seed)
{
	size_t i, used = 0;
	void **slot;

	for (i = 0; i < n; i++) {
		random_name(seed, letters, e[used].key);
		e[used].seen = 0;
		slot = trie_add(t, s(e[used].key));
		if (*slot == NULL)
			*slot = &e[used++];
	}
	return used;
}

static void
expect_seen(struct entry *e, size_t n, const char *other, bool is_topic)
{
	bool want;
	size_t i;

	for (i = 0; i < n; i++) {
		want = is_topic ? topic_match(s(e[i].key), s(other)) :
		    topic_match(s(other), s(e[i].key));
		cr_assert_eq(e[i].seen, want ? 1 : 0, "%s against %s: %u",
		    e[i].key, other, e[i].seen);
		e[i].seen = 0;
	}
}

static void
match_many(struct trie *t, struct entry *e, size_t used, unsigned *seed)
{
	char topic[32];
	unsigned n = 0;
	int i;

	for (i = 0; i < 2000; i++) {
		random_name(seed, "abcd$.", topic);
		trie_match(t, s(topic), see, &n);
		expect_seen(e, used, topic, true);
	}
}

Test(trie, matches_like_topic_match)
{
	static struct entry e[2000];
	struct trie *t = trie_new();
	unsigned seed = 3, n = 0;
	size_t used, i, left = 0;

	used = fill(t, e, 2000, "abc+#$.", &seed);
	match_many(t, e, used, &seed);
	/* And half of it taken out again. */
	for (i = 0; i < used; i++) {
		if (i % 2 == 0) {
			cr_assert_eq(trie_remove(t, s(e[i].key)), &e[i]);
			continue;
		}
		*trie_add(t, s(e[i].key)) = &e[left];
		e[left++] = e[i];
	}
	cr_assert_eq(trie_count(t), left);
	match_many(t, e, left, &seed);
	trie_walk(t, see_key, &n);
	cr_assert_eq(n, left, "%u of %zu", n, left);
	trie_free(t, NULL);
}

Test(trie, asked_with_filters)
{
	static struct entry e[1000];
	struct trie *t = trie_new();
	unsigned seed = 5, n = 0;
	char filter[32];
	size_t used, i;

	used = fill(t, e, 1000, "abc$.", &seed);
	for (i = 0; i < 3000; i++) {
		random_name(&seed, "abc+#$.", filter);
		trie_match_filters(t, s(filter), see, &n);
		expect_seen(e, used, filter, false);
	}
	trie_free(t, NULL);
}

Test(trie, grows_and_shrinks)
{
	struct trie *t = trie_new();
	char key[32];
	int i, round;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < 20000; i++) {
			snprintf(key, sizeof(key), "d/%d/%d", i % 100, i);
			*trie_add(t, s(key)) = t;
		}
		for (i = 0; i < 20000; i++) {
			snprintf(key, sizeof(key), "d/%d/%d", i % 100, i);
			cr_assert_eq(trie_find(t, s(key)), t);
			cr_assert_eq(trie_remove(t, s(key)), t);
		}
		cr_assert_eq(trie_count(t), 0);
	}
	trie_free(t, NULL);
}

Test(trie, deep_topics)
{
	struct trie *t = trie_new();
	static char deep[60001];
	unsigned n = 0;
	struct entry e = {0};

	memset(deep, '/', sizeof(deep) - 1);
	*trie_add(t, s(deep)) = &e;
	trie_match(t, s(deep), see, &n);
	cr_assert_eq(n, 1);
	*trie_add(t, s("#/#")) = &e;
	trie_match(t, s(deep), see, &n);
	cr_assert_eq(n, 3);
	trie_free(t, NULL);
}
