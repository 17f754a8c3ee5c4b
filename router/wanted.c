#include "router/wanted.h"

#include "base/topic.h"
#include "ipc/proc.h"
#include "router/commit.h"
#include "router/sender.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_BYTES (4u << 20)

static struct {
	struct interest *interest;
	_Atomic uint64_t *page;
	int fd;
	uint64_t generation;
} wanted = {.fd = -1};

static void
put_wanted(struct sender *s, uint64_t generation)
{
	link_put_wanted(s->link,
	    &(struct ipc_wanted){.generation = generation,
		.reset = s->wants_reset,
		.items = ipc_batch_list(&s->wanted)});
	s->wants_reset = false;
	ipc_batch_clear(&s->wanted);
	buf_trim(&s->wanted.bytes, 64 << 10);
}

static void
on_wanted(void *owner, unsigned slot, bool add, struct slice filter)
{
	struct sender *s = sender_by_slot(slot);

	(void)owner;
	if (s == NULL)
		return;
	/* One part of many: no generation, so that it is not current yet. */
	if (buf_len(&s->wanted.bytes) > FRAME_BYTES)
		put_wanted(s, 0);
	ipc_add_wanted_item(&s->wanted,
	    &(struct ipc_wanted_item){.add = add, .filter = filter});
}

bool
wanted_init(struct interest *interest)
{
	long size = sysconf(_SC_PAGESIZE);
	void *page;

	wanted.interest = interest;
	interest->on_wanted = on_wanted;
	wanted.fd = memfd_create(
	    "generation", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (wanted.fd == -1 || ftruncate(wanted.fd, size) == -1)
		return false;
	page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
	    wanted.fd, 0);
	if (page == MAP_FAILED)
		return false;
	/* Our mapping stays writable, none made later is. */
	if (fcntl(wanted.fd, F_ADD_SEALS,
		F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW |
		    F_SEAL_SEAL) == -1)
		return false;
	wanted.page = page;
	wanted.generation = 1;
	atomic_store(wanted.page, wanted.generation);
	return true;
}

void
wanted_raise(void)
{
	struct sender *s;

	if (!wanted.interest->has_grown)
		return;
	wanted.interest->has_grown = false;
	atomic_store(wanted.page, ++wanted.generation);
	LIST_FOREACH (s, senders_all(), entry)
		s->is_behind = s->is_welcome && s->kind == KIND_ACCEPTOR;
}

void
wanted_welcome(struct sender *s)
{
	union ipc_any m = {.welcome = {.router = proc_incarnation(),
			       .generation = wanted.generation}};

	if (s->is_welcome)
		return;
	s->is_welcome = true;
	link_put_fds(s->link, IPC_WELCOME, &m, &wanted.fd, 1);
	if (log_space_is_full(commit_store()))
		link_put_space(s->link, &(struct ipc_space){.full = 1});
	if (s->kind != KIND_ACCEPTOR)
		return;
	s->wants_reset = true;
	s->is_behind = true;
	interest_attach(wanted.interest, s->slot);
}

bool
wanted_interest(struct sender *s, struct ipc_list items)
{
	struct ipc_interest_item item;
	int rc;

	if (!s->has_slot)
		return false;
	while ((rc = ipc_next_interest_item(&items, &item)) == 1) {
		if (filter_check(item.filter) != NULL)
			return false;
		if (item.add)
			interest_add_slot(
			    wanted.interest, item.filter, s->slot);
		else
			interest_remove_slot(
			    wanted.interest, item.filter, s->slot);
	}
	return rc == 0;
}

void
wanted_forget(struct sender *s)
{
	if (!s->has_slot)
		return;
	interest_detach(wanted.interest, s->slot);
	interest_clear_slot(wanted.interest, s->slot);
}

void
wanted_flush(void)
{
	struct sender *s;

	wanted_raise();
	LIST_FOREACH (s, senders_all(), entry) {
		if (!s->is_welcome || s->kind != KIND_ACCEPTOR)
			continue;
		if (s->is_behind || s->wanted.count > 0)
			put_wanted(s, wanted.generation);
		s->is_behind = false;
	}
}
