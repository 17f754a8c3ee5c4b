#include "connector-worker/sinks/file_state.h"

#include <inttypes.h>
#include <stdio.h>

/* Seven lines: identity, length, period, use, names, positions. */
void
file_state_put(const struct file_state *s, struct buf *out)
{
	struct buf positions;
	size_t i;

	buf_init(&positions);
	for (i = 0; i < s->upto_count; i++)
		position_add(&positions, &s->upto[i]);
	buf_addf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n%" PRIu64
	    "\n%" PRIu64 "\n%" PRIu64 "\n%s\n%s\n", s->device, s->inode,
	    s->generation, s->length, s->period, s->used_ms, s->name,
	    s->rotating_to);
	buf_add_slice(out, buf_slice(&positions));
	buf_fini(&positions);
}

static bool
line_next(struct slice *text, struct slice *line)
{
	const uint8_t *end = text->len == 0 ? NULL :
	    memchr(text->p, '\n', text->len);

	if (end == NULL)
		return false;
	*line = slice_of(text->p, (size_t)(end - text->p));
	*text = slice_of(end + 1, text->len - line->len - 1);
	return true;
}

bool
file_state_get(struct slice text, struct file_state *s)
{
	struct slice lines[6];
	char head[160];
	size_t i;

	*s = (struct file_state){0};
	for (i = 0; i < 6; i++)
		if (!line_next(&text, &lines[i]))
			return false;
	if (lines[4].len >= sizeof(s->name) ||
	    lines[5].len >= sizeof(s->rotating_to))
		return false;
	snprintf(head, sizeof(head), "%.*s %.*s %.*s %.*s",
	    SLICE_ARG(lines[0]), SLICE_ARG(lines[1]), SLICE_ARG(lines[2]),
	    SLICE_ARG(lines[3]));
	if (sscanf(head, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
	    " %" SCNu64 " %" SCNu64, &s->device, &s->inode, &s->generation,
	    &s->length, &s->period, &s->used_ms) != 6)
		return false;
	memcpy(s->name, lines[4].p, lines[4].len);
	memcpy(s->rotating_to, lines[5].p, lines[5].len);
	while (s->upto_count < FILE_POSITIONS_MAX &&
	    position_next(&text, &s->upto[s->upto_count]) == 1)
		s->upto_count++;
	return true;
}

void
file_state_advance(struct file_state *s, uint64_t incarnation,
    uint32_t partition, uint64_t offset)
{
	size_t i;

	for (i = 0; i < s->upto_count; i++)
		if (s->upto[i].incarnation == incarnation &&
		    s->upto[i].partition == partition) {
			if (s->upto[i].offset < offset)
				s->upto[i].offset = offset;
			return;
		}
	/* The oldest goes: incarnations that are no more. */
	if (s->upto_count == FILE_POSITIONS_MAX) {
		memmove(s->upto, s->upto + 1,
		    (FILE_POSITIONS_MAX - 1) * sizeof(s->upto[0]));
		s->upto_count--;
	}
	s->upto[s->upto_count++] = (struct position){incarnation, partition,
	    offset};
}

bool
file_state_has(const struct file_state *s, uint64_t incarnation,
    uint32_t partition, uint64_t offset)
{
	size_t i;

	for (i = 0; i < s->upto_count; i++)
		if (s->upto[i].incarnation == incarnation &&
		    s->upto[i].partition == partition)
			return offset < s->upto[i].offset;
	return false;
}
