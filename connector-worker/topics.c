#include "connector-worker/worker.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/topic.h"

#include <stdlib.h>

#define CACHE_SLOTS 256
#define CACHE_TOPIC_MAX 128

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Streams repeat their topics: the answer for each of the latest ones is
 * kept by hash and text.
 */
struct cached {
	uint64_t hash;
	uint8_t len;
	bool is_match;
	uint8_t text[CACHE_TOPIC_MAX];
};

struct topics {
	size_t count;
	char **filters;
	struct cached *cache;	/* made when there is something to ask */
};

struct topics *
topics_new(char *const *filters, size_t count)
{
	struct topics *t = mem_zalloc(1, sizeof(*t));
	size_t i;

	t->count = count;
	t->filters = mem_zalloc(count + 1, sizeof(*t->filters));
	for (i = 0; i < count; i++)
		t->filters[i] = mem_strdup(filters[i]);
	return t;
}

struct topics *
topics_parse(const char *json)
{
	struct json_object *list = json_parse(slice_str(json));
	struct topics *t = mem_zalloc(1, sizeof(*t));
	size_t i;

	if (json_object_is_type(list, json_type_array)) {
		t->count = json_object_array_length(list);
		t->filters = mem_zalloc(t->count + 1, sizeof(*t->filters));
		for (i = 0; i < t->count; i++)
			t->filters[i] = mem_strdup(json_object_get_string(
			    json_object_array_get_idx(list, i)));
	}
	json_object_put(list);
	return t;
}

void
topics_free(struct topics *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->count; i++)
		free(t->filters[i]);
	free(t->filters);
	free(t->cache);
	free(t);
}

static bool
filters_match(const struct topics *t, struct slice topic)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (topic_match(slice_str(t->filters[i]), topic))
			return true;
	return false;
}

bool
topics_match(const struct topics *t, struct slice topic)
{
	struct topics *all = (struct topics *)(uintptr_t)t;
	struct cached *c;
	uint64_t hash;

	if (t->count == 0)
		return true;
	if (topic.len > CACHE_TOPIC_MAX || topic.len == 0)
		return filters_match(t, topic);
	if (t->cache == NULL)
		all->cache = mem_zalloc(CACHE_SLOTS, sizeof(*t->cache));
	hash = XXH3_64bits(topic.p, topic.len);
	c = &all->cache[hash % CACHE_SLOTS];
	if (c->hash == hash && c->len == topic.len &&
	    memcmp(c->text, topic.p, topic.len) == 0)
		return c->is_match;
	c->hash = hash;
	c->len = (uint8_t)topic.len;
	memcpy(c->text, topic.p, topic.len);
	c->is_match = filters_match(t, topic);
	return c->is_match;
}
