#include "connector-worker/position.h"

void
position_add(struct buf *out, const struct position *p)
{
	if (buf_len(out) > 0)
		buf_add_u8(out, ' ');
	buf_addf(out, "%llx:%u:%llu", (unsigned long long)p->incarnation,
	    p->partition, (unsigned long long)p->offset);
}

static bool
number_next(struct slice *text, unsigned base, char end, uint64_t *v)
{
	size_t i;
	unsigned digit;
	uint8_t c;

	*v = 0;
	for (i = 0; i < text->len && text->p[i] != (uint8_t)end; i++) {
		c = text->p[i];
		digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
		    c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
		if (digit >= base || *v > (UINT64_MAX - digit) / base)
			return false;
		*v = *v * base + digit;
	}
	if (i == 0 || (i == text->len && end != ' '))
		return false;
	*text = slice_of(text->p + i, text->len - i);
	if (text->len > 0)
		*text = slice_of(text->p + 1, text->len - 1);
	return true;
}

int
position_next(struct slice *text, struct position *p)
{
	uint64_t partition;

	if (text->len == 0)
		return 0;
	if (!number_next(text, 16, ':', &p->incarnation) ||
	    !number_next(text, 10, ':', &partition) ||
	    partition > UINT32_MAX ||
	    !number_next(text, 10, ' ', &p->offset))
		return -1;
	p->partition = (uint32_t)partition;
	return 1;
}
