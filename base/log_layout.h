/*
 * log_layout - names on disk, and the id of a record.
 *
 * DATA/streams/NAME/PARTITION/BASEOFFSET.log, BASEOFFSET in 20 digits.
 *
 * Within a segment offsets have no gap: a batch begins where the one before
 * it ended. Between two segments they may: then the later one's base offset
 * is a multiple of LOG_GAP_ALIGN. So what is missing for another reason (a
 * file that was cut short) is seen.
 */
#ifndef BASE_LOG_LAYOUT_H
#define BASE_LOG_LAYOUT_H

#include "base/slice.h"

#define LOG_GAP_ALIGN ((uint64_t)1 << 16)
#define LOG_SEGMENT_NAME 25	/* "00000000000000000000.log" and NUL */
#define LOG_STREAM_NAME_MAX 200
#define LOG_ID_MAX (LOG_STREAM_NAME_MAX + 64)

void log_segment_name(char name[LOG_SEGMENT_NAME], uint64_t base_offset);
bool log_segment_parse(const char *name, uint64_t *base_offset);
/* Letters, digits, '.', '_', '-'; a leading '$' is for our own streams. */
bool log_stream_name_is_valid(struct slice name);

/* STREAM.INCARNATION-PARTITION-OFFSET; the incarnation in 16 hex digits. */
struct log_id {
	struct slice stream;
	uint64_t incarnation;
	uint32_t partition;
	uint64_t offset;
};
/* Writes it with a NUL; returns its length. */
size_t log_id_put(const struct log_id *id, char out[LOG_ID_MAX]);
bool log_id_get(struct slice text, struct log_id *id);

#endif
