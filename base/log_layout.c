#include "base/log_layout.h"

#include <inttypes.h>
#include <stdio.h>

#define SEGMENT_DIGITS 20

void
log_segment_name(char name[LOG_SEGMENT_NAME], uint64_t base_offset)
{
	snprintf(name, LOG_SEGMENT_NAME, "%020" PRIu64 ".log", base_offset);
}

/* At least one digit and nothing else, below 2^63. */
static bool
decimal_get(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > SEGMENT_DIGITS)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)s.p[i] - '0';

		if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return true;
}

static bool
hex_get(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.len != 16)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned c = s.p[i];

		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else
			return false;
		v = v << 4 | c;
	}
	*out = v;
	return true;
}

bool
log_segment_parse(const char *name, uint64_t *base_offset)
{
	struct slice s = slice_str(name);

	if (s.len != LOG_SEGMENT_NAME - 1 ||
	    memcmp(name + SEGMENT_DIGITS, ".log", 4) != 0)
		return false;
	return decimal_get(slice_of(name, SEGMENT_DIGITS), base_offset);
}

bool
log_stream_name_is_valid(struct slice name)
{
	size_t i = 0;

	if (name.len > 0 && name.p[0] == '$')
		i = 1;
	if (name.len - i == 0 || name.len > LOG_STREAM_NAME_MAX ||
	    name.p[i] == '.')
		return false;
	for (; i < name.len; i++) {
		uint8_t c = name.p[i];

		if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') &&
		    (c < '0' || c > '9') && c != '.' && c != '_' && c != '-')
			return false;
	}
	return true;
}

size_t
log_id_put(const struct log_id *id, char out[LOG_ID_MAX])
{
	return (size_t)snprintf(out, LOG_ID_MAX,
	    "%.*s.%016" PRIx64 "-%" PRIu32 "-%" PRIu64,
	    SLICE_ARG(id->stream), id->incarnation, id->partition,
	    id->offset);
}

/* Takes what follows the last `mark` off s. */
static bool
tail_take(struct slice *s, char mark, struct slice *tail)
{
	const uint8_t *p = s->len > 0 ? memrchr(s->p, mark, s->len) : NULL;

	if (p == NULL)
		return false;
	*tail = slice_of(p + 1, (size_t)(s->p + s->len - (p + 1)));
	s->len = (size_t)(p - s->p);
	return true;
}

bool
log_id_get(struct slice text, struct log_id *id)
{
	struct slice offset, partition, incarnation;
	uint64_t n;

	if (!tail_take(&text, '-', &offset) ||
	    !tail_take(&text, '-', &partition) ||
	    !tail_take(&text, '.', &incarnation))
		return false;
	if (!decimal_get(offset, &id->offset) ||
	    !decimal_get(partition, &n) || n > UINT32_MAX ||
	    !hex_get(incarnation, &id->incarnation) ||
	    !log_stream_name_is_valid(text))
		return false;
	id->partition = (uint32_t)n;
	id->stream = text;
	return true;
}
