#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/worker.h"

#include <stdio.h>
#include <stdlib.h>

void
parts_drop(void)
{
	size_t i;

	for (i = 0; i < worker.part_count; i++)
		batch_free(worker.parts[i].open);
	free(worker.parts);
	worker.parts = NULL;
	worker.part_count = 0;
}

/* Where a partition begins that this connector has never read. */
static uint64_t
part_start(const struct follow *f, const struct follow_part *fp)
{
	struct json_object *all = json_member(worker.start, "partitions");
	char name[16];

	snprintf(name, sizeof(name), "%u", fp->number);
	if (json_get_u64(worker.start, "incarnation", 0) ==
	    follow_incarnation(f) && json_member(all, name) != NULL)
		return json_get_u64(all, name, fp->log_start);
	/* A stream made anew, or a partition added: all of it is new. */
	return fp->log_start;
}

static bool
part_begin(struct follow *f, struct follow_part *fp, struct part *p)
{
	struct ledger_row row;

	*p = (struct part){.number = fp->number};
	p->last = &p->first;
	if (!store_offset(worker.store, worker.incarnation, fp->number,
	    &p->committed)) {
		p->committed = part_start(f, fp);
		if (!store_put_offset(worker.store, worker.incarnation,
		    fp->number, p->committed))
			return false;
	}
	p->key = (struct ledger_key){worker.incarnation, fp->number,
	    worker.version, 0};
	p->row_first = p->committed;
	if (store_ledger_newest(worker.store, worker.incarnation, fp->number,
	    worker.version, &row)) {
		p->key.epoch = row.next == p->committed ? row.key.epoch :
		    store_ledger_next_epoch(worker.store, worker.incarnation,
		    fp->number, worker.version);
		p->row_first = row.next == p->committed ? row.first :
		    p->committed;
	}
	/* The row is there from the beginning, so that audit knows it. */
	row = (struct ledger_row){.key = p->key, .first = p->row_first,
	    .next = p->committed};
	p->position = p->committed;
	log_reader_seek(fp->reader, p->committed);
	return store_add_ledger(worker.store, &row);
}

bool
parts_begin(struct follow *f)
{
	bool is_good;
	size_t i;

	worker.incarnation = follow_incarnation(f);
	worker.part_count = follow_parts(f);
	worker.parts = mem_zalloc(worker.part_count + 1,
	    sizeof(*worker.parts));
	is_good = store_begin(worker.store) &&
	    store_put_version(worker.store, worker.version,
	    worker.topics_json);
	for (i = 0; i < worker.part_count; i++)
		is_good = is_good && part_begin(f, follow_part(f, i),
		    &worker.parts[i]);
	if (is_good && store_commit(worker.store))
		return true;
	log_error("%s: %s", worker.name, store_error(worker.store));
	store_rollback(worker.store);
	parts_drop();
	return false;
}

struct part *
worker_part(uint32_t number)
{
	size_t i;

	for (i = 0; i < worker.part_count; i++)
		if (worker.parts[i].number == number)
			return &worker.parts[i];
	return NULL;
}
