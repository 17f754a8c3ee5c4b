#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "connector-worker/count.h"
#include "ipc/proc.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * The ledger against the log. Rows first, then the watermark: what is
 * written meanwhile is pending, never unaccounted.
 */
struct audit {
	uint64_t request;
	struct ledger_row *rows;
	size_t n;
	struct count_range *ranges;	/* one a row, then one a partition */
	size_t range_count;
	struct topics **topics;
	struct json_object *notes;
};

static void
audit_free(struct audit *a)
{
	size_t i;

	for (i = 0; i < a->range_count; i++)
		topics_free(a->topics[i]);
	free(a->topics);
	free(a->ranges);
	free(a->rows);
	free(a);
}

static void
audit_note(struct audit *a, const struct ledger_row *row, const char *text)
{
	char line[300];

	snprintf(line, sizeof(line), "partition %u, offsets %llu to %llu, "
	    "version %llu: %s", row->key.partition,
	    (unsigned long long)row->first, (unsigned long long)row->next,
	    (unsigned long long)row->key.version, text);
	json_object_array_add(a->notes, json_object_new_string(line));
}

static void
audit_damage(struct audit *a, const struct ledger_row *row,
    const struct count_range *r)
{
	char text[200];

	snprintf(text, sizeof(text), "%llu records within offsets %llu to "
	    "%llu are damaged in the log, after they were read",
	    (unsigned long long)(r->damaged - row->tally.damaged),
	    (unsigned long long)r->damage_first,
	    (unsigned long long)r->damage_last);
	audit_note(a, row, text);
	log_error("%s: partition %u: %s", worker.name, row->key.partition,
	    text);
	proc_degraded("damaged", text);
}

static uint64_t
audit_row_matched(struct audit *a, size_t i)
{
	const struct ledger_row *row = &a->rows[i];
	const struct count_range *r = &a->ranges[i];
	uint64_t at, matched;

	if (row->first == row->next)
		return row->tally.matched;
	if (!r->is_known || r->log_start >= row->next) {
		audit_note(a, row, "no longer in the log, the stored figure "
		    "is taken");
		return row->tally.matched;
	}
	/* Damage that came after it was read is told here. */
	if (r->damaged > row->tally.damaged)
		audit_damage(a, row, r);
	if (r->log_start <= row->first)
		return ledger_matched(row, 0, r->readable, r->damaged);
	store_mark(worker.store, row, r->log_start, &at, &matched);
	if (at != r->log_start) {
		audit_note(a, row, "partly no longer in the log, the stored "
		    "figure is taken");
		return row->tally.matched;
	}
	audit_note(a, row, "below the log start the stored figure is taken");
	return ledger_matched(row, matched, r->readable, r->damaged);
}

static struct json_object *
audit_row_json(const struct ledger_row *row, uint64_t matched)
{
	struct json_object *o = ledger_json(row, matched);
	char text[32];

	snprintf(text, sizeof(text), "%016llx",
	    (unsigned long long)row->key.incarnation);
	json_add_str(o, "incarnation", text);
	json_add_u64(o, "partition", row->key.partition);
	json_add_u64(o, "version", row->key.version);
	json_add_u64(o, "epoch", row->key.epoch);
	json_add_u64(o, "first", row->first);
	json_add_u64(o, "next", row->next);
	return o;
}

/* A dead letter that was replayed is delivered; purged, it stays dead. */
static struct json_object *
audit_totals(const struct ledger_row *sum, uint64_t matched, uint64_t pending)
{
	struct json_object *o = json_object_new_object();
	const struct tally *t = &sum->tally;

	json_add_str(o, "connector", worker.name);
	json_add_u64(o, "matched", matched);
	json_add_u64(o, "delivered", t->delivered + sum->replayed);
	json_add_u64(o, "dlq", t->dlq + sum->purged);
	json_add_u64(o, "discarded", t->discarded);
	json_add_u64(o, "filtered", t->filtered);
	json_add_u64(o, "expired", t->expired);
	json_add_u64(o, "damaged", t->damaged);
	json_add_u64(o, "skipped", t->skipped);
	json_add_u64(o, "pending", pending);
	json_object_object_add(o, "unaccounted", json_object_new_int64(
	    (int64_t)(matched - ledger_accounted(sum))));
	json_add_u64(o, "replayed", sum->replayed);
	json_add_u64(o, "purged", sum->purged);
	return o;
}

/* What was trimmed before it was read is still to be counted as expired. */
static uint64_t
audit_pending(const struct count_range *r)
{
	uint64_t gone = r->log_start > r->from ? r->log_start - r->from : 0;

	return r->is_known ? gone + r->readable + r->damaged : 0;
}

static void
audit_done(void *arg, const char *fault)
{
	struct audit *a = arg;
	struct json_object *rows, *o;
	struct ledger_row sum = {0};
	uint64_t matched, total = 0, pending = 0;
	size_t i;

	if (fault != NULL) {
		json_object_put(a->notes);
		proc_reply_error(a->request, 503, "unavailable", "%s: %s",
		    worker.name, fault);
		audit_free(a);
		return;
	}
	rows = json_object_new_array();
	for (i = 0; i < a->n; i++) {
		matched = audit_row_matched(a, i);
		total += matched;
		tally_add(&sum.tally, &a->rows[i].tally);
		sum.replayed += a->rows[i].replayed;
		sum.purged += a->rows[i].purged;
		json_object_array_add(rows,
		    audit_row_json(&a->rows[i], matched));
	}
	for (i = a->n; i < a->range_count; i++)
		pending += audit_pending(&a->ranges[i]);
	o = audit_totals(&sum, total, pending);
	json_object_object_add(o, "rows", rows);
	json_object_object_add(o, "notes", a->notes);
	proc_reply(a->request, 200, o);
	audit_free(a);
}

static void
audit_range(struct audit *a, size_t i, const struct ledger_key *key,
    uint64_t from, uint64_t to)
{
	char *topics = store_version(worker.store, key->version);

	a->topics[i] = topics_parse(topics == NULL ? "[]" : topics);
	free(topics);
	a->ranges[i] = (struct count_range){.incarnation = key->incarnation,
	    .partition = key->partition, .from = from, .to = to,
	    .topics = a->topics[i]};
}

void
audit_request(uint64_t id)
{
	struct audit *a = mem_zalloc(1, sizeof(*a));
	size_t i;

	a->request = id;
	a->notes = json_object_new_array();
	commit_now();
	a->rows = store_ledger_all(worker.store, &a->n);
	a->range_count = a->n + worker.part_count;
	a->ranges = mem_zalloc(a->range_count + 1, sizeof(*a->ranges));
	a->topics = mem_zalloc(a->range_count + 1, sizeof(*a->topics));
	for (i = 0; i < a->n; i++)
		audit_range(a, i, &a->rows[i].key, a->rows[i].first,
		    a->rows[i].next);
	for (i = 0; i < worker.part_count; i++)
		audit_range(a, a->n + i, &worker.parts[i].key,
		    worker.parts[i].committed, UINT64_MAX);
	count_start(a->ranges, a->range_count, audit_done, a);
}
