#include "router/log/sender.h"

#include "base/mem.h"

#include <stdlib.h>

void
senders_fini(struct senders *s)
{
	free(s->v);
	*s = (struct senders){0};
}

struct log_sender *
senders_find(struct senders *s, uint64_t incarnation)
{
	incarnation &= SENDER_INCARNATION;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].incarnation == incarnation)
			return &s->v[i];
	return NULL;
}

void
senders_remove(struct senders *s, uint64_t incarnation)
{
	struct log_sender *sender = senders_find(s, incarnation);
	size_t i;

	if (sender == NULL)
		return;
	i = (size_t)(sender - s->v);
	s->n--;
	memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof(*s->v));
}

struct log_sender *
senders_get(struct senders *s, uint64_t incarnation, bool *is_new)
{
	struct log_sender sender = {incarnation & SENDER_INCARNATION, 0};
	size_t i = 0;

	*is_new = false;
	if (s->n > 0 && s->v[0].incarnation == sender.incarnation)
		return &s->v[0];
	while (i < s->n && s->v[i].incarnation != sender.incarnation)
		i++;
	if (i < s->n) {
		sender = s->v[i];
	} else {
		*is_new = true;
		if (s->n == LOG_SENDERS_MAX) {
			i = s->n - 1;
		} else if (s->n++ == s->cap) {
			s->cap = s->cap == 0 ? 4 : s->cap * 2;
			s->v = mem_realloc(s->v, s->cap * sizeof(*s->v));
		}
	}
	memmove(s->v + 1, s->v, i * sizeof(*s->v));
	s->v[0] = sender;
	return &s->v[0];
}

void
senders_add(struct senders *s, uint64_t incarnation, uint32_t number)
{
	bool is_new;
	struct log_sender *sender = senders_get(s, incarnation, &is_new);

	if (is_new || sender_number_is_new(sender, number))
		sender->number = number & SENDER_NUMBER;
}
