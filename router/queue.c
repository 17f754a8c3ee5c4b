#include "router/queue.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define RING_MIN 4u

void
queue_init(struct queue *q)
{
	*q = (struct queue){.floor = 1, .next = 1, .cursor = 1, .high = 1};
}

void
queue_fini(struct queue *q)
{
	free(q->ring);
	queue_init(q);
}

static struct queue_entry *
queue_at(const struct queue *q, uint64_t seq)
{
	return &q->ring[(q->head + (uint32_t)(seq - q->floor)) &
	    (q->cap - 1)];
}

struct queue_entry *
queue_find(const struct queue *q, uint64_t seq)
{
	struct queue_entry *e;

	if (seq < q->floor || seq >= q->next)
		return NULL;
	e = queue_at(q, seq);
	return e->state == ENTRY_DONE ? NULL : e;
}

static void
queue_resize(struct queue *q, uint32_t cap)
{
	struct queue_entry *ring = mem_alloc(cap * sizeof(*ring));
	uint32_t n = (uint32_t)(q->next - q->floor);

	for (uint32_t i = 0; i < n; i++)
		ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
	free(q->ring);
	q->ring = ring;
	q->head = 0;
	q->cap = cap;
}

/* Memory follows the backlog down, but not for every small swing. */
static void
queue_shrink(struct queue *q)
{
	uint32_t n = (uint32_t)(q->next - q->floor);

	if (n == 0 && q->cap > 64) {
		free(q->ring);
		q->ring = NULL;
		q->cap = q->head = 0;
	} else if (q->cap > 1024 && n < q->cap / 8)
		queue_resize(q, q->cap / 4);
}

static struct queue_entry *
queue_append(struct queue *q)
{
	if (q->next - q->floor == q->cap) {
		bug_on(q->cap >= UINT32_MAX / 2);
		queue_resize(q, q->cap == 0 ? RING_MIN : q->cap * 2);
	}
	return queue_at(q, q->next++);
}

static void
queue_place(struct queue *q, uint64_t offset)
{
	if (q->count == 0)
		q->is_mixed = false;
	else if (offset < q->newest)
		q->is_mixed = true;
	if (q->count == 0 || offset > q->newest)
		q->newest = offset;
}

/* The row must speak of seq. */
static void
queue_raise(struct queue *q, uint64_t seq)
{
	if (q->high <= seq)
		q->high = seq + 1;
}

uint64_t
queue_add(struct queue *q, uint64_t offset, uint32_t size, uint8_t qos)
{
	queue_place(q, offset);
	*queue_append(q) = (struct queue_entry){
	    .offset = offset, .size = size, .qos = qos,
	    .state = ENTRY_WAITING};
	q->count++;
	q->bytes += size;
	return q->next - 1;
}

uint64_t
queue_peek(struct queue *q, uint64_t committed, uint32_t receive_max)
{
	while (q->cursor < q->next &&
	    queue_at(q, q->cursor)->state != ENTRY_WAITING)
		q->cursor++;
	if (q->cursor >= q->next || q->in_flight >= receive_max ||
	    q->cursor - q->floor >= QUEUE_WINDOW ||
	    queue_at(q, q->cursor)->offset >= committed)
		return 0;
	return q->cursor;
}

bool
queue_is_idle(const struct queue *q, uint32_t receive_max)
{
	return q->cursor == q->next && q->in_flight < receive_max &&
	    q->next - q->floor < QUEUE_WINDOW;
}

void
queue_sent(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	bug_on(e == NULL || e->state != ENTRY_WAITING);
	e->state = ENTRY_SENT;
	q->in_flight++;
	queue_raise(q, seq);
	if (seq == q->cursor)
		q->cursor++;
}

static void
queue_advance(struct queue *q)
{
	while (q->floor < q->next && q->ring[q->head].state == ENTRY_DONE) {
		q->head = (q->head + 1) & (q->cap - 1);
		q->floor++;
	}
	if (q->cursor < q->floor)
		q->cursor = q->floor;
	if (q->high < q->floor)
		q->high = q->floor;
}

static void
queue_done(struct queue *q, struct queue_entry *e, uint64_t seq)
{
	if (e->state == ENTRY_SENT || e->state == ENTRY_RECEIVED)
		q->in_flight--;
	if (e->state != ENTRY_MISSING) {
		q->count--;
		q->bytes -= e->size;
	}
	e->state = ENTRY_DONE;
	queue_raise(q, seq);
	queue_advance(q);
	queue_shrink(q);
}

bool
queue_puback(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	/*
	 * The acceptor also drops with it what is too large or expired, of
	 * any QoS. What was received is the PUBCOMP's to end.
	 */
	if (e == NULL || e->state == ENTRY_RECEIVED)
		return false;
	queue_done(q, e, seq);
	return true;
}

bool
queue_pubrec(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	if (e == NULL || e->state == ENTRY_RECEIVED || e->qos != 2)
		return false;
	if (e->state != ENTRY_SENT)
		q->in_flight++;
	if (e->state == ENTRY_MISSING) {
		q->count++;
		q->bytes += e->size;
	}
	e->state = ENTRY_RECEIVED;
	queue_raise(q, seq);
	return true;
}

bool
queue_pubcomp(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	if (e == NULL || e->state != ENTRY_RECEIVED)
		return false;
	queue_done(q, e, seq);
	return true;
}

bool
queue_drop(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	if (e == NULL)
		return false;
	queue_done(q, e, seq);
	return true;
}

void
queue_detach(struct queue *q)
{
	for (uint64_t seq = q->floor; seq < q->next && q->in_flight > 0;
	     seq++) {
		struct queue_entry *e = queue_at(q, seq);

		if (e->state != ENTRY_SENT)
			continue;
		e->state = ENTRY_WAITING;
		e->is_dup = 1;
		q->in_flight--;
		if (seq < q->cursor)
			q->cursor = seq;
	}
}

void
queue_reclaim(struct queue *q, uint64_t seq)
{
	struct queue_entry *e = queue_find(q, seq);

	if (e != NULL && e->state == ENTRY_WAITING)
		queue_sent(q, seq);
}

uint64_t
queue_next_received(const struct queue *q, uint64_t seq)
{
	if (seq < q->floor)
		seq = q->floor;
	for (; seq < q->next; seq++)
		if (queue_at(q, seq)->state == ENTRY_RECEIVED)
			return seq;
	return 0;
}

void
queue_move(struct queue *q, uint64_t seq, uint64_t offset)
{
	struct queue_entry *e = queue_find(q, seq);

	if (e == NULL)
		return;
	e->offset = offset;
	q->is_mixed = true;
	if (offset > q->newest)
		q->newest = offset;
}

uint64_t
queue_first_offset(const struct queue *q)
{
	uint64_t first = QUEUE_NO_OFFSET;

	for (uint64_t seq = q->floor; seq < q->next; seq++) {
		const struct queue_entry *e = queue_at(q, seq);

		/* A received one needs its record no more. */
		if (e->state != ENTRY_WAITING && e->state != ENTRY_SENT)
			continue;
		if (e->offset < first)
			first = e->offset;
		if (!q->is_mixed)
			break;
	}
	return first;
}

static void
put_varint(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_add_u8(b, (uint8_t)(v | 0x80));
	buf_add_u8(b, (uint8_t)v);
}

static bool
get_varint(struct slice *s, uint64_t *v)
{
	*v = 0;
	for (unsigned shift = 0; shift < 64 && s->len > 0; shift += 7) {
		uint8_t c = *s->p++;

		s->len--;
		*v |= (uint64_t)(c & 0x7f) << shift;
		if ((c & 0x80) == 0)
			return true;
	}
	return false;
}

/* What the row says of an entry: 0 nothing, 1 done, 2 received. */
static unsigned
row_class(const struct queue_entry *e)
{
	return e->state == ENTRY_DONE ? 1 :
	    e->state == ENTRY_RECEIVED ? 2 : 0;
}

/*
 * Runs from the floor up to high, each a varint of length * 4 + class: what
 * lies below high and is not done was sent before.
 */
void
queue_put(const struct queue *q, struct buf *b)
{
	for (uint64_t seq = q->floor; seq < q->high;) {
		unsigned class = row_class(queue_at(q, seq));
		uint64_t first = seq;

		while (seq < q->high &&
		    row_class(queue_at(q, seq)) == class)
			seq++;
		put_varint(b, (seq - first) << 2 | class);
	}
}

bool
queue_get(
    struct queue *q, uint64_t floor, uint64_t next, struct slice exceptions)
{
	uint64_t run = 0;
	bool was_sent = true;

	queue_init(q);
	if (floor == 0 || next < floor || next - floor > UINT32_MAX / 4)
		return false;
	q->floor = q->next = q->cursor = q->high = floor;
	while (q->next < next) {
		struct queue_entry *e;

		if (run >> 2 == 0) {
			if (exceptions.len == 0) {
				run = (next - q->next) << 2;
				was_sent = false;
			} else if (!get_varint(&exceptions, &run) ||
			    run >> 2 == 0 || (run & 3) == 3)
				goto bad;
		}
		e = queue_append(q);
		*e = (struct queue_entry){
		    .state = ENTRY_MISSING, .qos = 2, .is_dup = was_sent};
		if ((run & 3) == 1)
			e->state = ENTRY_DONE;
		if ((run & 3) == 2) {
			e->state = ENTRY_RECEIVED;
			q->count++;
			q->in_flight++;
		}
		if (was_sent)
			q->high = q->next;
		run -= 4;
	}
	if (exceptions.len == 0 && run >> 2 == 0)
		return true;
bad:
	queue_fini(q);
	return false;
}

void
queue_restore(struct queue *q, uint64_t seq, uint64_t offset, uint32_t size,
    uint8_t qos)
{
	struct queue_entry *e;

	if (seq < q->floor || seq - q->floor > UINT32_MAX / 4)
		return;
	while (q->next <= seq)
		*queue_append(q) = (struct queue_entry){
		    .state = ENTRY_MISSING};
	e = queue_at(q, seq);
	queue_place(q, offset);
	switch ((enum queue_state)e->state) {
	case ENTRY_DONE:
		return;
	case ENTRY_RECEIVED:
		q->bytes += size - (uint64_t)e->size;
		e->size = size;
		return;
	case ENTRY_MISSING:
		q->count++;
		break;
	case ENTRY_WAITING:
	case ENTRY_SENT:
		/* Copied forward: the later record is the one that stays. */
		q->bytes -= e->size;
		q->is_mixed = true;
		break;
	}
	q->bytes += size;
	*e = (struct queue_entry){.offset = offset, .size = size, .qos = qos,
	    .state = ENTRY_WAITING, .is_dup = e->is_dup};
}

void
queue_suspect(struct queue *q, uint32_t n)
{
	for (uint64_t seq = q->floor; seq < q->next && n > 0; seq++) {
		struct queue_entry *e = queue_at(q, seq);

		if (e->state == ENTRY_DONE)
			continue;
		e->is_dup = 1;
		queue_raise(q, seq);
		n--;
	}
}

void
queue_absolve(struct queue *q)
{
	for (uint64_t seq = q->floor; seq < q->next; seq++)
		if (queue_at(q, seq)->state == ENTRY_WAITING)
			queue_at(q, seq)->is_dup = 0;
}

uint32_t
queue_settle(struct queue *q)
{
	uint32_t lost = 0;

	for (uint64_t seq = q->floor; seq < q->next; seq++) {
		struct queue_entry *e;

		if (seq < q->floor)
			continue;
		e = queue_at(q, seq);
		if (e->state != ENTRY_MISSING)
			continue;
		lost++;
		queue_done(q, e, seq);
	}
	/* A done run at the floor moves it even when nothing was missing. */
	queue_advance(q);
	q->cursor = q->floor;
	return lost;
}
