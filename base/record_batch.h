/*
 * record_batch - Kafka record batches, format v2 (magic 2), in place.
 *
 * Pure and total: whatever the bytes are, a decoder answers and never reads
 * beyond them. Decoded structs are loans from the bytes. Numbers on the wire
 * are big-endian, lengths within records are zigzag varints; the CRC-32C
 * covers everything from `attributes` on, so base offset and leader epoch
 * may be patched without it.
 *
 * Offsets are uint64_t here, always below 2^63. Timestamps are milliseconds
 * since 1970, -1 = none.
 *
 * Batches that Bulkhead writes: producer id = 2^62 | the sender's
 * incarnation (low 62 bits), producer epoch 0, base sequence = low 31 bits
 * of the last hand-over number in the batch.
 */
#ifndef BASE_RECORD_BATCH_H
#define BASE_RECORD_BATCH_H

#include "base/buf.h"
#include "base/varint.h"

#define RECORD_BATCH_HEADER 61u		/* bytes before the first record */
#define RECORD_SIZE_MIN 7u		/* of a record, its length included */
#define RECORD_BATCH_LENGTH_AT 12u	/* `length` counts from here on */
/* Nothing longer is a batch to us (a record of 15 MiB and its headers). */
#define RECORD_BATCH_MAX ((size_t)17 << 20)

/* What a compressed batch may hold. */
#define RECORD_INFLATED_MAX ((size_t)64 << 20)

#define RECORD_COMPRESSION 0x0007u	/* mask of attributes */
#define RECORD_LOG_APPEND_TIME 0x0008u
#define RECORD_TRANSACTIONAL 0x0010u
#define RECORD_CONTROL 0x0020u		/* its record is a marker, not data */

enum record_compression {
	RECORD_PLAIN = 0,
	RECORD_GZIP = 1,
	RECORD_SNAPPY = 2,
	RECORD_LZ4 = 3,
	RECORD_ZSTD = 4,
};

#define RECORD_PRODUCER_OURS ((uint64_t)1 << 62)

struct record_batch {
	uint64_t base_offset;
	size_t size;			/* of the whole batch in bytes */
	int32_t leader_epoch;
	uint32_t crc;
	uint16_t attributes;
	uint32_t last_offset_delta;
	int64_t base_timestamp;
	int64_t max_timestamp;
	uint64_t producer_id;		/* UINT64_MAX: none */
	uint16_t producer_epoch;
	uint32_t base_sequence;		/* UINT32_MAX: none */
	uint32_t count;			/* of records */
	struct slice records;		/* everything after the header */
};

enum record_answer {
	RECORD_OK,
	RECORD_MORE,	/* the bytes end too early */
	RECORD_BAD,	/* not a batch of format v2, or damaged */
};

/*
 * The size of the batch that begins at in, from its first 17 bytes. BAD
 * when magic, length or offset cannot be true.
 */
enum record_answer record_batch_size(struct slice in, size_t *size);
/* Decodes the header of a whole batch and checks the CRC. */
enum record_answer record_batch_get(struct slice in, struct record_batch *b);
/* The same without a look at the CRC; the records need not be there yet. */
enum record_answer record_batch_get_header(struct slice in,
    struct record_batch *b);
/*
 * Checks every record (of an uncompressed batch): lengths add up, deltas
 * rise, count and last delta are true. NULL, or what is wrong: a constant.
 */
const char *record_batch_check(const struct record_batch *b);

static inline bool
record_batch_is_ours(const struct record_batch *b)
{
	return b->producer_id >> 62 == 1;
}
static inline uint64_t
record_batch_last_offset(const struct record_batch *b)
{
	return b->base_offset + b->last_offset_delta;
}
void record_batch_set_base_offset(uint8_t *batch, uint64_t offset);
void record_batch_set_leader_epoch(uint8_t *batch, int32_t epoch);

/* ---- the records of a batch -------------------------------------------- */

struct record_raw {
	uint64_t offset;
	int64_t timestamp_ms;
	struct slice key;	/* null stays null */
	struct slice value;
	struct slice headers;	/* encoded; record_raw_header_next */
	uint32_t headers_len;	/* how many */
};

struct record_cursor {
	const uint8_t *p, *end;
	uint64_t base_offset;
	int64_t base_timestamp;
	int64_t append_timestamp;	/* of all records, or -1 */
	int64_t last_delta;
	uint32_t left;
};

/* The batch must not be compressed: inflate it first. */
void record_cursor_init(struct record_cursor *c,
    const struct record_batch *b);
/* OK a record; MORE: there is none left; BAD: the rest is not readable. */
enum record_answer record_cursor_next(struct record_cursor *c,
    struct record_raw *r);
/* Takes the first header off r; false: none left, or unreadable. */
bool record_raw_header_next(struct record_raw *r, struct slice *name,
    struct slice *value);

/* ---- writing ------------------------------------------------------------ */

/*
 * An open batch at the end of a buf. Between begin and end nothing else may
 * add to or consume from the buf; other batches may stand before it.
 */
struct record_batch_writer {
	struct buf *out;
	size_t start;		/* of the batch, from out->p */
	uint64_t base_offset;
	uint64_t producer_id;
	int64_t base_timestamp, max_timestamp;
	uint32_t count;
	uint32_t sequence;
	uint16_t producer_epoch;
};

void record_batch_begin(struct record_batch_writer *w, struct buf *out,
    uint64_t base_offset, uint64_t producer_id);
/* Appends a record without headers. With headers: record_put. */
void record_batch_put(struct record_batch_writer *w, int64_t timestamp_ms,
    struct slice key, struct slice value);
/*
 * The two halves of a record with headers (record_put): open makes room for
 * a body of `size` bytes after timestamp and offset delta (key, value, count
 * of headers, headers) and returns where it goes; it must end at *end, and
 * may write RECORD_ROOM bytes beyond it on the way.
 */
#define RECORD_ROOM 32u
uint8_t *record_batch_open_record(struct record_batch_writer *w,
    int64_t timestamp_ms, size_t size, uint8_t **end);
void record_batch_close_record(struct record_batch_writer *w,
    const uint8_t *end);
/* A length and its bytes, as keys, values and headers stand in a record. */
static inline size_t
record_bytes_size(struct slice s)
{
	return slice_is_null(s) ? 1 : varint_size((int64_t)s.len) + s.len;
}
static inline uint8_t *
record_bytes_put(uint8_t *p, struct slice s)
{
	p = varint_put(p, slice_is_null(s) ? -1 : (int64_t)s.len);
	if (s.len == 0)
		return p;
	memcpy(p, s.p, s.len);
	return p + s.len;
}
/* Writes the counts into the header, so that a cursor can walk the batch. */
void record_batch_sync(struct record_batch_writer *w);
/* Sync and CRC: the batch is whole. Returns its bytes. */
struct slice record_batch_end(struct record_batch_writer *w);

static inline size_t
record_batch_writer_size(const struct record_batch_writer *w)
{
	return w->out->len - w->start;
}

/* ---- compression -------------------------------------------------------- */

/*
 * Makes b a plain batch: its records then lie in out (cleared first); size
 * and CRC stay those of what was read. BAD when it does not inflate, or to
 * more than max bytes.
 */
enum record_answer record_batch_inflate(struct record_batch *b, size_t max,
    struct buf *out);

#endif
