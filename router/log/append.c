#include "router/log/store.h"

#include "base/log.h"
#include "base/mem.h"

/* What a record of the largest size may need beside itself. */
#define BATCH_ROOM (RECORD_BATCH_MAX - RECORD_BATCH_HEADER)
/* Offset deltas are 31 bits; Kafka's tools like them small. */
#define BATCH_RECORDS ((uint32_t)1 << 20)

void
partition_dirty(struct log_partition *p)
{
	struct log_store *s = p->stream->store;

	if (p->is_dirty)
		return;
	p->is_dirty = true;
	if (s->dirty_len == s->dirty_cap) {
		s->dirty_cap = s->dirty_cap == 0 ? 16 : s->dirty_cap * 2;
		s->dirty = mem_realloc(s->dirty,
		    s->dirty_cap * sizeof(*s->dirty));
	}
	s->dirty[s->dirty_len++] = p;
}

void
partition_end_batch(struct log_partition *p)
{
	if (!p->has_writer)
		return;
	p->has_writer = false;
	record_batch_end(&p->writer);
}

void
partition_drop(struct log_partition *p)
{
	struct log_store *s = p->stream->store;

	p->has_writer = false;
	if (p->open == NULL)
		return;
	s->gathered -= p->open->bytes.len;
	s->stats.refused += p->open->end - p->open->first;
	gather_undo(p->open, &p->senders);
	gather_give(s, p->open);
	p->open = NULL;
}

void
partition_refuse(struct log_partition *p)
{
	partition_drop(p);
	p->next_offset = round_up(p->next_offset, LOG_RESERVE_STEP);
	p->must_roll = true;
}

static struct gather *
partition_gather(struct log_partition *p)
{
	if (p->open == NULL) {
		p->open = gather_take(p->stream->store, p->next_offset);
		partition_dirty(p);
	}
	return p->open;
}

/* known: the sender's entry, where it has one and counts. */
static void
batch_begin(struct log_partition *p, uint64_t sender, bool is_numbered,
    const struct log_sender *known)
{
	struct gather *g = partition_gather(p);
	struct gather_batch *b;

	partition_end_batch(p);
	b = gather_add_batch(g, p->next_offset);
	b->sender = is_numbered ? sender : 0;
	b->has_number = known != NULL;
	b->number = known != NULL ? known->number : 0;
	record_batch_begin(&p->writer, &g->bytes, p->next_offset,
	    RECORD_PRODUCER_OURS | (sender & SENDER_INCARNATION));
	p->has_writer = true;
	p->writer_sender = sender;
	p->is_numbered = is_numbered;
	p->stream->store->stats.batches++;
}

enum log_append
log_append(struct log_partition *p, uint64_t sender, uint64_t number,
    const struct record *r, uint64_t *offset)
{
	struct log_store *s = p->stream->store;
	struct log_sender *known = NULL;
	size_t size = record_size(r), before;
	bool is_new;

	bug_on(!p->is_recovered);
	if (size > BATCH_ROOM)
		return LOG_APPEND_TOO_LARGE;
	if (number != 0) {
		known = senders_find(&p->senders, sender);
		if (known != NULL && !sender_number_is_new(known, number)) {
			s->stats.duplicates++;
			return LOG_APPEND_DUPLICATE;
		}
	}
	if (!space_take(p, size)) {
		s->stats.refused++;
		return LOG_APPEND_NO_SPACE;
	}
	before = p->open != NULL ? p->open->bytes.len : 0;
	if (!p->has_writer || p->writer_sender != sender ||
	    p->is_numbered != (number != 0) ||
	    record_batch_writer_size(&p->writer) + size >
		s->options.batch_bytes ||
	    p->writer.count == BATCH_RECORDS)
		batch_begin(p, sender, number != 0, known);
	if (number != 0) {
		known = senders_get(&p->senders, sender, &is_new);
		known->number = (uint32_t)number & SENDER_NUMBER;
		p->writer.sequence = known->number;
	}
	if (p->open->end == p->open->first)
		p->open->first_ms = r->timestamp_ms;
	record_put(&p->writer, r);
	p->open->end = p->next_offset + 1;
	s->gathered += p->open->bytes.len - before;
	s->stats.appended++;
	if (offset != NULL)
		*offset = p->next_offset;
	p->next_offset++;
	return LOG_APPEND_OK;
}

enum log_append
log_append_batch(struct log_partition *p, struct slice batch,
    uint64_t *base_offset)
{
	struct log_store *s = p->stream->store;
	struct record_batch b;
	struct gather *g;

	bug_on(!p->is_recovered);
	bug_on(record_batch_get_header(batch, &b) != RECORD_OK ||
	    b.size != batch.len);
	if (!space_take(p, batch.len)) {
		s->stats.refused += b.count;
		return LOG_APPEND_NO_SPACE;
	}
	g = partition_gather(p);
	partition_end_batch(p);
	gather_add_batch(g, p->next_offset);
	if (g->end == g->first)
		g->first_ms = b.base_timestamp;
	buf_add_slice(&g->bytes, batch);
	record_batch_set_base_offset(g->bytes.p + g->bytes.len - batch.len,
	    p->next_offset);
	record_batch_set_leader_epoch(g->bytes.p + g->bytes.len - batch.len,
	    0);
	*base_offset = p->next_offset;
	p->next_offset += (uint64_t)b.last_offset_delta + 1;
	g->end = p->next_offset;
	s->gathered += batch.len;
	s->stats.appended += b.count;
	s->stats.batches++;
	return LOG_APPEND_OK;
}
