#include "router/log/store.h"

#include "base/mem.h"

#include <stdlib.h>

struct segment *
segment_add(struct log_partition *p, uint64_t base_offset)
{
	struct segment *segment;

	if (p->segments_len == p->segments_cap) {
		p->segments_cap = p->segments_cap == 0 ? 2
						       : p->segments_cap * 2;
		p->segments = mem_realloc(p->segments,
		    p->segments_cap * sizeof(*p->segments));
	}
	segment = &p->segments[p->segments_len++];
	*segment = (struct segment){
		.base_offset = base_offset,
		.end_offset = base_offset,
		.first_ms = INT64_MIN,
		.index_offset = base_offset,
	};
	return segment;
}

struct segment *
segment_active(struct log_partition *p)
{
	return p->segments_len == 0 ? NULL
				    : &p->segments[p->segments_len - 1];
}

struct segment *
segment_find(const struct log_partition *p, uint64_t offset)
{
	size_t low = 0, high = p->segments_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->segments[middle].base_offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low == 0 ? NULL : &p->segments[low - 1];
}

void
segment_fini(struct segment *segment)
{
	free(segment->marks);
	segment->marks = NULL;
}

/*
 * A batch [offset, end_offset) stands at [at, end_at). Taken only where the
 * index has got to, so that it never has a hole.
 */
void
segment_mark(struct segment *segment, uint64_t offset, uint64_t at,
    uint64_t end_offset, uint64_t end_at)
{
	uint64_t last = segment->marks_len == 0
	    ? 0 : segment->marks[segment->marks_len - 1].at;

	if (at != segment->index_at || offset != segment->index_offset)
		return;
	segment->index_at = end_at;
	segment->index_offset = end_offset;
	if (at - last < INDEX_STEP)
		return;
	if (segment->marks_len == segment->marks_cap) {
		segment->marks_cap = segment->marks_cap == 0
		    ? 16 : segment->marks_cap * 2;
		segment->marks = mem_realloc(segment->marks,
		    segment->marks_cap * sizeof(*segment->marks));
	}
	segment->marks[segment->marks_len++] =
	    (struct segment_mark){offset, at};
}

void
segment_seek(const struct segment *segment, uint64_t offset,
    uint64_t *batch_offset, uint64_t *at)
{
	size_t low = 0, high = segment->marks_len;

	if (offset >= segment->index_offset) {
		*batch_offset = segment->index_offset;
		*at = segment->index_at;
		return;
	}
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (segment->marks[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	*batch_offset = low == 0 ? segment->base_offset
				 : segment->marks[low - 1].offset;
	*at = low == 0 ? 0 : segment->marks[low - 1].at;
}

/* Forgets the i-th; its file is the caller's. */
void
segment_remove(struct log_partition *p, size_t i)
{
	if (p->read.fd != -1 &&
	    p->read.base_offset == p->segments[i].base_offset)
		read_close(&p->read);
	segment_fini(&p->segments[i]);
	p->segments_len--;
	memmove(p->segments + i, p->segments + i + 1,
	    (p->segments_len - i) * sizeof(*p->segments));
}
