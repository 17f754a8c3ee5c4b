#include "base/record_batch.h"

#include "base/crc32c.h"

#include <endian.h>

#define MAGIC 2

/* Where the fields of the header stand. */
enum {
	AT_BASE_OFFSET = 0,
	AT_LENGTH = 8,
	AT_LEADER_EPOCH = 12,
	AT_MAGIC = 16,
	AT_CRC = 17,
	AT_ATTRIBUTES = 21,
	AT_LAST_OFFSET_DELTA = 23,
	AT_BASE_TIMESTAMP = 27,
	AT_MAX_TIMESTAMP = 35,
	AT_PRODUCER_ID = 43,
	AT_PRODUCER_EPOCH = 51,
	AT_BASE_SEQUENCE = 53,
	AT_COUNT = 57,
};

static inline uint16_t
load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return be16toh(v);
}

static inline uint32_t
load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

static inline void
store16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
store32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
store64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* ---- the batch ---------------------------------------------------------- */

enum record_answer
record_batch_size(struct slice in, size_t *size)
{
	uint32_t length;

	if (in.len < AT_CRC)
		return RECORD_MORE;
	length = load32(in.p + AT_LENGTH);
	if (in.p[AT_MAGIC] != MAGIC || (in.p[AT_BASE_OFFSET] & 0x80) != 0 ||
	    length < RECORD_BATCH_HEADER - RECORD_BATCH_LENGTH_AT ||
	    length > RECORD_BATCH_MAX - RECORD_BATCH_LENGTH_AT)
		return RECORD_BAD;
	*size = RECORD_BATCH_LENGTH_AT + (size_t)length;
	return RECORD_OK;
}

enum record_answer
record_batch_get_header(struct slice in, struct record_batch *b)
{
	enum record_answer answer = record_batch_size(in, &b->size);
	const uint8_t *p = in.p;

	if (answer != RECORD_OK)
		return answer;
	if (in.len < RECORD_BATCH_HEADER)
		return RECORD_MORE;
	b->base_offset = load64(p + AT_BASE_OFFSET);
	b->leader_epoch = (int32_t)load32(p + AT_LEADER_EPOCH);
	b->crc = load32(p + AT_CRC);
	b->attributes = load16(p + AT_ATTRIBUTES);
	b->last_offset_delta = load32(p + AT_LAST_OFFSET_DELTA);
	b->base_timestamp = (int64_t)load64(p + AT_BASE_TIMESTAMP);
	b->max_timestamp = (int64_t)load64(p + AT_MAX_TIMESTAMP);
	b->producer_id = load64(p + AT_PRODUCER_ID);
	b->producer_epoch = load16(p + AT_PRODUCER_EPOCH);
	b->base_sequence = load32(p + AT_BASE_SEQUENCE);
	b->count = load32(p + AT_COUNT);
	b->records = SLICE_EMPTY;
	/* So that offsets of the batch can neither wrap nor turn negative. */
	if (b->last_offset_delta > INT32_MAX || b->count > INT32_MAX ||
	    b->base_offset > (uint64_t)INT64_MAX - b->last_offset_delta)
		return RECORD_BAD;
	return RECORD_OK;
}

enum record_answer
record_batch_get(struct slice in, struct record_batch *b)
{
	enum record_answer answer = record_batch_get_header(in, b);

	if (answer != RECORD_OK)
		return answer;
	if (in.len < b->size)
		return RECORD_MORE;
	if (crc32c(slice_of(in.p + AT_ATTRIBUTES,
		b->size - AT_ATTRIBUTES)) != b->crc)
		return RECORD_BAD;
	b->records = slice_of(in.p + RECORD_BATCH_HEADER,
	    b->size - RECORD_BATCH_HEADER);
	return RECORD_OK;
}

const char *
record_batch_check(const struct record_batch *b)
{
	struct record_cursor c;
	struct record_raw raw;
	struct slice name, value;
	enum record_answer answer;

	if ((b->attributes & RECORD_COMPRESSION) != 0)
		return "is compressed";
	record_cursor_init(&c, b);
	if (b->count == 0)
		return "has no records";
	while ((answer = record_cursor_next(&c, &raw)) == RECORD_OK) {
		while (record_raw_header_next(&raw, &name, &value))
			continue;
		if (raw.headers_len != 0 || raw.headers.len != 0)
			return "has a record with unreadable headers";
	}
	if (answer == RECORD_BAD)
		return "has an unreadable record";
	if (c.p != c.end)
		return "has bytes after its last record";
	if (c.last_delta != (int64_t)b->last_offset_delta)
		return "has another last offset than its header says";
	return NULL;
}

void
record_batch_set_base_offset(uint8_t *batch, uint64_t offset)
{
	store64(batch + AT_BASE_OFFSET, offset);
}

void
record_batch_set_leader_epoch(uint8_t *batch, int32_t epoch)
{
	store32(batch + AT_LEADER_EPOCH, (uint32_t)epoch);
}

/* ---- its records -------------------------------------------------------- */

void
record_cursor_init(struct record_cursor *c, const struct record_batch *b)
{
	*c = (struct record_cursor){
		.p = b->records.p,
		.end = b->records.p + b->records.len,
		.base_offset = b->base_offset,
		.base_timestamp = b->base_timestamp,
		.append_timestamp = (b->attributes & RECORD_LOG_APPEND_TIME)
		    ? b->max_timestamp : -1,
		.last_delta = -1,
		.left = b->count,
	};
}

/* A varint that must lie in [min, max]. */
static inline bool
number_get(const uint8_t **p, const uint8_t *end, int64_t min, int64_t max,
    int64_t *out)
{
	if (__builtin_expect(*p < end && **p < 0x80, 1)) {
		*out = (int64_t)(**p >> 1) ^ -(int64_t)(**p & 1);
		(*p)++;
	} else if (!varint_get(p, end, out)) {
		return false;
	}
	return *out >= min && *out <= max;
}

/* A length and so many bytes; length -1 is null. */
static inline bool
bytes_get(const uint8_t **p, const uint8_t *end, struct slice *out)
{
	int64_t n;

	if (!number_get(p, end, -1, INT32_MAX, &n))
		return false;
	if (n == -1) {
		*out = SLICE_NULL;
		return true;
	}
	if (n > end - *p)
		return false;
	*out = slice_of(*p, (size_t)n);
	*p += n;
	return true;
}

enum record_answer
record_cursor_next(struct record_cursor *c, struct record_raw *r)
{
	const uint8_t *p = c->p, *end;
	int64_t size, timestamp, delta, headers;

	if (c->left == 0)
		return RECORD_MORE;
	if (!number_get(&p, c->end, 6, INT32_MAX, &size) || size > c->end - p)
		goto bad;
	end = p + size;
	p++; /* attributes: none are defined */
	if (!number_get(&p, end, INT64_MIN, INT64_MAX, &timestamp) ||
	    !number_get(&p, end, c->last_delta + 1, INT32_MAX, &delta) ||
	    !bytes_get(&p, end, &r->key) || !bytes_get(&p, end, &r->value) ||
	    !number_get(&p, end, 0, end - p, &headers))
		goto bad;
	if (c->append_timestamp >= 0)
		r->timestamp_ms = c->append_timestamp;
	else if (__builtin_add_overflow(c->base_timestamp, timestamp,
		&r->timestamp_ms))
		goto bad;
	r->offset = c->base_offset + (uint64_t)delta;
	r->headers = slice_of(p, (size_t)(end - p));
	r->headers_len = (uint32_t)headers;
	c->last_delta = delta;
	c->p = end;
	c->left--;
	return RECORD_OK;
bad:
	c->left = 0;
	return RECORD_BAD;
}

bool
record_raw_header_next(struct record_raw *r, struct slice *name,
    struct slice *value)
{
	const uint8_t *p = r->headers.p, *end = p + r->headers.len;

	if (r->headers_len == 0 || !bytes_get(&p, end, name) ||
	    slice_is_null(*name) || !bytes_get(&p, end, value))
		return false;
	r->headers = slice_of(p, (size_t)(end - p));
	r->headers_len--;
	return true;
}

/* ---- writing ------------------------------------------------------------ */

void
record_batch_begin(struct record_batch_writer *w, struct buf *out,
    uint64_t base_offset, uint64_t producer_id)
{
	uint8_t *p = buf_reserve(out, RECORD_BATCH_HEADER);

	memset(p, 0, RECORD_BATCH_HEADER);
	*w = (struct record_batch_writer){
		.out = out,
		.start = out->len,
		.base_offset = base_offset,
		.producer_id = producer_id,
		.max_timestamp = -1,
	};
	buf_commit(out, RECORD_BATCH_HEADER);
}

uint8_t *
record_batch_open_record(struct record_batch_writer *w, int64_t timestamp_ms,
    size_t size, uint8_t **end)
{
	int64_t since, delta = w->count;
	size_t body;
	uint8_t *p;

	/* Nobody's clock says this; but a difference must not overflow. */
	if (timestamp_ms < -1 || timestamp_ms > INT64_MAX / 2)
		timestamp_ms = -1;
	if (w->count == 0)
		w->base_timestamp = timestamp_ms;
	if (timestamp_ms > w->max_timestamp)
		w->max_timestamp = timestamp_ms;
	since = timestamp_ms - w->base_timestamp;
	body = 1 + varint_size(since) + varint_size(delta) + size;
	p = buf_reserve(w->out, body + 10 + RECORD_ROOM);
	p = varint_put(p, (int64_t)body);
	*end = p + body;
	*p++ = 0; /* attributes */
	p = varint_put(p, since);
	p = varint_put(p, delta);
	return p;
}

void
record_batch_close_record(struct record_batch_writer *w, const uint8_t *end)
{
	w->out->len = (size_t)(end - w->out->p);
	w->count++;
}

void
record_batch_put(struct record_batch_writer *w, int64_t timestamp_ms,
    struct slice key, struct slice value)
{
	uint8_t *end, *p = record_batch_open_record(w, timestamp_ms,
	    record_bytes_size(key) + record_bytes_size(value) + 1, &end);

	p = record_bytes_put(p, key);
	p = record_bytes_put(p, value);
	*p = 0; /* no headers */
	record_batch_close_record(w, end);
}

void
record_batch_sync(struct record_batch_writer *w)
{
	uint8_t *p = w->out->p + w->start;
	size_t size = record_batch_writer_size(w);

	store64(p + AT_BASE_OFFSET, w->base_offset);
	store32(p + AT_LENGTH, (uint32_t)(size - RECORD_BATCH_LENGTH_AT));
	p[AT_MAGIC] = MAGIC;
	store32(p + AT_LAST_OFFSET_DELTA, w->count - 1);
	store64(p + AT_BASE_TIMESTAMP, (uint64_t)w->base_timestamp);
	store64(p + AT_MAX_TIMESTAMP, (uint64_t)w->max_timestamp);
	store64(p + AT_PRODUCER_ID, w->producer_id);
	store16(p + AT_PRODUCER_EPOCH, w->producer_epoch);
	store32(p + AT_BASE_SEQUENCE, w->sequence);
	store32(p + AT_COUNT, w->count);
}

struct slice
record_batch_end(struct record_batch_writer *w)
{
	uint8_t *p = w->out->p + w->start;
	size_t size = record_batch_writer_size(w);

	record_batch_sync(w);
	store32(p + AT_CRC, crc32c(slice_of(p + AT_ATTRIBUTES,
	    size - AT_ATTRIBUTES)));
	return slice_of(p, size);
}
