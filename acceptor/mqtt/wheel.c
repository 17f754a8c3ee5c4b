#include "acceptor/mqtt/wheel.h"

#define SLOTS 256u

static struct {
	struct client *slots[SLOTS];
	void (*on_due)(struct client *);
	uint32_t now_s;		/* turned up to this second */
} wheel;

void
wheel_init(uint32_t now_s, void (*on_due)(struct client *))
{
	wheel.now_s = now_s;
	wheel.on_due = on_due;
}

static void
slot_add(struct client *c)
{
	uint32_t ahead = c->due_s - wheel.now_s;
	struct client **slot;

	/* The present slot is behind; one further off comes by again. */
	if ((int32_t)ahead < 1)
		ahead = 1;
	if (ahead > SLOTS - 1)
		ahead = SLOTS - 1;
	slot = &wheel.slots[(wheel.now_s + ahead) % SLOTS];
	c->wheel_next = *slot;
	if (*slot != NULL)
		(*slot)->wheel_prev = &c->wheel_next;
	c->wheel_prev = slot;
	*slot = c;
}

void
wheel_add(struct client *c, uint32_t due_s)
{
	wheel_remove(c);
	c->due_s = due_s;
	slot_add(c);
}

void
wheel_remove(struct client *c)
{
	if (c->wheel_prev == NULL)
		return;
	*c->wheel_prev = c->wheel_next;
	if (c->wheel_next != NULL)
		c->wheel_next->wheel_prev = c->wheel_prev;
	c->wheel_prev = NULL;
	c->wheel_next = NULL;
}

static void
slot_turn(uint32_t slot)
{
	struct client *list = wheel.slots[slot], *c;

	wheel.slots[slot] = NULL;
	if (list != NULL)
		list->wheel_prev = &list;
	while ((c = list) != NULL) {
		wheel_remove(c);
		if ((int32_t)(c->due_s - wheel.now_s) > 0)
			slot_add(c);
		else
			wheel.on_due(c);
	}
}

void
wheel_turn(uint32_t now_s)
{
	/* After a long stop every slot is visited once. */
	if (now_s - wheel.now_s > SLOTS)
		wheel.now_s = now_s - SLOTS;
	while (wheel.now_s != now_s)
		slot_turn(++wheel.now_s % SLOTS);
}
