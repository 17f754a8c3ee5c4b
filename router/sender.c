#include "router/sender.h"

#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "router/interest.h"
#include "router/log/log.h"
#include "router/rows.h"

#include <stdlib.h>
#include <unistd.h>

/*
 * What may wait in one link before hand-overs are granted no further bytes:
 * the process behind it is busy, and our memory is bounded.
 */
#define PENDING_MAX (16u << 20)

static void sender_put_fresh(struct sender *s);

static struct {
	struct sender_list list;
	struct sender *by_slot[INTEREST_SLOTS];
	uint64_t last_serial;
} senders;

void
senders_init(void)
{
	LIST_INIT(&senders.list);
}

struct sender_list *
senders_all(void)
{
	return &senders.list;
}

static bool
take_slot(struct sender *s)
{
	for (unsigned i = 0; i < INTEREST_SLOTS; i++) {
		if (senders.by_slot[i] != NULL)
			continue;
		senders.by_slot[i] = s;
		s->slot = i;
		s->has_slot = true;
		return true;
	}
	return false;
}

struct sender *
sender_open(enum ipc_kind kind, const char *name, int fd,
    const struct link_ops *ops)
{
	struct sender *s = mem_zalloc(1, sizeof(*s));

	if (kind != KIND_WORKER && !take_slot(s)) {
		log_error("%s: more than %d processes are linked", name,
		    INTEREST_SLOTS);
		free(s);
		close(fd);
		return NULL;
	}
	s->kind = kind;
	s->name = mem_strdup(name);
	s->serial = ++senders.last_serial;
	s->link = link_new(proc_loop(), fd, KIND_ROUTER, kind, name,
	    proc_incarnation(), ops, s);
	link_set_manual(s->link);
	LIST_INSERT_HEAD(&senders.list, s, entry);
	return s;
}

void
sender_free(struct sender *s)
{
	struct ipc_batch *batches[] = {&s->wanted, &s->deliver, &s->queue,
	    &s->fresh, &s->fresh_cut, &s->release, &s->release_cut,
	    &s->released};

	link_free(s->link);
	LIST_REMOVE(s, entry);
	if (s->has_slot)
		senders.by_slot[s->slot] = NULL;
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++)
		buf_fini(&batches[i]->bytes);
	map_fini(&s->conns);
	free(s->captured.v);
	free(s->captured_cut.v);
	free(s->refused);
	free(s->name);
	free(s);
}

struct sender *
sender_find(uint64_t serial)
{
	struct sender *s;

	LIST_FOREACH (s, &senders.list, entry)
		if (s->serial == serial)
			return s;
	return NULL;
}

struct sender *
sender_by_slot(unsigned slot)
{
	return senders.by_slot[slot];
}

struct sender *
sender_by_incarnation(uint64_t incarnation)
{
	struct sender *s;

	LIST_FOREACH (s, &senders.list, entry)
		if (s->is_registered && s->incarnation == incarnation)
			return s;
	return NULL;
}

/* ---- what waits for a commit -------------------------------------------- */

static void
capture_add(struct capture_list *l, const struct capture *c)
{
	if (l->len == l->cap) {
		l->cap = l->cap == 0 ? 64 : l->cap * 2;
		l->v = mem_realloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->len++] = *c;
}

void
sender_capture(struct sender *s, const struct capture *c)
{
	capture_add(&s->captured, c);
	s->log_needed = c->number;
}

void
sender_need_rows(struct sender *s, uint64_t number)
{
	s->row_needed = number;
}

void
sender_refuse(struct sender *s, uint64_t number, uint8_t reason)
{
	if (s->refused_len > 0 &&
	    s->refused[s->refused_len - 1].number == number)
		return;
	if (s->refused_len == s->refused_cap) {
		s->refused_cap = s->refused_cap == 0 ? 16 :
		    s->refused_cap * 2;
		s->refused = mem_realloc(
		    s->refused, s->refused_cap * sizeof(*s->refused));
	}
	s->refused[s->refused_len++] = (struct refusal){number, reason};
}

bool
sender_is_refusing(const struct sender *s)
{
	return s->refused_len > 0;
}

static void
batch_move(struct ipc_batch *to, struct ipc_batch *from)
{
	buf_add_slice(&to->bytes, buf_slice(&from->bytes));
	to->count += from->count;
	ipc_batch_clear(from);
}

/* Of a commit that failed some may be there still: they stay first. */
static void
captures_cut(struct sender *s)
{
	struct capture_list swap = s->captured_cut;

	if (swap.len == 0) {
		s->captured_cut = s->captured;
		s->captured = swap;
		return;
	}
	for (size_t i = 0; i < s->captured.len; i++)
		capture_add(&s->captured_cut, &s->captured.v[i]);
	s->captured.len = 0;
}

void
senders_cut(bool has_all, struct buf *rows)
{
	struct sender *s;

	LIST_FOREACH (s, &senders.list, entry) {
		captures_cut(s);
		batch_move(&s->fresh_cut, &s->fresh);
		batch_move(&s->release_cut, &s->release);
		s->log_cut = s->row_cut = s->number;
		if (has_all)
			s->settle_cut = s->settle;
		if (s->retained != s->retained_put)
			ROW_ADD(rows, ROW_SENDER_PUT, RU(s->incarnation),
			    RU(s->retained));
		s->retained_put = s->retained;
		s->held_cut += s->held;
		s->held = 0;
	}
}

static const struct log_part *
refusing_part(const struct log_commit *commit, const struct capture *c)
{
	for (size_t i = 0; i < commit->parts_len; i++) {
		const struct log_part *p = &commit->parts[i];

		if (p->error != 0 && p->partition == c->partition &&
		    c->offset >= p->first && c->offset < p->refused_end)
			return p;
	}
	return NULL;
}

static int
compare_refusal(const void *a, const void *b)
{
	uint64_t x = ((const struct refusal *)a)->number;
	uint64_t y = ((const struct refusal *)b)->number;

	return x < y ? -1 : x > y;
}

/* The refused ones of a list go; the others stay in order. */
static void
captures_refuse(struct sender *s, struct capture_list *l,
    const struct log_commit *commit,
    void (*on_refused)(struct sender *s, const struct capture *c))
{
	size_t kept = 0;

	for (size_t i = 0; i < l->len; i++) {
		if (refusing_part(commit, &l->v[i]) == NULL) {
			l->v[kept++] = l->v[i];
			continue;
		}
		on_refused(s, &l->v[i]);
	}
	l->len = kept;
}

static void
refusals_sort(struct sender *s)
{
	size_t kept = 0;

	if (s->refused_len == 0)
		return;
	qsort(s->refused, s->refused_len, sizeof(*s->refused),
	    compare_refusal);
	for (size_t i = 0; i < s->refused_len; i++)
		if (kept == 0 ||
		    s->refused[kept - 1].number != s->refused[i].number)
			s->refused[kept++] = s->refused[i];
	s->refused_len = kept;
}

static void
sender_committed(struct sender *s, bool has_rows)
{
	s->log_upto = s->log_cut;
	s->captured_cut.len = 0;
	sender_put_fresh(s);
	if (!has_rows)
		return;
	s->row_upto = s->row_cut;
	s->settle_upto = s->settle_cut;
	s->owed += s->held_cut;
	s->held_cut = 0;
	batch_move(&s->released, &s->release_cut);
}

void
senders_committed(const struct log_commit *commit,
    void (*on_refused)(struct sender *s, const struct capture *c))
{
	struct sender *s;

	LIST_FOREACH (s, &senders.list, entry) {
		if (commit->has_refused) {
			captures_refuse(
			    s, &s->captured_cut, commit, on_refused);
			captures_refuse(s, &s->captured, commit, on_refused);
			refusals_sort(s);
		}
		if (commit->error == 0)
			sender_committed(s, !commit->has_refused);
	}
}

void
senders_drop_fresh(void)
{
	struct sender *s;

	LIST_FOREACH (s, &senders.list, entry) {
		ipc_batch_clear(&s->fresh);
		ipc_batch_clear(&s->fresh_cut);
	}
}

/* ---- items -------------------------------------------------------------- */

static void
put_deliver(struct sender *s)
{
	if (s->deliver.count == 0)
		return;
	link_put_deliver(s->link,
	    &(struct ipc_deliver){.items = ipc_batch_list(&s->deliver)});
	ipc_batch_clear(&s->deliver);
	buf_trim(&s->deliver.bytes, 2 * IPC_BATCH_MAX);
}

static void
put_queue(struct sender *s, struct ipc_batch *b)
{
	if (b->count == 0)
		return;
	link_put_queue(
	    s->link, &(struct ipc_queue){.items = ipc_batch_list(b)});
	ipc_batch_clear(b);
	buf_trim(&b->bytes, 2 * IPC_BATCH_MAX);
}

static void
sender_put_fresh(struct sender *s)
{
	/* What was to leave before keeps its place. */
	put_queue(s, &s->queue);
	put_queue(s, &s->fresh_cut);
}

static size_t
item_size(const struct slice *parts, size_t n)
{
	size_t size = 64;

	for (size_t i = 0; i < n; i++)
		size += parts[i].len;
	return size;
}

void
sender_add_deliver(struct sender *s, const struct ipc_deliver_item *m)
{
	size_t size = item_size((const struct slice[]){m->topic, m->payload,
	    m->props, m->client_id}, 4);

	if (buf_len(&s->deliver.bytes) + size > IPC_BATCH_MAX)
		put_deliver(s);
	ipc_add_deliver_item(&s->deliver, m);
}

void
sender_add_queue(struct sender *s, const struct ipc_queue_item *m)
{
	size_t size = item_size((const struct slice[]){m->topic, m->payload,
	    m->props, m->sub_ids}, 4);

	if (buf_len(&s->queue.bytes) + size > IPC_BATCH_MAX)
		put_queue(s, &s->queue);
	ipc_add_queue_item(&s->queue, m);
}

bool
sender_add_fresh(struct sender *s, const struct ipc_queue_item *m)
{
	size_t size = item_size((const struct slice[]){m->topic, m->payload,
	    m->props, m->sub_ids}, 4);

	if (buf_len(&s->fresh.bytes) + size > IPC_BATCH_MAX)
		return false;
	ipc_add_queue_item(&s->fresh, m);
	return true;
}

int64_t
sender_credit(const struct sender *s)
{
	return link_credit(s->link) -
	    (int64_t)(buf_len(&s->queue.bytes) + buf_len(&s->fresh.bytes) +
		buf_len(&s->fresh_cut.bytes) + buf_len(&s->deliver.bytes));
}

/* ---- the end of a turn -------------------------------------------------- */

static uint64_t
sender_taken(const struct sender *s)
{
	uint64_t n = s->number;

	if (s->log_needed > s->log_upto && n > s->log_upto)
		n = s->log_upto;
	if (s->row_needed > s->row_upto && n > s->row_upto)
		n = s->row_upto;
	return n;
}

static uint64_t
sender_settled(const struct sender *s)
{
	return s->settle_needed > s->settle_upto ? s->settle_upto : s->settle;
}

static void
put_taken(struct sender *s, uint64_t number, uint64_t settle)
{
	struct ipc_batch refused = {0};
	size_t n = 0;

	while (n < s->refused_len && s->refused[n].number <= number) {
		ipc_add_refused_item(&refused,
		    &(struct ipc_refused_item){.number = s->refused[n].number,
			.reason = s->refused[n].reason});
		n++;
	}
	if (n > 0)
		memmove(s->refused, s->refused + n,
		    (s->refused_len - n) * sizeof(*s->refused));
	s->refused_len -= n;
	link_put_taken(s->link,
	    &(struct ipc_taken){.number = number,
		.settle = settle,
		.refused = ipc_batch_list(&refused)});
	s->told = number;
	s->settle_told = settle;
	buf_fini(&refused.bytes);
}

static void
put_released(struct sender *s)
{
	if (s->released.count == 0)
		return;
	link_put_release(s->link,
	    &(struct ipc_release){.items = ipc_batch_list(&s->released)});
	ipc_batch_clear(&s->released);
}

static void
flush_taken(struct sender *s)
{
	uint64_t number = sender_taken(s), settle = sender_settled(s);

	/* Cumulative: what was told stays told. */
	if (number < s->told)
		number = s->told;
	if (settle < s->settle_told)
		settle = s->settle_told;
	/* Before the releases: an acceptor that has those has this. */
	if (number > s->told || settle > s->settle_told)
		put_taken(s, number, settle);
}

void
senders_flush(void)
{
	struct sender *s;
	bool is_congested = false;

	LIST_FOREACH (s, &senders.list, entry) {
		if (s->is_registered)
			flush_taken(s);
		put_released(s);
		put_deliver(s);
		put_queue(s, &s->queue);
		if (link_pending(s->link) > PENDING_MAX)
			is_congested = true;
	}
	LIST_FOREACH (s, &senders.list, entry) {
		/* Nothing waits: a frame's bytes are ours no more. */
		if (s->log_needed <= s->log_upto &&
		    s->row_needed <= s->row_upto) {
			s->owed += s->held + s->held_cut;
			s->held = s->held_cut = 0;
		}
		if (s->owed == 0 || is_congested)
			continue;
		link_grant(s->link, s->owed);
		s->owed = 0;
	}
}
