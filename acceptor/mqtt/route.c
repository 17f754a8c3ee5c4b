#include "acceptor/mqtt/route.h"

#include "base/mem.h"
#include "base/topic.h"
#include "proto/mqtt/topic.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SLOTS 4096u
#define BYTES_MAX (16u << 20)

void
routes_init(struct routes *r, struct subs *subs, struct wanted *wanted)
{
	*r = (struct routes){.subs = subs, .wanted = wanted,
	    .slots = mem_zalloc(SLOTS, sizeof(*r->slots))};
}

static void
routes_clear(struct routes *r)
{
	size_t i;

	for (i = 0; i < SLOTS; i++) {
		free(r->slots[i].topic);
		free(r->slots[i].subs);
		free(r->slots[i].groups);
		r->slots[i] = (struct route){0};
	}
	r->bytes = 0;
}

void
routes_fini(struct routes *r)
{
	routes_clear(r);
	free(r->slots);
	*r = (struct routes){0};
}

static void
groups_add(struct route *route, const struct filter *f)
{
	struct group *g;

	for (g = f->groups; g != NULL; g = g->next) {
		if (route->group_count == route->group_cap) {
			route->group_cap = route->group_cap * 2 + 4;
			route->groups = mem_realloc(route->groups,
			    route->group_cap * sizeof(struct group *));
		}
		route->groups[route->group_count++] = g;
	}
}

static void
on_filter(void *value, void *arg)
{
	const struct filter *f = value;
	struct route *route = arg;
	struct subscription *sub;

	if (f->count > route->cap - route->count) {
		route->cap = (route->count + f->count) * 2;
		route->subs = mem_realloc(route->subs,
		    route->cap * sizeof(struct subscription *));
	}
	for (sub = f->first; sub != NULL; sub = sub->next)
		route->subs[route->count++] = sub;
	groups_add(route, f);
}

static int
by_client(const void *a, const void *b)
{
	const struct subscription *x = *(struct subscription *const *)a;
	const struct subscription *y = *(struct subscription *const *)b;

	if (x->client != y->client)
		return (uintptr_t)x->client < (uintptr_t)y->client ? -1 : 1;
	return 0;
}

static void
route_build(struct routes *r, struct route *route, struct slice topic)
{
	r->bytes -= route->cap * sizeof(struct subscription *) +
	    route->topic_len;
	if (route->topic_len != topic.len || route->topic == NULL)
		route->topic = mem_realloc(route->topic, topic.len);
	memcpy(route->topic, topic.p, topic.len);
	route->topic_len = (uint32_t)topic.len;
	route->count = route->group_count = 0;
	trie_match(r->subs->trie, topic, on_filter, route);
	if (route->count > 1)
		qsort(route->subs, route->count,
		    sizeof(struct subscription *), by_client);
	route->is_wanted = wanted_match(r->wanted, topic);
	route->generation = r->subs->generation;
	route->changes = r->wanted->changes;
	r->bytes += route->cap * sizeof(struct subscription *) +
	    route->topic_len;
}

const struct route *
route_find(struct routes *r, struct slice topic)
{
	uint64_t hash = XXH3_64bits(topic.p, topic.len);
	struct route *route = &r->slots[hash & (SLOTS - 1)];
	bool is_same = route->hash == hash && route->generation != 0 &&
	    route->topic_len == topic.len &&
	    memcmp(route->topic, topic.p, topic.len) == 0;

	if (is_same && route->generation == r->subs->generation &&
	    route->changes == r->wanted->changes)
		return route;
	if (!is_same && (mqtt_topic_check(topic) != MQTT_SUCCESS ||
	    topic_levels(topic) > TOPIC_LEVELS_MAX))
		return NULL;
	if (r->bytes > BYTES_MAX)
		routes_clear(r);
	if (!is_same || route->serial == 0)
		route->serial = ++r->serials;
	route_build(r, route, topic);
	route->hash = hash;
	return route;
}
