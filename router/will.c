#include "router/will.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/props.h"
#include "router/commit.h"
#include "router/due.h"
#include "router/map.h"
#include "router/publish.h"
#include "router/rows.h"

#include <stdlib.h>

struct will {
	uint64_t id;
	uint64_t due_ms;
	uint32_t delay_s;
	uint32_t expiry_s;	/* UINT32_MAX: never */
	uint8_t flags;
	struct slice topic, payload, props, client_id, username, protocol;
	uint8_t bytes[];	/* what these lend from */
};

/* Those that wait, by client id. */
static struct {
	struct map map;
	struct due due;
	uint64_t last_id;
} wills;

static struct slice
keep(uint8_t **at, struct slice s)
{
	struct slice copy = slice_of(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copy;
}

static struct will *
will_copy(const struct will *from)
{
	size_t n = from->topic.len + from->payload.len + from->props.len +
	    from->client_id.len + from->username.len + from->protocol.len;
	struct will *w = mem_alloc(sizeof(*w) + n);
	uint8_t *at = w->bytes;

	*w = *from;
	w->topic = keep(&at, from->topic);
	w->payload = keep(&at, from->payload);
	w->props = keep(&at, from->props);
	w->client_id = keep(&at, from->client_id);
	w->username = keep(&at, from->username);
	w->protocol = keep(&at, from->protocol);
	return w;
}

struct will *
will_new(const struct ipc_connect *m)
{
	if (!m->has_will || m->will_topic.len == 0)
		return NULL;
	return will_copy(&(struct will){
	    .delay_s = m->will_delay_s,
	    .expiry_s = m->will_expiry_s,
	    .flags = m->will_flags,
	    .topic = m->will_topic,
	    .payload = m->will_payload,
	    .props = m->will_props,
	    .client_id = m->client_id,
	    .username = m->username,
	    .protocol = m->protocol,
	});
}

void
will_free(struct will *w)
{
	free(w);
}

static bool
is_client(const void *value, const void *key)
{
	return slice_eq(((const struct will *)value)->client_id,
	    *(const struct slice *)key);
}

static struct will *
will_find(struct slice client_id)
{
	return map_find(
	    &wills.map, map_hash(client_id), is_client, &client_id);
}

static void
will_publish(struct will *w)
{
	uint64_t now = clock_wall_ms();

	publish_own(&(struct ipc_publish_item){
	    .topic = w->topic,
	    .payload = w->payload,
	    .flags = (uint8_t)((w->flags & (MSG_QOS | MSG_RETAIN)) |
		MSG_WILL),
	    .timestamp_ms = now,
	    .expires_ms = w->expiry_s == UINT32_MAX ? 0 :
		now + (uint64_t)w->expiry_s * 1000,
	    .props = w->props,
	    .client_id = w->client_id,
	    .username = w->username,
	    .protocol = w->protocol,
	});
	free(w);
}

static void
will_wait(struct will *w)
{
	w->id = ++wills.last_id;
	map_add(&wills.map, map_hash(w->client_id), w);
	due_add(&wills.due, w->due_ms, w->id);
}

/* Takes it out of those that wait. */
static struct will *
will_take(struct slice client_id)
{
	struct will *w = will_find(client_id);

	if (w == NULL)
		return NULL;
	map_remove(&wills.map, map_hash(client_id), w);
	ROW_ADD(commit_rows(), ROW_WILL_DELETE, RS(w->client_id));
	return w;
}

void
will_end(struct will *w, uint32_t max_s)
{
	if (w == NULL)
		return;
	if (w->delay_s > max_s)
		w->delay_s = max_s;
	if (w->delay_s == 0) {
		will_publish(w);
		return;
	}
	will_send(w->client_id);
	w->due_ms = clock_wall_ms() + (uint64_t)w->delay_s * 1000;
	will_wait(w);
	ROW_ADD(commit_rows(), ROW_WILL_PUT, RS(w->client_id),
	    RU(w->due_ms), RS(w->topic), RS(w->payload), RU(w->flags),
	    RU(w->expiry_s), RS(w->props), RS(w->username),
	    RS(w->protocol));
}

void
will_cancel(struct slice client_id)
{
	free(will_take(client_id));
}

void
will_send(struct slice client_id)
{
	struct will *w = will_take(client_id);

	if (w != NULL)
		will_publish(w);
}

static struct will *
will_by_id(uint64_t id)
{
	struct will *w;

	for (size_t i = 0; (w = map_next(&wills.map, &i)) != NULL;)
		if (w->id == id)
			return w;
	return NULL;
}

void
wills_run(uint64_t now_ms)
{
	struct will *w;
	uint64_t id;

	while (due_take(&wills.due, now_ms, &id))
		if ((w = will_by_id(id)) != NULL)
			will_send(w->client_id);
}

int
wills_load(struct db *db)
{
	struct db_stmt *st = db_prepare(db,
	    "select client_id, due_ms, topic, payload, flags, expiry_s, "
	    "props, username, protocol from will");
	int rc;

	while ((rc = db_step(st)) == 1)
		will_wait(will_copy(&(struct will){
		    .client_id = db_column_text(st, 0),
		    .due_ms = db_column_u64(st, 1),
		    .topic = db_column_text(st, 2),
		    .payload = db_column_blob(st, 3),
		    .flags = (uint8_t)db_column_u64(st, 4),
		    .expiry_s = (uint32_t)db_column_u64(st, 5),
		    .props = db_column_blob(st, 6),
		    .username = db_column_text(st, 7),
		    .protocol = db_column_text(st, 8),
		}));
	db_finalize(st);
	return rc;
}
