#include "acceptor/mqtt/seen.h"

#include <string.h>

/* To the front; what the last place held is dropped where it is new. */
static void
seen_front(struct seen *s, size_t i, uint64_t sender, uint64_t number)
{
	memmove(&s->last[1], &s->last[0], i * sizeof(s->last[0]));
	s->last[0].sender = sender;
	s->last[0].number = number;
}

bool
seen_add(struct seen *s, uint64_t sender, uint64_t number)
{
	size_t i;

	if (number == 0)
		return true;
	for (i = 0; i < s->count; i++) {
		if (s->last[i].sender != sender)
			continue;
		if (number <= s->last[i].number)
			return false;
		if (i == 0)
			s->last[0].number = number;
		else
			seen_front(s, i, sender, number);
		return true;
	}
	if (s->count < SEEN_SENDERS)
		s->count++;
	seen_front(s, s->count - 1, sender, number);
	return true;
}
