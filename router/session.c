#include "router/session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "router/map.h"
#include "router/rows.h"

#include <stdlib.h>

static struct {
	struct interest *interest;
	struct map by_id, by_client;
	struct session_list lazy, now;
} sessions;

void
sessions_init(struct interest *interest)
{
	sessions.interest = interest;
	TAILQ_INIT(&sessions.lazy);
	TAILQ_INIT(&sessions.now);
}

size_t
sessions_count(void)
{
	return sessions.by_id.count;
}

struct session *
sessions_next(size_t *i)
{
	return map_next(&sessions.by_id, i);
}

static bool
is_id(const void *value, const void *key)
{
	return ((const struct session *)value)->id == *(const uint64_t *)key;
}

static bool
is_client(const void *value, const void *key)
{
	return slice_eq(
	    session_client(value), *(const struct slice *)key);
}

struct session *
session_find(uint64_t id)
{
	return map_find(&sessions.by_id, map_hash_u64(id), is_id, &id);
}

struct session *
session_by_client(struct slice client_id)
{
	return map_find(
	    &sessions.by_client, map_hash(client_id), is_client, &client_id);
}

struct session *
session_new(uint64_t id, struct slice client_id)
{
	struct session *s = mem_zalloc(1, sizeof(*s) + client_id.len);

	s->id = id;
	s->client_len = (uint16_t)client_id.len;
	memcpy(s->client_id, client_id.p, client_id.len);
	queue_init(&s->queue);
	map_add(&sessions.by_id, map_hash_u64(id), s);
	map_add(&sessions.by_client, map_hash(client_id), s);
	return s;
}

static void
session_unmark(struct session *s)
{
	if (s->mark == SESSION_LAZY)
		TAILQ_REMOVE(&sessions.lazy, s, marked);
	else if (s->mark == SESSION_NOW)
		TAILQ_REMOVE(&sessions.now, s, marked);
	s->mark = SESSION_CLEAN;
}

void
session_touch(struct session *s, enum session_mark mark)
{
	if (mark <= s->mark)
		return;
	session_unmark(s);
	s->mark = mark;
	if (mark == SESSION_LAZY)
		TAILQ_INSERT_TAIL(&sessions.lazy, s, marked);
	else
		TAILQ_INSERT_TAIL(&sessions.now, s, marked);
}

void
session_delete(struct session *s, struct buf *rows)
{
	for (uint32_t i = 0; i < s->subs_len; i++) {
		interest_remove_sub(sessions.interest, s->subs[i]);
		free(s->subs[i]);
	}
	session_unmark(s);
	map_remove(&sessions.by_id, map_hash_u64(s->id), s);
	map_remove(&sessions.by_client, map_hash(session_client(s)), s);
	ROW_ADD(rows, ROW_SESSION_DELETE, RU(s->id));
	ROW_ADD(rows, ROW_SESSION_SUBS_DELETE, RU(s->id));
	queue_fini(&s->queue);
	free(s->subs);
	free(s->mids);
	free(s->suspects);
	free(s->username);
	free(s->protocol);
	free(s);
}

/* ---- rows --------------------------------------------------------------- */

static void
session_put(struct session *s, struct buf *rows, struct buf *scratch)
{
	size_t split;

	buf_clear(scratch);
	queue_put(&s->queue, scratch);
	split = buf_len(scratch);
	for (uint32_t i = 0; i < s->mids_len; i++)
		buf_add_be16(scratch, s->mids[i]);
	ROW_ADD(rows, ROW_SESSION_PUT, RU(s->id), RS(session_client(s)),
	    RS(slice_str(s->username)), RS(slice_str(s->protocol)),
	    RU(s->expiry_s), RU(s->epoch), RU(s->created_ms),
	    RU(s->offline_ms), RU(s->queue.floor), RU(s->queue.next),
	    RU(queue_first_offset(&s->queue)),
	    RS(slice_of(buf_data(scratch), split)),
	    RS(slice_of(buf_data(scratch) + split,
		buf_len(scratch) - split)),
	    RU(s->receive_max));
	session_unmark(s);
}

void
sessions_put(struct buf *rows, bool all)
{
	struct buf scratch = {0};
	struct session *s;

	while ((s = TAILQ_FIRST(&sessions.now)) != NULL)
		session_put(s, rows, &scratch);
	while (all && (s = TAILQ_FIRST(&sessions.lazy)) != NULL)
		session_put(s, rows, &scratch);
	buf_fini(&scratch);
}

bool
sessions_are_marked(enum session_mark least)
{
	return !TAILQ_EMPTY(&sessions.now) ||
	    (least == SESSION_LAZY && !TAILQ_EMPTY(&sessions.lazy));
}

/* ---- subscriptions ------------------------------------------------------ */

static uint32_t
sub_index(const struct session *s, struct slice filter)
{
	uint32_t i;

	for (i = 0; i < s->subs_len; i++)
		if (slice_eq(slice_of(s->subs[i]->text, s->subs[i]->len),
			filter))
			break;
	return i;
}

struct sub *
session_sub(const struct session *s, struct slice filter)
{
	uint32_t i = sub_index(s, filter);

	return i < s->subs_len ? s->subs[i] : NULL;
}

static struct sub *
sub_new(struct session *s, struct slice filter)
{
	struct sub *sub = mem_zalloc(1, sizeof(*sub) + filter.len);

	sub->session = s;
	sub->len = (uint16_t)filter.len;
	memcpy(sub->text, filter.p, filter.len);
	if (s->subs_len == s->subs_cap) {
		s->subs_cap = s->subs_cap == 0 ? 2 : s->subs_cap * 2;
		s->subs = mem_realloc(
		    s->subs, s->subs_cap * sizeof(struct sub *));
	}
	s->subs[s->subs_len++] = sub;
	return sub;
}

bool
session_subscribe(struct session *s, struct slice filter, uint8_t options,
    uint32_t id, struct sub **subp)
{
	struct sub *sub = session_sub(s, filter);
	bool existed = sub != NULL;

	if (sub == NULL)
		sub = sub_new(s, filter);
	else
		interest_remove_sub(sessions.interest, sub);
	sub->options = options;
	sub->id = id;
	/* Of QoS 0: the acceptor delivers them as it does clean ones. */
	if ((options & 3) > 0)
		interest_add_sub(sessions.interest, sub);
	*subp = sub;
	return existed;
}

bool
session_unsubscribe(struct session *s, struct slice filter)
{
	uint32_t i = sub_index(s, filter);

	if (i == s->subs_len)
		return false;
	interest_remove_sub(sessions.interest, s->subs[i]);
	free(s->subs[i]);
	s->subs[i] = s->subs[--s->subs_len];
	return true;
}

/* ---- inbound packet identifiers ----------------------------------------- */

/* Where mid is, or would be. */
static uint32_t
mid_index(const struct session *s, uint16_t mid)
{
	uint32_t low = 0, high = s->mids_len;

	while (low < high) {
		uint32_t mid_at = low + (high - low) / 2;

		if (s->mids[mid_at] < mid)
			low = mid_at + 1;
		else
			high = mid_at;
	}
	return low;
}

bool
session_has_mid(const struct session *s, uint16_t mid)
{
	uint32_t i = mid_index(s, mid);

	return i < s->mids_len && s->mids[i] == mid;
}

void
session_add_mid(struct session *s, uint16_t mid)
{
	uint32_t i = mid_index(s, mid);

	if (i < s->mids_len && s->mids[i] == mid)
		return;
	if (s->mids_len == s->mids_cap) {
		s->mids_cap = s->mids_cap == 0 ? 4 : s->mids_cap * 2;
		s->mids =
		    mem_realloc(s->mids, s->mids_cap * sizeof(*s->mids));
	}
	memmove(s->mids + i + 1, s->mids + i,
	    (s->mids_len - i) * sizeof(*s->mids));
	s->mids[i] = mid;
	s->mids_len++;
}

bool
session_remove_mid(struct session *s, uint16_t mid)
{
	uint32_t i = mid_index(s, mid);

	if (i == s->mids_len || s->mids[i] != mid)
		return false;
	s->mids_len--;
	memmove(s->mids + i, s->mids + i + 1,
	    (s->mids_len - i) * sizeof(*s->mids));
	return true;
}

void
session_set_mids(struct session *s, struct slice packed)
{
	for (size_t i = 0; i + 1 < packed.len; i += 2)
		session_add_mid(
		    s, (uint16_t)(packed.p[i] << 8 | packed.p[i + 1]));
}

void
session_suspect(struct session *s, uint16_t mid,
    const struct log_partition *partition)
{
	s->suspects = mem_realloc(
	    s->suspects, (s->suspects_len + 1) * sizeof(*s->suspects));
	s->suspects[s->suspects_len++] =
	    (struct session_suspect){mid, partition};
}

bool
session_is_suspect(const struct session *s, uint16_t mid,
    const struct log_partition *partition)
{
	for (uint32_t i = 0; i < s->suspects_len; i++)
		if (s->suspects[i].mid == mid &&
		    s->suspects[i].partition == partition)
			return true;
	return false;
}

void
session_clear_suspects(struct session *s, uint16_t mid)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->suspects_len; i++)
		if (s->suspects[i].mid != mid)
			s->suspects[kept++] = s->suspects[i];
	s->suspects_len = kept;
}

uint64_t
session_expires_ms(const struct session *s)
{
	if (s->offline_ms == 0 || s->expiry_s == SESSION_NEVER)
		return UINT64_MAX;
	return s->offline_ms + (uint64_t)s->expiry_s * 1000;
}
