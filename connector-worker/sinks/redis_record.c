/*
 * redis_record - a record's command, and what its reply says of it.
 */
#include "base/mem.h"
#include "connector-worker/held.h"
#include "connector-worker/sinks/redis_sink.h"

#include <stdio.h>
#include <stdlib.h>

#define REDIRECTS_MAX 5

/* ---- commands ---------------------------------------------------------- */

/* The arguments, loans from r->text. */
static bool
record_render(struct redis *r, const struct record *rec, struct slice *args,
    const char **why)
{
	size_t ends[REDIS_ARGS_MAX], start = 0;

	template_input_set(&r->input, rec);
	buf_clear(&r->text);
	for (size_t i = 0; i < r->arg_count; i++) {
		if (!template_render(
			r->args[i], &r->input, &r->text, NULL, why))
			return false;
		ends[i] = buf_len(&r->text);
	}
	/* Only now: the text moved as it grew. */
	for (size_t i = 0; i < r->arg_count; i++) {
		args[i] = slice_of(buf_data(&r->text) + start, ends[i] - start);
		start = ends[i];
	}
	return true;
}

static struct lane *
record_lane(struct redis *r, const struct slice *args)
{
	size_t at = redis_key_index(args[0]);

	if (r->mode != MODE_CLUSTER)
		return r->main;
	return r->slots[at < r->arg_count ? redis_key_slot(args[at]) : 0];
}

/* to NULL: to whom it belongs. */
static void
record_send(struct redis *r, struct sink_record *record, struct lane *to,
    unsigned redirects)
{
	struct slice args[REDIS_ARGS_MAX];
	const char *why = NULL;

	if (!record_render(r, record->rec, args, &why)) {
		held_answer(record, SINK_REFUSED, why);
		return;
	}
	if (to == NULL)
		to = record_lane(r, args);
	if (to == NULL || !to->is_ready) {
		redis_forget_slots(r);
		held_answer(record, SINK_UNAVAILABLE,
		    to == NULL ? "no node has the slot of its key"
			       : "the node of its slot is not connected yet");
		return;
	}
	lane_send(to, (struct owed){OWED_RECORD, redirects, record}, args,
	    r->arg_count);
}

void
redis_take_batch(struct redis *r, struct sink_batch *batch)
{
	held_begin(batch);
	if (r->waiting_count == r->waiting_cap) {
		r->waiting_cap = r->waiting_cap == 0 ? 16 : r->waiting_cap * 2;
		r->waiting = mem_realloc(
		    r->waiting, r->waiting_cap * sizeof(*r->waiting));
	}
	r->waiting[r->waiting_count++] = batch;
}

void
redis_pump(struct redis *r)
{
	size_t n = r->waiting_count;

	if (!redis_is_ready(r))
		return;
	redis_probe_ready(r);
	r->waiting_count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r->waiting[i]->count; k++)
			record_send(r, r->waiting[i]->records[k], NULL, 0);
}

void
redis_fail_waiting(struct redis *r, const char *why)
{
	size_t n = r->waiting_count;

	r->waiting_count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < r->waiting[i]->count; k++)
			held_answer(r->waiting[i]->records[k],
			    SINK_UNAVAILABLE, why);
}

/* ---- replies ----------------------------------------------------------- */

/* True: it was a redirection, and the record is on its way again. */
static bool
record_redirect(struct lane *l, struct owed o, const char *text)
{
	struct redis *r = l->redis;
	struct redis_server s;
	struct lane *to;
	unsigned slot;
	bool is_ask;

	if (r->mode != MODE_CLUSTER || o.redirects >= REDIRECTS_MAX ||
	    !redis_redirect_parse(text, l->server.host, &is_ask, &slot, &s))
		return false;
	to = redis_lane_to(r, &s);
	if (!is_ask) {
		if (r->slots[slot] != NULL)
			r->slots[slot]->slots--;
		r->slots[slot] = to;
		to->slots++;
	} else if (to->is_ready) {
		LANE_SAY(to, OWED_ASKING, "ASKING");
	}
	record_send(r, o.record, to, o.redirects + 1);
	return true;
}

/*
 * An id that is not above the stream's last may be this very record, stored
 * before its reply was lost. Or it is not there: the server is asked.
 */
static bool
record_check_id(struct lane *l, struct owed o)
{
	struct slice args[REDIS_ARGS_MAX];
	const char *why = NULL;
	size_t at;
	char id[64];

	if (!record_render(l->redis, o.record->rec, args, &why))
		return false;
	at = redis_xadd_id(args, l->redis->arg_count);
	if (at == 0 || args[at].len == 0 || args[at].len > 48)
		return false;
	snprintf(id, sizeof(id), "%.*s%s", SLICE_ARG(args[at]),
	    memchr(args[at].p, '-', args[at].len) == NULL ? "-0" : "");
	lane_send(l, (struct owed){OWED_OLD_ID, 0, o.record},
	    (struct slice[]){SLICE_LIT("XRANGE"), args[1], slice_str(id),
		slice_str(id), SLICE_LIT("COUNT"), SLICE_LIT("1")},
	    6);
	return true;
}

void
redis_old_id_reply(struct owed o, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ERROR)
		held_answer(o.record, redis_error_outcome(reply->str),
		    reply->str);
	else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
		held_answer(o.record, SINK_DELIVERED, NULL);
	else
		held_answer(o.record, SINK_REFUSED,
		    "XADD: its id is below the stream's last, "
		    "and no entry has it");
}

const char *
redis_record_reply(struct lane *l, struct owed o, const redisReply *reply)
{
	enum sink_outcome outcome;
	char text[256];

	if (reply->type != REDIS_REPLY_ERROR) {
		held_answer(o.record, SINK_DELIVERED, NULL);
		return NULL;
	}
	if (record_redirect(l, o, reply->str) ||
	    (redis_error_is_old_id(reply->str) && record_check_id(l, o)))
		return NULL;
	snprintf(text, sizeof(text), "%s", reply->str);
	outcome = redis_error_outcome(text);
	held_answer(o.record, outcome, text);
	/* A replica now: this connection is of no more use. */
	return redis_error_is_demotion(text) ? reply->str : NULL;
}
