/* links: worker */
#include "connector-worker/position.h"
#include "connector-worker/rates.h"
#include "connector-worker/worker.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(rates, per_second_over_a_span)
{
	struct rates r = {0};
	uint64_t ms;

	cr_assert_float_eq(rates_per_second(&r, 5000, 0, 10000), 0, 0.001);
	/* 100 a second for two minutes. */
	for (ms = 0; ms <= 120000; ms += 500)
		rates_note(&r, ms, ms / 10);
	cr_assert_float_eq(rates_per_second(&r, 120000, 12000, 10000), 100,
	    11);
	cr_assert_float_eq(rates_per_second(&r, 120000, 12000, 60000), 100,
	    3);
	/* A minute of nothing. */
	cr_assert_float_eq(rates_per_second(&r, 180000, 12000, 10000), 0,
	    0.001);
}

Test(position, round_trip_and_refusals)
{
	static const char *const bad[] = {"1", "1:2", "1:2:", ":1:2", "g:1:2",
	    "1:2:3x", "1:4294967296:1", "11111111111111111:0:1",
	    "1:0:99999999999999999999"};
	struct position p = {UINT64_MAX, 7, 1u << 31}, back;
	struct slice text;
	struct buf b;
	size_t i;

	buf_init(&b);
	position_add(&b, &p);
	p.partition = 8;
	position_add(&b, &p);
	text = buf_slice(&b);
	cr_assert_eq(position_next(&text, &back), 1);
	cr_assert_eq(back.incarnation, UINT64_MAX);
	cr_assert_eq(back.partition, 7);
	cr_assert_eq(back.offset, 1u << 31);
	cr_assert_eq(position_next(&text, &back), 1);
	cr_assert_eq(back.partition, 8);
	cr_assert_eq(position_next(&text, &back), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		text = slice_str(bad[i]);
		cr_expect_eq(position_next(&text, &back), -1, "%s", bad[i]);
	}
	buf_fini(&b);
}

Test(topics, match_and_remember)
{
	char *filters[] = {"a/+", "b/#"};
	struct topics *t = topics_new(filters, 2), *all = topics_parse("[]");
	char topic[32];
	int i, round;

	for (round = 0; round < 2; round++)
		for (i = 0; i < 2000; i++) {
			snprintf(topic, sizeof(topic), "%c/%d",
			    "abc"[i % 3], i);
			cr_assert_eq(topics_match(t, slice_str(topic)),
			    i % 3 != 2);
			cr_assert(topics_match(all, slice_str(topic)));
		}
	topics_free(t);
	t = topics_parse("[\"x/#\"]");
	cr_assert(topics_match(t, SLICE_LIT("x/y")));
	cr_assert_not(topics_match(t, SLICE_LIT("y/x")));
	topics_free(t);
	topics_free(all);
}

/* What is copied in is whole, however it is spread over the memory. */
Test(batch, keeps_records_as_they_were)
{
	struct batch *b = batch_new(1, 2, 3, 4);
	struct record_header h[2] = {{SLICE_LIT("n"), SLICE_LIT("v")},
	    {SLICE_LIT("m"), SLICE_EMPTY}};
	static char payload[100000];
	struct record rec;
	size_t i, j;

	for (i = 0; i < 300; i++) {
		memset(payload, (int)i, i * 300);
		rec = (struct record){.topic = SLICE_LIT("t"),
		    .key = SLICE_LIT("k"),
		    .payload = slice_of(payload, i * 300), .offset = i,
		    .headers = h, .headers_len = i % 3,
		    .correlation_data = SLICE_EMPTY};
		batch_add(b, &rec);
	}
	memset(payload, 'x', sizeof(payload));
	batch_seal(b, 300);
	cr_assert_eq(b->tally.matched, 300);
	for (i = 0; i < 300; i++) {
		const struct record *r = b->items[i].pub.rec;

		cr_assert_eq(r->offset, i);
		cr_assert_eq(r->payload.len, i * 300);
		for (j = 0; j < r->payload.len; j++)
			cr_assert_eq(r->payload.p[j], (uint8_t)i);
		cr_assert(slice_is(r->topic, "t") && slice_is(r->key, "k"));
		cr_assert(slice_is_null(r->username));
		cr_assert_not(slice_is_null(r->correlation_data));
		cr_assert_eq(r->headers_len, i % 3);
		if (i % 3 == 2)
			cr_assert(slice_is(r->headers[1].name, "m") &&
			    slice_is(r->headers[0].value, "v"));
	}
	batch_free(b);
}
