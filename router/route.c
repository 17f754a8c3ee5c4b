#include "router/route.h"

#include "base/mem.h"
#include "base/record.h"
#include "router/map.h"
#include "router/session.h"
#include "router/stream.h"

#include <stdlib.h>

#define ROUTES_BYTES_MAX (32u << 20)

/* Identifiers of one entry hang together while it is being made. */
struct gathered_id {
	uint32_t sub;
	uint32_t id;
};

static struct {
	const struct interest *interest;
	struct map map;
	size_t bytes;
	/* scratch of the route that is being made */
	struct slice topic;
	uint64_t slots, mark;
	struct log_partition **partitions;
	struct route_sub *subs;
	struct gathered_id *ids;
	uint32_t partitions_len, partitions_cap;
	uint32_t subs_len, subs_cap;
	uint32_t ids_len, ids_cap;
} routes;

void
routes_init(const struct interest *interest)
{
	routes.interest = interest;
}

static void *
grown(void *v, uint32_t len, uint32_t *cap, size_t size)
{
	if (len < *cap)
		return v;
	*cap = *cap == 0 ? 16 : *cap * 2;
	return mem_realloc(v, *cap * size);
}

static void
gather_stream(struct stream *st)
{
	struct log_partition *p = log_stream_partition(
	    st->log, record_partition(routes.topic, st->partitions));

	/* Two of its filters may match. */
	for (uint32_t i = 0; i < routes.partitions_len; i++)
		if (routes.partitions[i] == p)
			return;
	routes.partitions = grown(routes.partitions, routes.partitions_len,
	    &routes.partitions_cap, sizeof(struct log_partition *));
	routes.partitions[routes.partitions_len++] = p;
}

static uint32_t
sub_entry(struct session *s)
{
	if (s->route_mark == routes.mark)
		return s->route_index;
	s->route_mark = routes.mark;
	s->route_index = routes.subs_len;
	routes.subs = grown(routes.subs, routes.subs_len, &routes.subs_cap,
	    sizeof(struct route_sub));
	routes.subs[routes.subs_len] =
	    (struct route_sub){.session = s, .own_options = SUB_NONE};
	return routes.subs_len++;
}

static uint8_t
merged(uint8_t have, uint8_t options)
{
	uint8_t qos = have & SUB_QOS;

	if ((options & SUB_QOS) > qos)
		qos = options & SUB_QOS;
	return (uint8_t)(qos | ((have | options) & SUB_AS_PUBLISHED));
}

static void
gather_sub(const struct sub *sub)
{
	uint32_t i = sub_entry(sub->session), id = sub->id;
	struct route_sub *e = &routes.subs[i];

	e->options = merged(e->options, sub->options);
	if ((sub->options & SUB_NO_LOCAL) == 0)
		e->own_options = merged(e->own_options, sub->options);
	else
		id |= SUB_ID_NO_LOCAL;
	if (sub->id == 0)
		return;
	routes.ids = grown(routes.ids, routes.ids_len, &routes.ids_cap,
	    sizeof(struct gathered_id));
	routes.ids[routes.ids_len++] = (struct gathered_id){i, id};
	e->ids_len++;
}

static void
gather_filter(const struct filter *f, void *arg)
{
	(void)arg;
	routes.slots |= f->slots;
	for (uint32_t i = 0; i < f->streams_len; i++)
		gather_stream(f->streams[i]);
	for (uint32_t i = 0; i < f->subs_len; i++)
		gather_sub(f->subs[i]);
}

/* The scratch as one allocation. */
static struct route *
route_make(void)
{
	size_t partitions = routes.partitions_len * sizeof(void *);
	size_t subs = routes.subs_len * sizeof(struct route_sub);
	size_t ids = routes.ids_len * sizeof(uint32_t);
	size_t head = (sizeof(struct route) + routes.topic.len + 7) & ~7u;
	struct route *r = mem_alloc(head + partitions + subs + ids);
	uint32_t at = 0;

	*r = (struct route){
	    .version = routes.interest->version,
	    .slots = routes.slots,
	    .partitions = (void *)((char *)r + head),
	    .partitions_len = routes.partitions_len,
	    .subs_len = routes.subs_len,
	    .subs = (void *)((char *)r + head + partitions),
	    .ids = (void *)((char *)r + head + partitions + subs),
	    .size = head + partitions + subs + ids,
	    .topic_len = (uint32_t)routes.topic.len,
	};
	memcpy(r->topic, routes.topic.p, routes.topic.len);
	if (partitions > 0)
		memcpy(r->partitions, routes.partitions, partitions);
	if (subs > 0)
		memcpy(r->subs, routes.subs, subs);
	for (uint32_t i = 0; i < r->subs_len; i++) {
		r->subs[i].ids_at = at;
		at += r->subs[i].ids_len;
		r->subs[i].ids_len = 0;
	}
	for (uint32_t i = 0; i < routes.ids_len; i++) {
		struct route_sub *e = &r->subs[routes.ids[i].sub];

		r->ids[e->ids_at + e->ids_len++] = routes.ids[i].id;
	}
	return r;
}

static bool
is_topic(const void *value, const void *key)
{
	const struct route *r = value;
	const struct slice *topic = key;

	return r->topic_len == topic->len &&
	    memcmp(r->topic, topic->p, topic->len) == 0;
}

static void
routes_drop(void)
{
	struct route *r;

	for (size_t i = 0; (r = map_next(&routes.map, &i)) != NULL;)
		free(r);
	map_fini(&routes.map);
	routes.bytes = 0;
}

const struct route *
route_find(struct slice topic)
{
	uint64_t hash = map_hash(topic);
	struct route *r = map_find(&routes.map, hash, is_topic, &topic);

	if (r != NULL && r->version == routes.interest->version)
		return r;
	if (r != NULL) {
		map_remove(&routes.map, hash, r);
		routes.bytes -= r->size;
		free(r);
	}
	if (routes.bytes > ROUTES_BYTES_MAX)
		routes_drop();
	routes.topic = topic;
	routes.slots = 0;
	routes.partitions_len = routes.subs_len = routes.ids_len = 0;
	routes.mark++;
	interest_match(routes.interest, topic, gather_filter, NULL);
	r = route_make();
	routes.bytes += r->size;
	map_add(&routes.map, hash, r);
	return r;
}
