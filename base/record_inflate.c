#include "base/record_batch.h"

#include "base/snappy.h"

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#define STEP ((size_t)64 << 10)
/* 8 MiB: what Kafka's clients write at their highest level. */
#define ZSTD_WINDOW_LOG 23

/*
 * Each appends what in holds to out, max bytes at most. False: malformed,
 * cut short, or more than that.
 */
typedef bool inflate_fn(struct slice in, size_t max, struct buf *out);

/* Room for the next step: NULL when max was reached. */
static uint8_t *
step_reserve(struct buf *out, size_t start, size_t max, size_t *room)
{
	size_t done = buf_len(out) - start;

	*room = max - done < STEP ? max - done : STEP;
	return *room == 0 ? NULL : buf_reserve(out, *room);
}

static bool
gzip_inflate(struct slice in, size_t max, struct buf *out)
{
	z_stream z = {0};
	size_t start = buf_len(out);
	int answer = Z_OK;

	/* 32: a gzip or a zlib header. */
	if (in.len > UINT32_MAX || inflateInit2(&z, 32 + MAX_WBITS) != Z_OK)
		return false;
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.len;
	while (answer == Z_OK) {
		size_t room;

		z.next_out = step_reserve(out, start, max, &room);
		z.avail_out = (uInt)room;
		if (room == 0)
			break;
		answer = inflate(&z, Z_NO_FLUSH);
		buf_commit(out, room - z.avail_out);
		/* Members may follow each other. */
		if (answer == Z_STREAM_END && z.avail_in > 0)
			answer = inflateReset(&z);
	}
	inflateEnd(&z);
	return answer == Z_STREAM_END;
}

static bool
lz4_inflate(struct slice in, size_t max, struct buf *out)
{
	LZ4F_dctx *ctx;
	size_t start = buf_len(out), hint = 1;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return false;
	while (hint != 0) {
		size_t room, took = in.len;
		uint8_t *to = step_reserve(out, start, max, &room);

		if (to == NULL)
			break;
		hint = LZ4F_decompress(ctx, to, &room, in.p, &took, NULL);
		if (LZ4F_isError(hint) || (room == 0 && took == 0))
			break;
		buf_commit(out, room);
		in.p += took;
		in.len -= took;
	}
	LZ4F_freeDecompressionContext(ctx);
	return hint == 0 && in.len == 0;
}

static bool
zstd_inflate(struct slice in, size_t max, struct buf *out)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer from = {in.p, in.len, 0};
	size_t start = buf_len(out), hint = 1;

	if (ctx == NULL)
		return false;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	while (hint != 0 || from.pos < from.size) {
		ZSTD_outBuffer to = {0};
		size_t before = from.pos;

		to.dst = step_reserve(out, start, max, &to.size);
		if (to.dst == NULL)
			break;
		hint = ZSTD_decompressStream(ctx, &to, &from);
		if (ZSTD_isError(hint) || (to.pos == 0 && from.pos == before))
			break;
		buf_commit(out, to.pos);
	}
	ZSTD_freeDCtx(ctx);
	return hint == 0 && from.pos == from.size;
}

enum record_answer
record_batch_inflate(struct record_batch *b, size_t max, struct buf *out)
{
	static inflate_fn *const inflaters[] = {
		[RECORD_GZIP] = gzip_inflate,
		[RECORD_SNAPPY] = snappy_inflate,
		[RECORD_LZ4] = lz4_inflate,
		[RECORD_ZSTD] = zstd_inflate,
	};
	unsigned type = b->attributes & RECORD_COMPRESSION;

	buf_clear(out);
	if (type == RECORD_PLAIN)
		return RECORD_OK;
	if (type >= sizeof(inflaters) / sizeof(*inflaters) ||
	    !inflaters[type](b->records, max, out))
		return RECORD_BAD;
	b->records = buf_slice(out);
	b->attributes &= (uint16_t)~RECORD_COMPRESSION;
	return RECORD_OK;
}
