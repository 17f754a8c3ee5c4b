#include "acceptor/mqtt/roster.h"

#include "base/mem.h"

#define SLOT_BITS 24

static struct {
	struct client **slots;
	uint32_t *free_slots;
	uint32_t slot_count, slot_cap, free_count;
	uint64_t next_conn;
} roster;

static uint32_t
slot_take(void)
{
	if (roster.free_count > 0)
		return roster.free_slots[--roster.free_count];
	if (roster.slot_count == roster.slot_cap) {
		roster.slot_cap = roster.slot_cap == 0 ? 64 :
		    roster.slot_cap * 2;
		roster.slots = mem_realloc(roster.slots,
		    roster.slot_cap * sizeof(struct client *));
		roster.free_slots = mem_realloc(roster.free_slots,
		    roster.slot_cap * sizeof(uint32_t));
	}
	return roster.slot_count++;
}

static uint32_t
slot_of(uint64_t conn)
{
	return (uint32_t)(conn & ((1u << SLOT_BITS) - 1));
}

void
roster_add(struct client *c)
{
	uint32_t slot = slot_take();

	roster.slots[slot] = c;
	c->conn = ++roster.next_conn << SLOT_BITS | slot;
}

void
roster_remove(struct client *c)
{
	uint32_t slot = slot_of(c->conn);

	roster.slots[slot] = NULL;
	roster.free_slots[roster.free_count++] = slot;
}

struct client *
client_find(uint64_t conn)
{
	uint32_t slot = slot_of(conn);
	struct client *c;

	if (slot >= roster.slot_count)
		return NULL;
	c = roster.slots[slot];
	return c != NULL && c->conn == conn ? c : NULL;
}

void
clients_each(void (*cb)(struct client *, void *), void *arg)
{
	uint32_t i;

	for (i = 0; i < roster.slot_count; i++) {
		if (roster.slots[i] != NULL &&
		    roster.slots[i]->state != CLIENT_DEAD)
			cb(roster.slots[i], arg);
	}
}
