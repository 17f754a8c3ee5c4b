#include "base/record.h"

#include "base/mem.h"
#include "base/props.h"

#include <endian.h>
#include <stdlib.h>

enum header_id {
#define RECORD_HEADER(id, name, text) HEADER_##id,
#include "base/record_headers.def"
#undef RECORD_HEADER
	HEADERS
};

/*
 * Each name as it stands in a record, its length in front, in a field of one
 * size: it is copied as a whole (open_record leaves room for that).
 */
#define NAME_FIELD 32
static const struct {
	uint8_t size;		/* of the length and the name */
	char field[NAME_FIELD];
} header_names[HEADERS] = {
#define RECORD_HEADER(id, name, text) \
	[HEADER_##id] = {sizeof(name), "\0" name},
#include "base/record_headers.def"
#undef RECORD_HEADER
};
_Static_assert(RECORD_ROOM >= NAME_FIELD, "a name is copied as a whole");

static struct slice
header_name(size_t id)
{
	return slice_of(header_names[id].field + 1,
	    header_names[id].size - 1u);
}

#define PREFIX "bulkhead-"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define MID_SIZE 10

/* The values of our headers, null where absent, and bytes that they need. */
struct header_values {
	struct slice v[HEADERS];
	char qos[1], expiry[20], format[3];
	uint8_t mid[MID_SIZE];
};

static bool
has_prefix(struct slice name)
{
	return name.len >= PREFIX_LEN &&
	    memcmp(name.p, PREFIX, PREFIX_LEN) == 0;
}

/* v in decimal at the end of p[n]. */
static struct slice
decimal_put(char *p, size_t n, uint64_t v)
{
	size_t at = n;

	do {
		p[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0 && at > 0);
	return slice_of(p + at, n - at);
}

static uint64_t
decimal_get(struct slice s, uint64_t max)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)s.p[i] - '0';

		if (digit > 9 || v > (max - digit) / 10)
			return 0;
		v = v * 10 + digit;
	}
	return v;
}

static struct slice
mid_put(uint8_t *p, uint64_t session, uint16_t packet)
{
	session = htobe64(session);
	packet = htobe16(packet);
	memcpy(p, &session, 8);
	memcpy(p + 8, &packet, 2);
	return slice_of(p, MID_SIZE);
}

static struct slice
record_key(const struct record *r)
{
	return slice_is_null(r->key) && !r->has_null_key ? r->topic : r->key;
}

/* The values as they are to be written; h must outlive the use of h->v. */
static void
header_values_init(struct header_values *h, const struct record *r)
{
	struct slice key = record_key(r);
	struct slice *v = h->v;
	bool is_key = (key.p == r->topic.p && key.len == r->topic.len) ||
	    (!slice_is_null(key) && slice_eq(key, r->topic));

	v[HEADER_TOPIC] = is_key ? SLICE_NULL : r->topic;
	v[HEADER_QOS] = r->qos == 0 ? SLICE_NULL
	    : decimal_put(h->qos, sizeof(h->qos), r->qos);
	v[HEADER_RETAIN] = r->retain ? SLICE_LIT("1") : SLICE_NULL;
	v[HEADER_CLIENT] = r->client_id;
	v[HEADER_USER] = r->username;
	v[HEADER_PROTOCOL] = r->protocol;
	v[HEADER_CONTENT_TYPE] = r->content_type;
	v[HEADER_RESPONSE_TOPIC] = r->response_topic;
	v[HEADER_CORRELATION] = r->correlation_data;
	v[HEADER_EXPIRY] = r->expires_ms == 0 ? SLICE_NULL
	    : decimal_put(h->expiry, sizeof(h->expiry), r->expires_ms);
	v[HEADER_MID] = r->mid_packet == 0 ? SLICE_NULL
	    : mid_put(h->mid, r->mid_session, r->mid_packet);
	v[HEADER_QUEUES] = r->queues;
	v[HEADER_FORMAT] = r->format == 0 ? SLICE_NULL
	    : decimal_put(h->format, sizeof(h->format), r->format);
	v[HEADER_PROPERTIES] = r->headers_len > 0 &&
		has_prefix(r->headers[0].name) ? SLICE_EMPTY : SLICE_NULL;
}

static void
header_values_get(const struct slice *v, struct record *r)
{
	if (!slice_is_null(v[HEADER_TOPIC]))
		r->topic = v[HEADER_TOPIC];
	r->qos = (uint8_t)decimal_get(v[HEADER_QOS], 2);
	r->retain = !slice_is_null(v[HEADER_RETAIN]);
	r->client_id = v[HEADER_CLIENT];
	r->username = v[HEADER_USER];
	r->protocol = v[HEADER_PROTOCOL];
	r->content_type = v[HEADER_CONTENT_TYPE];
	r->response_topic = v[HEADER_RESPONSE_TOPIC];
	r->correlation_data = v[HEADER_CORRELATION];
	r->expires_ms = decimal_get(v[HEADER_EXPIRY], UINT64_MAX);
	if (v[HEADER_MID].len == MID_SIZE) {
		memcpy(&r->mid_session, v[HEADER_MID].p, 8);
		memcpy(&r->mid_packet, v[HEADER_MID].p + 8, 2);
		r->mid_session = be64toh(r->mid_session);
		r->mid_packet = be16toh(r->mid_packet);
	}
	r->queues = v[HEADER_QUEUES];
	r->format = (uint8_t)decimal_get(v[HEADER_FORMAT], UINT8_MAX);
}

/* Bytes of all headers with their count; *n: how many. */
static size_t
headers_size(const struct record *r, const struct slice *v, size_t *n)
{
	size_t size = 0;

	*n = r->headers_len;
	for (size_t i = 0; i < HEADERS; i++) {
		if (slice_is_null(v[i]))
			continue;
		size += header_names[i].size + record_bytes_size(v[i]);
		++*n;
	}
	for (size_t i = 0; i < r->headers_len; i++)
		size += record_bytes_size(r->headers[i].name) +
		    record_bytes_size(r->headers[i].value);
	return size + varint_size((int64_t)*n);
}

static uint8_t *
headers_put(uint8_t *p, const struct record *r, const struct slice *v,
    size_t n)
{
	p = varint_put(p, (int64_t)n);
	for (size_t i = 0; i < HEADERS; i++) {
		if (slice_is_null(v[i]))
			continue;
		memcpy(p, header_names[i].field, NAME_FIELD);
		/* Shorter than 64: a zigzag varint of one byte. */
		*p = (uint8_t)((header_names[i].size - 1u) << 1);
		p = record_bytes_put(p + header_names[i].size, v[i]);
	}
	for (size_t i = 0; i < r->headers_len; i++) {
		p = record_bytes_put(p, r->headers[i].name);
		p = record_bytes_put(p, r->headers[i].value);
	}
	return p;
}

/* Per header: its name, and a length of the name and of the value. */
#define HEADER_MAX (27 + 1 + 5)
/* Length, attributes, timestamp, delta, two lengths, count of headers. */
#define RECORD_FIXED_MAX (5 + 1 + 10 + 5 + 5 + 5 + 5)

size_t
record_size(const struct record *r)
{
	size_t n = RECORD_FIXED_MAX + HEADERS * HEADER_MAX + 64;

	/* The topic twice: as the key and as a header. */
	n += r->topic.len * 2 + r->key.len + r->payload.len +
	    r->client_id.len + r->username.len + r->protocol.len +
	    r->content_type.len + r->response_topic.len +
	    r->correlation_data.len + r->queues.len;
	for (size_t i = 0; i < r->headers_len; i++)
		n += r->headers[i].name.len + r->headers[i].value.len + 10;
	return n;
}

void
record_put(struct record_batch_writer *w, const struct record *r)
{
	struct header_values h;
	struct slice key = record_key(r);
	uint8_t *p, *end;
	size_t n, size;

	header_values_init(&h, r);
	size = headers_size(r, h.v, &n) + record_bytes_size(key) +
	    record_bytes_size(r->payload);
	p = record_batch_open_record(w, r->timestamp_ms, size, &end);
	p = record_bytes_put(p, key);
	p = record_bytes_put(p, r->payload);
	headers_put(p, r, h.v, n);
	record_batch_close_record(w, end);
}

/* ---- decoding ----------------------------------------------------------- */

void
record_space_fini(struct record_space *space)
{
	free(space->headers);
	*space = (struct record_space){0};
}

static void
space_add(struct record_space *space, size_t n, struct slice name,
    struct slice value)
{
	if (n == space->cap) {
		space->cap = n == 0 ? 8 : n * 2;
		space->headers = mem_realloc(space->headers,
		    space->cap * sizeof(*space->headers));
	}
	space->headers[n] = (struct record_header){name, value};
}

/* The first of ours from `from` on that has this name, or HEADERS. */
static size_t
header_find(struct slice name, size_t from)
{
	if (!has_prefix(name))
		return HEADERS;
	while (from < HEADERS && !slice_eq(header_name(from), name))
		from++;
	return from;
}

enum record_answer
record_get(const struct record_batch *b, const struct record_raw *raw,
    struct slice topic, struct record_space *space, struct record *r)
{
	struct record_raw rest = *raw;
	struct slice v[HEADERS] = {0}, name, value;
	bool is_ours = record_batch_is_ours(b);
	size_t next = is_ours ? 0 : HEADERS, n = 0;

	*r = (struct record){
		.offset = raw->offset,
		.topic = is_ours ? raw->key : topic,
		.key = raw->key,
		.has_null_key = slice_is_null(raw->key),
		.payload = raw->value,
		.timestamp_ms = raw->timestamp_ms,
	};
	while (record_raw_header_next(&rest, &name, &value)) {
		/* Ours come first, in the order of the table. */
		size_t id = next < HEADERS ? header_find(name, next) : HEADERS;

		next = id == HEADERS ? id : id + 1;
		if (id < HEADERS)
			v[id] = value;
		else
			space_add(space, n++, name, value);
	}
	if (rest.headers_len != 0 || rest.headers.len != 0)
		return RECORD_BAD;
	if (is_ours)
		header_values_get(v, r);
	if (slice_is_null(r->topic))
		r->topic = topic;
	r->headers = space->headers;
	r->headers_len = n;
	return RECORD_OK;
}

/* ---- copies ------------------------------------------------------------- */

#define RECORD_SLICES(X)                                                   \
	X(stream) X(topic) X(key) X(payload) X(client_id) X(username)      \
	X(protocol) X(content_type) X(response_topic) X(correlation_data)  \
	X(queues)

static void
copy_slice(struct slice *s, uint8_t **at)
{
	if (slice_is_null(*s))
		return;
	if (s->len > 0)
		memcpy(*at, s->p, s->len);
	s->p = *at;
	*at += s->len;
}

struct record *
record_dup(const struct record *r)
{
	size_t headers_size = r->headers_len * sizeof(*r->headers);
	size_t size = sizeof(*r) + headers_size;
	struct record_header *headers;
	struct record *copy;
	uint8_t *at;

#define X(field) size += r->field.len;
	RECORD_SLICES(X)
#undef X
	for (size_t i = 0; i < r->headers_len; i++)
		size += r->headers[i].name.len + r->headers[i].value.len;
	copy = mem_alloc(size);
	*copy = *r;
	headers = (struct record_header *)(copy + 1);
	at = (uint8_t *)headers + headers_size;
#define X(field) copy_slice(&copy->field, &at);
	RECORD_SLICES(X)
#undef X
	for (size_t i = 0; i < r->headers_len; i++) {
		headers[i] = r->headers[i];
		copy_slice(&headers[i].name, &at);
		copy_slice(&headers[i].value, &at);
	}
	copy->headers = headers;
	return copy;
}

/* ---- props -------------------------------------------------------------- */

bool
record_props_get(struct slice props, struct record_space *space,
    struct record *r)
{
	struct prop prop;
	size_t n = 0;
	int answer;

	while ((answer = props_next(&props, &prop)) == 1) {
		switch (prop.tag) {
		case PROP_FORMAT:
			r->format = prop.value.len == 1 ? prop.value.p[0] : 0;
			break;
		case PROP_CONTENT_TYPE:
			r->content_type = prop.value;
			break;
		case PROP_RESPONSE_TOPIC:
			r->response_topic = prop.value;
			break;
		case PROP_CORRELATION:
			r->correlation_data = prop.value;
			break;
		case PROP_HEADER:
			space_add(space, n++, prop.name, prop.value);
			break;
		}
	}
	r->headers = space->headers;
	r->headers_len = n;
	return answer == 0;
}

void
record_props_put(const struct record *r, struct buf *out)
{
	if (r->format > 0)
		props_add(out, PROP_FORMAT, slice_of(&r->format, 1));
	if (!slice_is_null(r->content_type))
		props_add(out, PROP_CONTENT_TYPE, r->content_type);
	if (!slice_is_null(r->response_topic))
		props_add(out, PROP_RESPONSE_TOPIC, r->response_topic);
	if (!slice_is_null(r->correlation_data))
		props_add(out, PROP_CORRELATION, r->correlation_data);
	for (size_t i = 0; i < r->headers_len; i++)
		if (r->headers[i].name.len <= UINT16_MAX)
			props_add_header(out, r->headers[i].name,
			    r->headers[i].value);
}

/* ---- partition ---------------------------------------------------------- */

/* murmur2 with Kafka's seed, over little-endian words. */
static uint32_t
murmur2(struct slice key)
{
	const uint32_t m = 0x5bd1e995;
	uint32_t h = 0x9747b28cu ^ (uint32_t)key.len, k;
	const uint8_t *p = key.p;
	size_t n = key.len;

	for (; n >= 4; n -= 4, p += 4) {
		memcpy(&k, p, 4);
		k = le32toh(k) * m;
		k ^= k >> 24;
		h = (h * m) ^ (k * m);
	}
	for (size_t i = n; i > 0; i--)
		h ^= (uint32_t)p[i - 1] << (8 * (i - 1));
	if (n > 0)
		h *= m;
	h ^= h >> 13;
	h *= m;
	return h ^ h >> 15;
}

uint32_t
record_partition(struct slice key, uint32_t n)
{
	return n <= 1 ? 0 : (murmur2(key) & 0x7fffffff) % n;
}
