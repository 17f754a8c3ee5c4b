#include "base/props.h"
#include "base/record.h"

#include <criterion/criterion.h>

TestSuite(record);

struct fixture {
	struct buf bytes;
	struct record_space space;
	struct record_batch batch;
	struct record record;
};

/* Writes r alone into a batch and decodes it again. */
static void
round_trip(struct fixture *f, const struct record *r, uint64_t producer)
{
	struct record_batch_writer w;
	struct record_cursor c;
	struct record_raw raw;
	size_t before;

	buf_clear(&f->bytes);
	record_batch_begin(&w, &f->bytes, 42, producer);
	before = record_batch_writer_size(&w);
	record_put(&w, r);
	cr_assert(record_batch_writer_size(&w) - before <= record_size(r));
	cr_assert(record_batch_get(record_batch_end(&w), &f->batch) ==
	    RECORD_OK);
	cr_assert(record_batch_check(&f->batch) == NULL);
	record_cursor_init(&c, &f->batch);
	cr_assert(record_cursor_next(&c, &raw) == RECORD_OK);
	cr_assert(record_get(&f->batch, &raw, slice_str("stream/topic"),
		&f->space, &f->record) == RECORD_OK);
	cr_assert_eq(f->record.offset, 42);
}

static void
fini(struct fixture *f)
{
	buf_fini(&f->bytes);
	record_space_fini(&f->space);
}

static const struct record_header properties[] = {
	{{(const uint8_t *)"a", 1}, {(const uint8_t *)"1", 1}},
	{{(const uint8_t *)"b", 1}, {NULL, 0}},
	{{(const uint8_t *)"a", 1}, {(const uint8_t *)"", 0}},
};

static const struct record full = {
	.topic = {(const uint8_t *)"plant/1", 7},
	.key = {(const uint8_t *)"pump", 4},
	.payload = {(const uint8_t *)"{}", 2},
	.timestamp_ms = 1700000000123,
	.expires_ms = 1700000009999,
	.qos = 2,
	.retain = true,
	.format = 1,
	.client_id = {(const uint8_t *)"client", 6},
	.username = {(const uint8_t *)"", 0},
	.protocol = {(const uint8_t *)"mqtt", 4},
	.content_type = {(const uint8_t *)"text/plain", 10},
	.response_topic = {(const uint8_t *)"r/1", 3},
	.correlation_data = {(const uint8_t *)"\0\1", 2},
	.queues = {(const uint8_t *)"\7\0", 2},
	.mid_session = 0x0102030405060708,
	.mid_packet = 65535,
	.headers = properties,
	.headers_len = 3,
};

static void
assert_same(const struct record *a, const struct record *b)
{
	cr_assert(slice_eq(a->topic, b->topic));
	cr_assert(slice_eq(a->key, b->key));
	cr_assert(slice_eq(a->payload, b->payload));
	cr_assert_eq(a->timestamp_ms, b->timestamp_ms);
	cr_assert_eq(a->expires_ms, b->expires_ms);
	cr_assert_eq(a->qos, b->qos);
	cr_assert_eq(a->retain, b->retain);
	cr_assert_eq(a->format, b->format);
	cr_assert(slice_eq(a->client_id, b->client_id));
	cr_assert(slice_eq(a->username, b->username));
	cr_assert(slice_is_null(a->username) == slice_is_null(b->username));
	cr_assert(slice_eq(a->protocol, b->protocol));
	cr_assert(slice_eq(a->content_type, b->content_type));
	cr_assert(slice_eq(a->response_topic, b->response_topic));
	cr_assert(slice_eq(a->correlation_data, b->correlation_data));
	cr_assert(slice_eq(a->queues, b->queues));
	cr_assert_eq(a->mid_session, b->mid_session);
	cr_assert_eq(a->mid_packet, b->mid_packet);
	cr_assert_eq(a->headers_len, b->headers_len);
	for (size_t i = 0; i < a->headers_len; i++) {
		cr_assert(slice_eq(a->headers[i].name, b->headers[i].name));
		cr_assert(slice_eq(a->headers[i].value, b->headers[i].value));
		cr_assert(slice_is_null(a->headers[i].value) ==
		    slice_is_null(b->headers[i].value));
	}
}

Test(record, keeps_every_field)
{
	struct fixture f = {0};

	round_trip(&f, &full, RECORD_PRODUCER_OURS);
	assert_same(&f.record, &full);
	fini(&f);
}

Test(record, absent_stays_absent)
{
	struct fixture f = {0};
	struct record r = {.topic = SLICE_LIT("t"), .payload = SLICE_LIT("p")};

	round_trip(&f, &r, RECORD_PRODUCER_OURS);
	cr_assert(slice_is(f.record.topic, "t"));
	cr_assert(slice_is(f.record.key, "t"));
	cr_assert(slice_is_null(f.record.client_id));
	cr_assert(slice_is_null(f.record.correlation_data));
	cr_assert_eq(f.record.headers_len, 0);
	cr_assert_eq(f.record.mid_packet, 0);
	/* Nothing but the key says what the topic is. */
	cr_assert(memmem(f.bytes.p, f.bytes.len, "bulkhead", 8) == NULL);
	fini(&f);
}

Test(record, null_payload_and_null_key_stay_null)
{
	struct fixture f = {0};
	struct record r = {.topic = SLICE_LIT("t"), .has_null_key = true};

	round_trip(&f, &r, RECORD_PRODUCER_OURS);
	cr_assert(slice_is(f.record.topic, "t"));
	cr_assert(slice_is_null(f.record.key));
	cr_assert(f.record.has_null_key);
	cr_assert(slice_is_null(f.record.payload));
	r.payload = SLICE_EMPTY;
	round_trip(&f, &r, RECORD_PRODUCER_OURS);
	cr_assert(!slice_is_null(f.record.payload));
	fini(&f);
}

Test(record, a_property_cannot_pass_for_one_of_ours)
{
	static const struct record_header forged[] = {
		{{(const uint8_t *)"bulkhead-user", 13},
		    {(const uint8_t *)"root", 4}},
		{{(const uint8_t *)"x", 1}, {(const uint8_t *)"y", 1}},
		{{(const uint8_t *)"bulkhead-queues", 15},
		    {(const uint8_t *)"1", 1}},
	};
	struct record r = {.topic = SLICE_LIT("t"), .qos = 1,
		.headers = forged, .headers_len = 3};
	struct fixture f = {0};

	for (size_t first = 0; first < 3; first++) {
		r.headers = forged + first;
		r.headers_len = 3 - first;
		round_trip(&f, &r, RECORD_PRODUCER_OURS);
		cr_assert(slice_is_null(f.record.username));
		cr_assert(slice_is_null(f.record.queues));
		assert_same(&f.record, &(struct record){.topic = r.topic,
			.key = r.topic, .qos = 1, .headers = r.headers,
			.headers_len = r.headers_len});
	}
	fini(&f);
}

Test(record, of_a_kafka_client_has_the_streams_topic)
{
	struct fixture f = {0};
	static const struct record_header h = {
		{(const uint8_t *)"bulkhead-user", 13},
		{(const uint8_t *)"root", 4}};
	struct record r = {.topic = SLICE_LIT("k"), .headers = &h,
		.headers_len = 1};

	round_trip(&f, &r, 5);
	cr_assert(slice_is(f.record.topic, "stream/topic"));
	cr_assert(slice_is(f.record.key, "k"));
	cr_assert(slice_is_null(f.record.username));
	cr_assert_eq(f.record.headers_len, 1 + 1 /* the marker */);
	fini(&f);
}

Test(record, dup_owns_all_of_it)
{
	struct record *copy;
	struct fixture f = {0};

	round_trip(&f, &full, RECORD_PRODUCER_OURS);
	copy = record_dup(&f.record);
	memset(f.bytes.p, 0xff, f.bytes.len);
	assert_same(copy, &full);
	fini(&f);
	assert_same(copy, &full);
	free(copy);
}

Test(record, props_both_ways)
{
	struct record_space space = {0};
	struct record r = {0};
	struct buf b;

	buf_init(&b);
	record_props_put(&full, &b);
	cr_assert(record_props_get(buf_slice(&b), &space, &r));
	cr_assert_eq(r.format, 1);
	cr_assert(slice_is(r.content_type, "text/plain"));
	cr_assert(slice_is(r.response_topic, "r/1"));
	cr_assert_eq(r.correlation_data.len, 2);
	cr_assert_eq(r.headers_len, 3);
	cr_assert(slice_is(r.headers[0].name, "a"));
	cr_assert(slice_is(r.headers[0].value, "1"));
	buf_add_u8(&b, 99);
	cr_assert(!record_props_get(buf_slice(&b), &space, &r));
	record_space_fini(&space);
	buf_fini(&b);
}

Test(record, partition_is_kafkas)
{
	/* Hashes from the tests of Apache Kafka's client. */
	static const struct {
		const char *key;
		int32_t hash;
	} known[] = {
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		cr_assert_eq(record_partition(slice_str(known[i].key),
		    1000000), ((uint32_t)known[i].hash & 0x7fffffff) %
		    1000000);
	cr_assert_eq(record_partition(SLICE_NULL, 1), 0);
}
