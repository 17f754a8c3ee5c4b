#include "connector-worker/sinks/redis_lane.h"

#include "base/mem.h"
#include "connector-worker/sinks/redis_sink.h"

#include <stdio.h>
#include <stdlib.h>

static void
lane_owe(struct lane *l, struct owed owed)
{
	if (l->count == l->cap) {
		size_t cap = l->cap == 0 ? 64 : l->cap * 2;
		struct owed *ring = mem_alloc(cap * sizeof(*ring));

		for (size_t i = 0; i < l->count; i++)
			ring[i] = l->owed[(l->head + i) & (l->cap - 1)];
		free(l->owed);
		l->owed = ring;
		l->head = 0;
		l->cap = cap;
	}
	if (l->count == 0)
		l->oldest = ev_now(sink_loop(l->redis->sink));
	l->owed[(l->head + l->count++) & (l->cap - 1)] = owed;
}

struct owed
lane_settle(struct lane *l)
{
	struct owed o = l->owed[l->head];

	l->head = (l->head + 1) & (l->cap - 1);
	l->count--;
	l->oldest = ev_now(sink_loop(l->redis->sink));
	return o;
}

void
lane_send(struct lane *l, struct owed owed, const struct slice *args,
    size_t count)
{
	struct buf *out = conn_out(l->conn);

	buf_addf(out, "*%zu\r\n", count);
	for (size_t i = 0; i < count; i++) {
		buf_addf(out, "$%zu\r\n", args[i].len);
		buf_add(out, args[i].p, args[i].len);
		buf_add(out, "\r\n", 2);
	}
	l->is_dirty = true;
	lane_owe(l, owed);
}

void
lane_say(struct lane *l, enum owed_kind kind, const char *const *words,
    size_t count)
{
	struct slice args[4];

	for (size_t i = 0; i < count; i++)
		args[i] = slice_str(words[i]);
	lane_send(l, (struct owed){.kind = kind}, args, count);
}

void
lane_flush(struct lane *l)
{
	l->is_dirty = false;
	conn_flush(l->conn);
}

static void
on_up(struct conn *c)
{
	redis_lane_up(conn_arg(c));
}

static void
on_down(struct conn *c, const char *reason)
{
	redis_lane_down(conn_arg(c), SINK_UNAVAILABLE, reason);
}

/* NULL, or why the lane must end, in text. */
static const char *
reply_take(struct lane *l, redisReply *reply, char *text, size_t size)
{
	const char *why;

	if (l->count == 0) {
		freeReplyObject(reply);
		return "a reply nobody asked for";
	}
	why = redis_lane_reply(l, lane_settle(l), reply);
	if (why != NULL)
		snprintf(text, size, "%s", why);
	freeReplyObject(reply);
	return why == NULL ? NULL : text;
}

static void
on_data(struct conn *c, struct buf *in)
{
	struct lane *l = conn_arg(c);
	const char *why;
	char text[256];
	void *reply;

	redisReaderFeed(
	    l->reader, (const char *)buf_data(in), buf_len(in));
	buf_clear(in);
	for (;;) {
		if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
			redis_lane_down(l, SINK_UNSURE, "it does not speak RESP");
			return;
		}
		if (reply == NULL)
			break;
		why = reply_take(l, reply, text, sizeof(text));
		if (why != NULL) {
			redis_lane_down(l, SINK_UNAVAILABLE, why);
			return;
		}
	}
	redis_lane_replied(l);
}

static const struct conn_ops lane_ops = {on_up, on_data, on_down};

struct lane *
lane_open(struct redis *r, const struct redis_server *s, bool is_sentinel)
{
	struct lane *l = mem_zalloc(1, sizeof(*l));

	l->redis = r;
	l->server = *s;
	l->is_sentinel = is_sentinel;
	l->reader = redisReaderCreate();
	l->next = r->lanes;
	r->lanes = l;
	l->conn = conn_open(sink_loop(r->sink),
	    &(struct conn_options){.host = l->server.host,
		.port = l->server.port,
		.tls = r->tls,
		.server_name = r->server_name,
		.timeout_ms = r->timeout_ms},
	    &lane_ops, l);
	return l;
}

void
lane_free(struct lane *l)
{
	struct lane **p = &l->redis->lanes;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	conn_free(l->conn);
	redisReaderFree(l->reader);
	free(l->owed);
	free(l);
}
