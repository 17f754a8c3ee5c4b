#include "router/retained.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/trie.h"
#include "router/commit.h"
#include "router/delivery.h"
#include "router/interest.h"
#include "router/rows.h"
#include "router/sender.h"

#include <stdlib.h>
#include <sys/queue.h>

struct replay {
	TAILQ_ENTRY(replay) entry;
	uint64_t sender, conn, seq;
	struct retained **v;
	size_t len, cap, at;
};
TAILQ_HEAD(replay_list, replay);

static struct {
	struct trie *trie;
	struct retained_limits limits;
	uint64_t bytes;
	struct replay_list replays;
} store;

void
retained_init(void)
{
	store.trie = trie_new();
	TAILQ_INIT(&store.replays);
}

void
retained_set_limits(const struct retained_limits *limits)
{
	store.limits = *limits;
}

size_t
retained_count(void)
{
	return trie_count(store.trie);
}

uint64_t
retained_bytes(void)
{
	return store.bytes;
}

static size_t
retained_size(const struct retained *r)
{
	return sizeof(*r) + r->topic.len + r->payload.len + r->props.len +
	    r->client_id.len;
}

static struct slice
keep(uint8_t **at, struct slice s)
{
	struct slice copy = slice_of(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copy;
}

static struct retained *
retained_new(const struct ipc_publish_item *m)
{
	struct retained *r = mem_alloc(sizeof(*r) + m->topic.len +
	    m->payload.len + m->props.len + m->client_id.len);
	uint8_t *at = r->bytes;

	r->refs = 1;
	r->flags = (uint8_t)((m->flags & MSG_QOS) | MSG_RETAIN);
	r->timestamp_ms = m->timestamp_ms;
	r->expires_ms = m->expires_ms;
	r->topic = keep(&at, m->topic);
	r->payload = keep(&at, m->payload);
	r->props = keep(&at, m->props);
	r->client_id = keep(&at, m->client_id);
	return r;
}

static void
retained_unref(struct retained *r)
{
	if (--r->refs == 0)
		free(r);
}

/* Out of the store; the row is the caller's. */
static bool
remove_topic(struct slice topic)
{
	struct retained *r = trie_remove(store.trie, topic);

	if (r == NULL)
		return false;
	store.bytes -= retained_size(r);
	retained_unref(r);
	return true;
}

static void
add(struct retained *r)
{
	void **slot = trie_add(store.trie, r->topic);

	if (*slot != NULL) {
		store.bytes -= retained_size(*slot);
		retained_unref(*slot);
	}
	*slot = r;
	store.bytes += retained_size(r);
}

bool
retained_delete(struct slice topic)
{
	if (!remove_topic(topic))
		return false;
	ROW_ADD(commit_rows(), ROW_RETAINED_DELETE, RS(topic));
	return true;
}

bool
retained_set(const struct ipc_publish_item *m)
{
	struct retained *r;

	if (m->payload.len == 0) {
		retained_delete(m->topic);
		return true;
	}
	if ((trie_count(store.trie) >= store.limits.messages ||
		store.bytes + m->payload.len > store.limits.bytes) &&
	    trie_find(store.trie, m->topic) == NULL)
		return false;
	r = retained_new(m);
	add(r);
	ROW_ADD(commit_rows(), ROW_RETAINED_PUT, RS(r->topic),
	    RS(r->payload), RU(r->flags), RU(r->timestamp_ms),
	    RU(r->expires_ms), RS(r->props), RS(r->client_id));
	return true;
}

static bool
is_expired(const struct retained *r, uint64_t now_ms)
{
	return r->expires_ms != 0 && r->expires_ms <= now_ms;
}

/* ---- replay ------------------------------------------------------------- */

static void
gather(void *value, void *arg)
{
	struct retained *r = value;
	struct replay *y = arg;

	if (y->len == y->cap) {
		y->cap = y->cap == 0 ? 16 : y->cap * 2;
		y->v = mem_realloc(y->v, y->cap * sizeof(struct retained *));
	}
	r->refs++;
	y->v[y->len++] = r;
}

static void
gather_all(struct replay *y, struct slice filter)
{
	trie_match_filters(store.trie, filter, gather, y);
}

static void
replay_fini(struct replay *y)
{
	while (y->at < y->len)
		retained_unref(y->v[y->at++]);
	free(y->v);
}

static struct ipc_publish_item
retained_message(const struct retained *r)
{
	return (struct ipc_publish_item){
	    .topic = r->topic,
	    .payload = r->payload,
	    .flags = r->flags,
	    .timestamp_ms = r->timestamp_ms,
	    .expires_ms = r->expires_ms,
	    .props = r->props,
	    .client_id = r->client_id,
	};
}

void
retained_queue(const struct sub *sub)
{
	uint64_t now_ms = clock_wall_ms();
	struct replay y = {0};

	gather_all(&y, slice_of(sub->text, sub->len));
	for (; y.at < y.len; y.at++) {
		struct ipc_publish_item m = retained_message(y.v[y.at]);

		if (!is_expired(y.v[y.at], now_ms))
			delivery_add_retained(sub, &m);
		retained_unref(y.v[y.at]);
	}
	replay_fini(&y);
}

/* One frame. */
static void
replay_step(struct replay *y, struct sender *s, uint64_t now_ms)
{
	struct ipc_batch items = {0};

	while (y->at < y->len && buf_len(&items.bytes) < IPC_BATCH_MAX / 2) {
		struct retained *r = y->v[y->at];

		if (items.count > 0 &&
		    retained_size(r) > IPC_BATCH_MAX / 2)
			break;
		y->at++;
		if (!is_expired(r, now_ms))
			ipc_add_deliver_item(&items,
			    &(struct ipc_deliver_item){.topic = r->topic,
				.payload = r->payload,
				.flags = r->flags,
				.timestamp_ms = r->timestamp_ms,
				.expires_ms = r->expires_ms,
				.props = r->props,
				.client_id = r->client_id});
		retained_unref(r);
	}
	link_put_retained(s->link,
	    &(struct ipc_retained){.conn = y->conn,
		.seq = y->seq,
		.done = y->at == y->len,
		.items = ipc_batch_list(&items)});
	buf_fini(&items.bytes);
}

/* True: it is over. */
static bool
replay_run(struct replay *y)
{
	struct sender *s = sender_find(y->sender);
	uint64_t now_ms = clock_wall_ms();

	if (s == NULL)
		return true;
	do {
		if (link_credit(s->link) <= 0)
			return false;
		replay_step(y, s, now_ms);
	} while (y->at < y->len);
	return true;
}

void
retained_replay(
    struct sender *s, uint64_t conn, uint64_t seq, struct slice filter)
{
	struct replay *y = mem_zalloc(1, sizeof(*y));

	y->sender = s->serial;
	y->conn = conn;
	y->seq = seq;
	gather_all(y, filter);
	TAILQ_INSERT_TAIL(&store.replays, y, entry);
}

void
retained_flush(void)
{
	struct replay *y = TAILQ_FIRST(&store.replays), *next;

	for (; y != NULL; y = next) {
		next = TAILQ_NEXT(y, entry);
		if (!replay_run(y))
			continue;
		TAILQ_REMOVE(&store.replays, y, entry);
		replay_fini(y);
		free(y);
	}
}

struct walking {
	bool (*cb)(const struct retained *r, void *arg);
	void *arg;
	bool is_over;
};

static void
walk_one(void *value, void *arg)
{
	struct walking *w = arg;

	if (!w->is_over && !w->cb(value, w->arg))
		w->is_over = true;
}

void
retained_walk(struct slice filter,
    bool (*cb)(const struct retained *r, void *arg), void *arg)
{
	struct walking w = {cb, arg, false};

	trie_match_filters(store.trie, filter, walk_one, &w);
}

/* ---- expiry and start --------------------------------------------------- */

struct expiring {
	uint64_t now_ms;
	struct replay found;
};

static bool
gather_expired(struct slice key, void *value, void *arg)
{
	struct expiring *x = arg;

	(void)key;
	if (is_expired(value, x->now_ms))
		gather(value, &x->found);
	return x->found.len < 10000;
}

void
retained_expire(uint64_t now_ms)
{
	struct expiring x = {.now_ms = now_ms};

	trie_walk(store.trie, gather_expired, &x);
	for (size_t i = 0; i < x.found.len; i++)
		retained_delete(x.found.v[i]->topic);
	replay_fini(&x.found);
}

int
retained_load(struct db *db)
{
	struct db_stmt *st = db_prepare(db,
	    "select topic, payload, flags, timestamp_ms, expires_ms, props, "
	    "client_id from retained");
	int rc;

	while ((rc = db_step(st)) == 1)
		add(retained_new(&(struct ipc_publish_item){
		    .topic = db_column_text(st, 0),
		    .payload = db_column_blob(st, 1),
		    .flags = (uint8_t)db_column_u64(st, 2),
		    .timestamp_ms = db_column_u64(st, 3),
		    .expires_ms = db_column_u64(st, 4),
		    .props = db_column_blob(st, 5),
		    .client_id = db_column_text(st, 6),
		}));
	db_finalize(st);
	return rc;
}
