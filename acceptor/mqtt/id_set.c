#include "acceptor/mqtt/id_set.h"

#include "base/mem.h"

#include <stdlib.h>

#define CAP_MIN 8

void
id_set_fini(struct id_set *s)
{
	free(s->ids);
	*s = (struct id_set){0};
}

static uint32_t
home(const struct id_set *s, uint16_t id)
{
	return id & (s->cap - 1);
}

/* Where it is, or the free place where it would be. */
static uint32_t
place(const struct id_set *s, uint16_t id)
{
	uint32_t i = home(s, id);

	while (s->ids[i] != 0 && s->ids[i] != id)
		i = (i + 1) & (s->cap - 1);
	return i;
}

bool
id_set_has(const struct id_set *s, uint16_t id)
{
	return s->cap > 0 && s->ids[place(s, id)] == id;
}

static void
id_set_grow(struct id_set *s)
{
	struct id_set new = {NULL, s->cap == 0 ? CAP_MIN : s->cap * 2,
	    s->count};
	uint32_t i;

	new.ids = mem_zalloc(new.cap, sizeof(*new.ids));
	for (i = 0; i < s->cap; i++) {
		if (s->ids[i] != 0)
			new.ids[place(&new, s->ids[i])] = s->ids[i];
	}
	free(s->ids);
	*s = new;
}

bool
id_set_add(struct id_set *s, uint16_t id)
{
	uint32_t i;

	if (id_set_has(s, id))
		return false;
	if ((s->count + 1) * 4 > s->cap * 3)
		id_set_grow(s);
	i = place(s, id);
	s->ids[i] = id;
	s->count++;
	return true;
}

bool
id_set_remove(struct id_set *s, uint16_t id)
{
	uint32_t gap, i, mask = s->cap - 1;

	if (!id_set_has(s, id))
		return false;
	gap = place(s, id);
	/* Close the gap, so that no probe ends too early. */
	for (i = (gap + 1) & mask; s->ids[i] != 0; i = (i + 1) & mask) {
		if (((i - home(s, s->ids[i])) & mask) < ((i - gap) & mask))
			continue;
		s->ids[gap] = s->ids[i];
		gap = i;
	}
	s->ids[gap] = 0;
	if (--s->count == 0)
		id_set_fini(s);
	return true;
}

uint16_t
id_set_next(const struct id_set *s, uint32_t *at)
{
	while (*at < s->cap) {
		uint16_t id = s->ids[(*at)++];

		if (id != 0)
			return id;
	}
	return 0;
}
