#include "connector-worker/ledger.h"

#include "base/json.h"

uint64_t
ledger_accounted(const struct ledger_row *row)
{
	const struct tally *t = &row->tally;

	return t->delivered + t->filtered + t->discarded + t->dlq +
	    row->replayed + row->purged + t->expired + t->damaged +
	    t->skipped;
}

uint64_t
ledger_matched(const struct ledger_row *row, uint64_t stored,
    uint64_t readable, uint64_t damaged)
{
	uint64_t sure = stored + readable, accounted = ledger_accounted(row);
	uint64_t known = row->tally.damaged, missing;

	/* What was damaged when it was read is in both. */
	if (damaged < known)
		damaged = known;
	if (accounted <= sure)
		return sure;
	missing = accounted - sure;
	return sure + (missing < damaged ? missing : damaged);
}

struct json_object *
ledger_json(const struct ledger_row *row, uint64_t matched)
{
	struct json_object *o = json_object_new_object();

	json_add_u64(o, "matched", matched);
	json_add_u64(o, "delivered", row->tally.delivered);
	json_add_u64(o, "dlq", row->tally.dlq);
	json_add_u64(o, "replayed", row->replayed);
	json_add_u64(o, "purged", row->purged);
	json_add_u64(o, "discarded", row->tally.discarded);
	json_add_u64(o, "filtered", row->tally.filtered);
	json_add_u64(o, "expired", row->tally.expired);
	json_add_u64(o, "damaged", row->tally.damaged);
	json_add_u64(o, "skipped", row->tally.skipped);
	json_object_object_add(o, "unaccounted", json_object_new_int64(
	    (int64_t)(matched - ledger_accounted(row))));
	return o;
}
