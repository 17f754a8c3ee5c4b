/* Record batches from anywhere: header, records, headers, compression. */
#include "base/crc32c.h"
#include "base/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every slice must lie where it says: the sanitizer looks. */
static unsigned sum;

static void
touch(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		sum += s.p[i];
}

static void
walk(const struct record_batch *b)
{
	static struct record_space space;
	struct record_cursor c;
	struct record_raw raw;
	struct record record;

	record_cursor_init(&c, b);
	while (record_cursor_next(&c, &raw) == RECORD_OK) {
		touch(raw.key);
		touch(raw.value);
		if (record_get(b, &raw, SLICE_LIT("s"), &space, &record) !=
		    RECORD_OK)
			continue;
		for (size_t i = 0; i < record.headers_len; i++) {
			touch(record.headers[i].name);
			touch(record.headers[i].value);
		}
		free(record_dup(&record));
	}
	(void)record_batch_check(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf inflated;
	struct record_batch b;
	uint8_t *copy;
	uint32_t crc;

	if (record_batch_get(slice_of(data, size), &b) == RECORD_OK)
		walk(&b);
	if (record_batch_get_header(slice_of(data, size), &b) != RECORD_OK ||
	    b.size > size)
		return 0;
	/* Again with a CRC that is right. */
	copy = malloc(size);
	memcpy(copy, data, size);
	crc = crc32c(slice_of(copy + 21, b.size - 21));
	for (int i = 0; i < 4; i++)
		copy[17 + i] = (uint8_t)(crc >> (24 - 8 * i));
	if (record_batch_get(slice_of(copy, size), &b) == RECORD_OK) {
		walk(&b);
		if ((b.attributes & RECORD_COMPRESSION) != 0 &&
		    record_batch_inflate(&b, 1 << 20, &inflated) == RECORD_OK)
			walk(&b);
	}
	free(copy);
	return 0;
}
