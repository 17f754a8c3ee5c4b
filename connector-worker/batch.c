#include "connector-worker/batch.h"

#include "base/mem.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_MIN (16u << 10)
#define CHUNK_STEP (128u << 10)

/* Memory of a batch's records: grows in pieces, goes at once. */
struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(16) uint8_t bytes[];
};

void
tally_add(struct tally *to, const struct tally *from)
{
	to->matched += from->matched;
	to->delivered += from->delivered;
	to->filtered += from->filtered;
	to->discarded += from->discarded;
	to->dlq += from->dlq;
	to->expired += from->expired;
	to->damaged += from->damaged;
	to->skipped += from->skipped;
}

struct batch *
batch_new(uint64_t incarnation, uint32_t partition, uint64_t first,
    uint64_t now_ms)
{
	struct batch *b = mem_zalloc(1, sizeof(*b));

	b->incarnation = incarnation;
	b->partition = partition;
	b->first = first;
	b->end = first;
	b->opened_ms = now_ms;
	b->dead_tail = &b->dead;
	b->keep_tail = &b->keeps;
	b->replayed_tail = &b->replayed;
	return b;
}

void
batch_drop_records(struct batch *b)
{
	struct chunk *c;
	size_t i;

	for (i = 0; i < b->count; i++)
		free(b->items[i].reason);
	free(b->items);
	b->items = NULL;
	b->count = b->cap = 0;
	while ((c = b->chunks) != NULL) {
		b->chunks = c->next;
		free(c);
	}
	b->memory = 0;
}

void
batch_free(struct batch *b)
{
	struct replayed *r;
	struct dead *d;
	struct keep *k;

	if (b == NULL)
		return;
	batch_drop_records(b);
	while ((d = b->dead) != NULL) {
		b->dead = d->next;
		free(d->rec);
		free(d->reason);
		free(d);
	}
	while ((k = b->keeps) != NULL) {
		b->keeps = k->next;
		free(k);
	}
	while ((r = b->replayed) != NULL) {
		b->replayed = r->next;
		free(r->reason);
		free(r);
	}
	free(b);
}

static void *
batch_alloc(struct batch *b, size_t n)
{
	struct chunk *c = b->chunks;
	size_t size;
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (c == NULL || c->size - c->used < n) {
		/* Small batches stay small, large ones take few steps. */
		size = c == NULL ? CHUNK_MIN : CHUNK_STEP;
		if (size < n)
			size = n;
		c = mem_alloc(sizeof(*c) + size);
		c->next = b->chunks;
		c->size = size;
		c->used = 0;
		b->chunks = c;
		b->memory += size;
	}
	p = c->bytes + c->used;
	c->used += n;
	return p;
}

static size_t
record_text_len(const struct record *r)
{
	size_t n = r->topic.len + r->key.len + r->payload.len +
	    r->client_id.len + r->username.len + r->protocol.len +
	    r->content_type.len + r->response_topic.len +
	    r->correlation_data.len, i;

	for (i = 0; i < r->headers_len; i++)
		n += r->headers[i].name.len + r->headers[i].value.len;
	return n;
}

static struct slice
text_move(uint8_t **to, struct slice s)
{
	uint8_t *at = *to;

	if (s.p == NULL)
		return SLICE_NULL;
	if (s.len > 0)
		memcpy(at, s.p, s.len);
	*to += s.len;
	return slice_of(at, s.len);
}

static void
headers_move(struct batch *b, struct record *r, uint8_t **to)
{
	struct record_header *headers;
	size_t i;

	if (r->headers_len == 0)
		return;
	headers = batch_alloc(b, r->headers_len * sizeof(*headers));
	for (i = 0; i < r->headers_len; i++) {
		headers[i].name = text_move(to, r->headers[i].name);
		headers[i].value = text_move(to, r->headers[i].value);
	}
	r->headers = headers;
}

struct item *
batch_add(struct batch *b, const struct record *rec)
{
	size_t n = record_text_len(rec);
	uint8_t *to = batch_alloc(b, n);
	struct record *r;
	struct item *it;
	bool is_key_topic = rec->key.p == rec->topic.p &&
	    rec->key.len == rec->topic.len;

	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 16 : b->cap * 2;
		b->items = mem_realloc(b->items, b->cap * sizeof(*b->items));
	}
	it = &b->items[b->count++];
	*it = (struct item){.rec = *rec, .state = ITEM_NEW};
	r = &it->rec;
	r->topic = text_move(&to, rec->topic);
	r->key = is_key_topic ? r->topic : text_move(&to, rec->key);
	r->payload = text_move(&to, rec->payload);
	r->client_id = text_move(&to, rec->client_id);
	r->username = text_move(&to, rec->username);
	r->protocol = text_move(&to, rec->protocol);
	r->content_type = text_move(&to, rec->content_type);
	r->response_topic = text_move(&to, rec->response_topic);
	r->correlation_data = text_move(&to, rec->correlation_data);
	r->queues = SLICE_NULL;
	headers_move(b, r, &to);
	b->bytes += n;
	b->tally.matched++;
	return it;
}

void
batch_add_replay(struct batch *b, const struct record *rec, int64_t row)
{
	struct item *it = batch_add(b, rec);
	uint8_t *stream;

	b->is_replay = true;
	stream = batch_alloc(b, rec->stream.len);
	it->rec.stream = text_move(&stream, rec->stream);
	it->dlq_row = row;
}

void
batch_seal(struct batch *b, uint64_t end)
{
	size_t i;

	b->end = end;
	b->is_sealed = true;
	b->left = b->count;
	b->memory += b->cap * sizeof(*b->items);
	for (i = 0; i < b->count; i++) {
		b->items[i].batch = b;
		b->items[i].pub.rec = &b->items[i].rec;
	}
}

void
batch_add_dead(struct batch *b, const struct item *it,
    const char *error_class)
{
	struct dead *d = mem_zalloc(1, sizeof(*d));

	d->rec = record_dup(&it->rec);
	d->reason = mem_strdup(it->reason == NULL ? "" : it->reason);
	d->error_class = error_class;
	d->tries = it->tries;
	d->first_failure_ms = it->first_failure_ms;
	d->last_failure_ms = it->last_failure_ms;
	*b->dead_tail = d;
	b->dead_tail = &d->next;
}

void
batch_add_keep(struct batch *b, struct slice key, struct slice value)
{
	struct keep *k = mem_zalloc(1, sizeof(*k) + key.len + value.len);

	memcpy(k->bytes, key.p, key.len);
	k->key = slice_of(k->bytes, key.len);
	if (value.p != NULL) {
		memcpy(k->bytes + key.len, value.p, value.len);
		k->value = slice_of(k->bytes + key.len, value.len);
	}
	*b->keep_tail = k;
	b->keep_tail = &k->next;
}

void
batch_add_replayed(struct batch *b, const struct item *it, bool is_delivered)
{
	struct replayed *r = mem_zalloc(1, sizeof(*r));

	r->row = it->dlq_row;
	r->is_delivered = is_delivered;
	r->reason = mem_strdup(it->reason == NULL ? "" : it->reason);
	r->failure_ms = it->last_failure_ms;
	*b->replayed_tail = r;
	b->replayed_tail = &r->next;
}
