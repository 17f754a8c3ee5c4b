/* links: worker */
#include "base/json.h"
#include "base/mem.h"
#include "connector-worker/store.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct store *store;
static char dir[] = "/tmp/bulkhead-store-XXXXXX";

static struct store *
store_again(void)
{
	char why[512];
	bool is_final;

	store_close(store);
	store = store_open("c", &is_final, why, sizeof(why));
	cr_assert_not_null(store, "%s", why);
	return store;
}

static void
setup(void)
{
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	mkdir("connectors", 0700);
	store_again();
}

static void
teardown(void)
{
	char command[100];

	store_close(store);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

static const struct record_header headers[] = {
	{{(const uint8_t *)"a\"b", 3}, {(const uint8_t *)"1", 1}},
	{{(const uint8_t *)"a\"b", 3}, {(const uint8_t *)"\xff\0", 2}},
	{{(const uint8_t *)"", 0}, {(const uint8_t *)"", 0}},
};

static struct dead *
dead_of(uint64_t offset)
{
	struct batch *b = batch_new(9, 1, offset, 0);
	struct record rec = {.stream = SLICE_LIT("st"), .incarnation = 9,
	    .partition = 1, .offset = offset, .topic = SLICE_LIT("a/b"),
	    .key = SLICE_LIT("a/b"), .payload = SLICE_LIT("\xff\0x"),
	    .timestamp_ms = 17, .qos = 2, .retain = true,
	    .client_id = SLICE_LIT("dev"), .headers = headers,
	    .headers_len = 3, .correlation_data = SLICE_EMPTY};
	struct item *it = batch_add(b, &rec);
	struct dead *d;

	it->reason = mem_strdup("no such column");
	it->tries = 4;
	it->first_failure_ms = 100;
	it->last_failure_ms = 200;
	batch_add_dead(b, it, "retryable");
	d = b->dead;
	b->dead = NULL;
	b->dead_tail = &b->dead;
	batch_free(b);
	return d;
}

static void
dead_free(struct dead *d)
{
	free(d->rec);
	free(d->reason);
	free(d);
}

static const struct ledger_key key = {9, 1, 3, 0};

static void
put_dead(uint64_t offset)
{
	struct dead *d = dead_of(offset);
	struct ledger_row row = {.key = key, .first = 0, .next = offset + 1,
	    .tally = {.matched = 1, .dlq = 1}};

	cr_assert(store_begin(store));
	cr_assert(store_put_dead(store, &key, "c", d));
	cr_assert(store_add_ledger(store, &row));
	cr_assert(store_commit(store));
	dead_free(d);
}

Test(store, offsets_and_rollback, .init = setup, .fini = teardown)
{
	uint64_t next;

	cr_assert_not(store_offset(store, 9, 0, &next));
	cr_assert(store_begin(store));
	cr_assert(store_put_offset(store, 9, 0, 55));
	store_rollback(store);
	cr_assert_not(store_offset(store, 9, 0, &next));
	cr_assert(store_begin(store));
	cr_assert(store_put_offset(store, UINT64_MAX, 0, 55));
	cr_assert(store_put_offset(store, UINT64_MAX, 0, 56));
	cr_assert(store_commit(store));
	store_again();
	cr_assert(store_offset(store, UINT64_MAX, 0, &next));
	cr_assert_eq(next, 56);
	cr_assert_not(store_offset(store, 9, 0, &next));
}

Test(store, ledger_adds_up, .init = setup, .fini = teardown)
{
	struct ledger_row row = {.key = key, .first = 10, .next = 20,
	    .tally = {.matched = 10, .delivered = 9, .dlq = 1}};
	struct ledger_row *all;
	uint64_t at, matched;
	size_t n;

	cr_assert_eq(store_ledger_next_epoch(store, 9, 1, 3), 0);
	cr_assert(store_add_ledger(store, &row));
	cr_assert(store_put_mark(store, &key, 20));
	row.next = 30;
	cr_assert(store_add_ledger(store, &row));
	cr_assert(store_put_mark(store, &key, 30));
	cr_assert_eq(store_ledger_next_epoch(store, 9, 1, 3), 1);
	cr_assert(store_ledger_newest(store, 9, 1, 3, &row));
	cr_assert_eq(row.first, 10);
	cr_assert_eq(row.next, 30);
	cr_assert_eq(row.tally.matched, 20);
	cr_assert_eq(row.tally.delivered, 18);
	store_mark(store, &row, 25, &at, &matched);
	cr_assert_eq(at, 20);
	cr_assert_eq(matched, 10);
	store_mark(store, &row, 19, &at, &matched);
	cr_assert_eq(at, 10);
	cr_assert_eq(matched, 0);
	all = store_ledger_all(store, &n);
	cr_assert_eq(n, 1);
	free(all);
}

Test(store, dlq_rows_come_back_as_they_were, .init = setup, .fini = teardown)
{
	struct json_object *list;
	struct batch *b = batch_new(0, 0, 0, 0);
	const struct record *rec;
	uint64_t last;
	int64_t row;
	size_t i;

	put_dead(5);
	put_dead(6);
	cr_assert_eq(store_dlq_count(store), 2);
	cr_assert(store_dlq_take(store, 0, 9, &row, b));
	batch_seal(b, 0);
	rec = &b->items[0].rec;
	cr_assert_eq(rec->offset, 5);
	cr_assert_eq(rec->incarnation, 9);
	cr_assert(slice_is(rec->stream, "st"));
	cr_assert(slice_is(rec->topic, "a/b"));
	cr_assert(slice_eq(rec->payload, SLICE_LIT("\xff\0x")));
	cr_assert(rec->retain && rec->qos == 2 && rec->timestamp_ms == 17);
	cr_assert(slice_is_null(rec->username));
	cr_assert_not(slice_is_null(rec->correlation_data));
	cr_assert_eq(rec->headers_len, 3);
	for (i = 0; i < 3; i++) {
		cr_assert(slice_eq(rec->headers[i].name, headers[i].name));
		cr_assert(slice_eq(rec->headers[i].value, headers[i].value));
	}
	batch_free(b);
	list = store_dlq_list(store, 0, 1, false, &last);
	cr_assert_eq(json_object_array_length(list), 1);
	cr_assert_eq(last, (uint64_t)row);
	json_object_put(list);
	list = store_dlq_show(store, "st.0000000000000009-1-6");
	cr_assert_str_eq(json_get_str(list, "payload_base64", ""), "/wB4");
	cr_assert_str_eq(json_get_str(list, "error", ""), "no such column");
	json_object_put(list);
	cr_assert_null(store_dlq_show(store, "st.0000000000000009-1-7"));
}

Test(store, replay_and_purge_move_the_class, .init = setup, .fini = teardown)
{
	struct ledger_row row;

	put_dead(5);
	put_dead(6);
	put_dead(7);
	cr_assert(store_dlq_remove(store,
	    store_dlq_row(store, "st.0000000000000009-1-5"), true));
	cr_assert(store_dlq_remove(store,
	    store_dlq_row(store, "st.0000000000000009-1-6"), false));
	cr_assert(store_ledger_newest(store, 9, 1, 3, &row));
	cr_assert_eq(row.tally.dlq, 1);
	cr_assert_eq(row.replayed, 1);
	cr_assert_eq(row.purged, 1);
	cr_assert_eq(ledger_accounted(&row), 3);
	cr_assert_eq(store_dlq_purge_all(store), 1);
	cr_assert(store_ledger_newest(store, 9, 1, 3, &row));
	cr_assert_eq(row.tally.dlq, 0);
	cr_assert_eq(row.purged, 2);
	cr_assert_eq(ledger_accounted(&row), row.tally.matched);
}

static void
count_keep(struct slice k, struct slice v, void *arg)
{
	cr_assert(slice_is(k, "k"));
	cr_assert(slice_is(v, "2"));
	++*(int *)arg;
}

Test(store, keeps_and_bounds, .init = setup, .fini = teardown)
{
	struct batch *b = batch_new(9, 1, 5, 0);
	int n = 0;

	cr_assert(store_put_keep(store, SLICE_LIT("k"), SLICE_LIT("1")));
	cr_assert(store_put_keep(store, SLICE_LIT("k"), SLICE_LIT("2")));
	cr_assert(store_put_keep(store, SLICE_LIT("gone"), SLICE_LIT("2")));
	cr_assert(store_put_keep(store, SLICE_LIT("gone"), SLICE_NULL));
	store_keeps(store, count_keep, &n);
	cr_assert_eq(n, 1);
	batch_seal(b, 9);
	cr_assert_eq(store_bounds(store, 9, 1, 5), 0);
	cr_assert(store_put_bounds(store, b));
	cr_assert_eq(store_bounds(store, 9, 1, 5), 9);
	cr_assert(store_clear_bounds(store, b));
	cr_assert_eq(store_bounds(store, 9, 1, 5), 0);
	batch_free(b);
}

Test(store, refuses_what_is_not_its_own, .init = setup, .fini = teardown)
{
	struct store *other;
	char why[512];
	bool is_final;
	FILE *f;

	other = store_open("c", &is_final, why, sizeof(why));
	cr_assert_null(other);
	cr_assert_not(is_final);
	cr_assert_not_null(strstr(why, "locked"));
	f = fopen("connectors/d.db", "w");
	fputs("this is no database, but long enough to look like one: "
	    "0123456789012345678901234567890123456789012345678901234567890",
	    f);
	fclose(f);
	other = store_open("d", &is_final, why, sizeof(why));
	cr_assert_null(other);
	cr_assert(is_final);
}

Test(ledger, matched_against_accounted)
{
	struct ledger_row row = {.tally = {.matched = 10, .delivered = 7,
	    .dlq = 2, .discarded = 1}};

	/* All there. */
	cr_assert_eq(ledger_matched(&row, 0, 10, 0), 10);
	/* Half of it trimmed since. */
	cr_assert_eq(ledger_matched(&row, 5, 5, 0), 10);
	/* A sink that answered for one too few: it shows. */
	row.tally.delivered = 6;
	cr_assert_eq(ledger_matched(&row, 0, 10, 0), 10);
	cr_assert_eq(ledger_accounted(&row), 9);
	/* Damage afterwards closes the books, and no more than that. */
	row.tally.delivered = 7;
	cr_assert_eq(ledger_matched(&row, 0, 6, 4), 10);
	cr_assert_eq(ledger_matched(&row, 0, 6, 9), 10);
	cr_assert_eq(ledger_matched(&row, 0, 6, 3), 9);
	/* Damage when it was read is in both. */
	row.tally.damaged = 5;
	cr_assert_eq(ledger_matched(&row, 0, 10, 5), 15);
}
