#include "base/record_json.h"

#include "base/encode.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

static const char *const field_names[] = {
#define RECORD_FIELD(ID, name, kind, text) #name,
#include "base/record_fields.def"
#undef RECORD_FIELD
};

/* As members begin in the default JSON. */
static const struct slice field_opens[] = {
#define RECORD_FIELD(ID, name, kind, text) \
	{(const uint8_t *)"\"" #name "\":", sizeof("\"" #name "\":") - 1},
#include "base/record_fields.def"
#undef RECORD_FIELD
};

static const enum value_kind field_kinds[] = {
#define RECORD_FIELD(ID, name, kind, text) VALUE_##kind,
#include "base/record_fields.def"
#undef RECORD_FIELD
};

const char *
record_field_name(enum record_field field)
{
	return field_names[field];
}

enum record_field
record_field_find(struct slice name)
{
	enum record_field field;

	for (field = 0; field < FIELD_COUNT; field++)
		if (slice_is(name, field_names[field]))
			break;
	return field;
}

struct slice
record_header_find(const struct record *rec, struct slice name)
{
	size_t i;

	for (i = 0; i < rec->headers_len; i++)
		if (slice_eq(rec->headers[i].name, name))
			return rec->headers[i].value;
	return SLICE_NULL;
}

static struct slice
field_text(const struct record *rec, enum record_field field)
{
	switch (field) {
	case FIELD_TOPIC:
		return rec->topic;
	case FIELD_PAYLOAD:
		return rec->payload;
	case FIELD_KEY:
		return rec->key;
	case FIELD_CLIENT_ID:
		return rec->client_id;
	case FIELD_USERNAME:
		return rec->username;
	case FIELD_PROTOCOL:
		return rec->protocol;
	case FIELD_CONTENT_TYPE:
		return rec->content_type;
	case FIELD_RESPONSE_TOPIC:
		return rec->response_topic;
	case FIELD_CORRELATION_DATA:
		return rec->correlation_data;
	case FIELD_STREAM:
		return rec->stream;
	case FIELD_RETAIN:
		return rec->retain ? SLICE_LIT("true") : SLICE_LIT("false");
	case FIELD_ID:
	case FIELD_QOS:
	case FIELD_TIMESTAMP_MS:
	case FIELD_HEADERS:
	case FIELD_PARTITION:
	case FIELD_OFFSET:
	case FIELD_COUNT:
		break;
	}
	return SLICE_NULL;
}

/* A string where it can be one, else an object with its base64. */
static void
add_text_or_base64(struct buf *b, struct slice s)
{
	if (utf8_check(s)) {
		json_add_string(b, s);
		return;
	}
	buf_add_str(b, "{\"base64\":\"");
	base64_add(b, s);
	buf_add_str(b, "\"}");
}

/* Headers of one name: from the first to each next. */
struct header_link {
	size_t next;		/* 0: none */
	bool is_repeat;		/* not the first of its name */
};

/* Above this a quadratic search would let a client hold its reader up. */
#define HEADERS_FEW 16

static int
header_order(const void *a, const void *b, void *arg)
{
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	struct slice x = ((const struct record_header *)arg)[i].name;
	struct slice y = ((const struct record_header *)arg)[j].name;
	int order;

	if (x.len != y.len)
		return x.len < y.len ? -1 : 1;
	order = x.len == 0 ? 0 : memcmp(x.p, y.p, x.len);
	return order != 0 ? order : i < j ? -1 : i > j;
}

static void
link_few(const struct record *rec, struct header_link *links)
{
	size_t i, j;

	for (i = 1; i < rec->headers_len; i++)
		for (j = i; j-- > 0;) {
			if (!slice_eq(rec->headers[j].name,
			    rec->headers[i].name))
				continue;
			links[j].next = i;
			links[i].is_repeat = true;
			break;
		}
}

static void
link_many(const struct record *rec, struct header_link *links)
{
	size_t i, n = rec->headers_len, *sorted = mem_zalloc(n, sizeof(*sorted));

	for (i = 0; i < n; i++)
		sorted[i] = i;
	qsort_r(sorted, n, sizeof(*sorted), header_order,
	    (void *)(uintptr_t)rec->headers);
	for (i = 1; i < n; i++) {
		if (!slice_eq(rec->headers[sorted[i - 1]].name,
		    rec->headers[sorted[i]].name))
			continue;
		links[sorted[i - 1]].next = sorted[i];
		links[sorted[i]].is_repeat = true;
	}
	free(sorted);
}

static void
add_header_values(struct buf *b, const struct record *rec,
    const struct header_link *links, size_t i)
{
	bool is_list = links[i].next != 0;

	if (is_list)
		buf_add_u8(b, '[');
	for (;;) {
		add_text_or_base64(b, rec->headers[i].value);
		i = links[i].next;
		if (i == 0)
			break;
		buf_add_u8(b, ',');
	}
	if (is_list)
		buf_add_u8(b, ']');
}

static void
add_headers(struct buf *b, const struct record *rec)
{
	struct header_link few[HEADERS_FEW] = {{0}}, *links = few;
	bool is_first = true;
	size_t i;

	if (rec->headers_len > HEADERS_FEW) {
		links = mem_zalloc(rec->headers_len, sizeof(*links));
		link_many(rec, links);
	} else
		link_few(rec, links);
	buf_add_u8(b, '{');
	for (i = 0; i < rec->headers_len; i++) {
		if (links[i].is_repeat || !utf8_check(rec->headers[i].name))
			continue;
		if (!is_first)
			buf_add_u8(b, ',');
		is_first = false;
		json_add_string(b, rec->headers[i].name);
		buf_add_u8(b, ':');
		add_header_values(b, rec, links, i);
	}
	buf_add_u8(b, '}');
	if (links != few)
		free(links);
}

static void
add_id(struct buf *b, const struct record *rec)
{
	static const char hex[] = "0123456789abcdef";
	uint8_t *p;
	int i;

	buf_add_slice(b, rec->stream);
	p = buf_reserve(b, 18);
	p[0] = '.';
	for (i = 0; i < 16; i++)
		p[1 + i] = (uint8_t)hex[rec->incarnation >> (60 - 4 * i) & 15];
	p[17] = '-';
	buf_commit(b, 18);
	buf_add_u64(b, rec->partition);
	buf_add_u8(b, '-');
	buf_add_u64(b, rec->offset);
}

/* What is not text in the record. */
static void
add_made_text(struct buf *b, const struct record *rec,
    enum record_field field)
{
	if (field == FIELD_ID)
		add_id(b, rec);
	else if (field == FIELD_QOS)
		buf_add_u64(b, rec->qos);
	else if (field == FIELD_TIMESTAMP_MS)
		buf_add_i64(b, rec->timestamp_ms);
	else if (field == FIELD_PARTITION)
		buf_add_u64(b, rec->partition);
	else if (field == FIELD_OFFSET)
		buf_add_u64(b, rec->offset);
	else if (field == FIELD_HEADERS)
		add_headers(b, rec);
}

static bool
field_is_made(enum record_field field)
{
	return field == FIELD_ID || field == FIELD_QOS ||
	    field == FIELD_TIMESTAMP_MS || field == FIELD_PARTITION ||
	    field == FIELD_OFFSET || field == FIELD_HEADERS;
}

struct value
record_field_value(const struct record *rec, enum record_field field,
    struct buf *scratch)
{
	struct value v = {field_kinds[field], SLICE_NULL};

	if (field_is_made(field)) {
		buf_clear(scratch);
		add_made_text(scratch, rec, field);
		v.text = buf_slice(scratch);
		return v;
	}
	v.text = field_text(rec, field);
	if (slice_is_null(v.text))
		v.kind = VALUE_NULL;
	return v;
}

static void
add_base64_member(struct buf *b, enum record_field field, struct slice text)
{
	buf_add(b, field_opens[field].p, field_opens[field].len - 2);
	buf_add_str(b, "_base64\":\"");
	base64_add(b, text);
	buf_add_u8(b, '"');
}

static void
add_member(struct buf *b, const struct record *rec, enum record_field field,
    struct slice json)
{
	struct slice text = field_text(rec, field);

	if (!slice_is_null(text) && slice_is_null(json) &&
	    field_kinds[field] != VALUE_BOOL && !utf8_check(text)) {
		add_base64_member(b, field, text);
		return;
	}
	buf_add_slice(b, field_opens[field]);
	if (field == FIELD_ID) {
		buf_add_u8(b, '"');
		add_id(b, rec);
		buf_add_u8(b, '"');
	} else if (field_is_made(field)) {
		add_made_text(b, rec, field);
	} else if (slice_is_null(text)) {
		buf_add(b, "null", 4);
	} else if (field_kinds[field] == VALUE_BOOL) {
		buf_add_slice(b, text);
	} else if (!slice_is_null(json)) {
		json_add_compact(b, json);
	} else {
		json_add_string(b, text);
	}
}

void
record_json_add(struct buf *b, const struct record *rec, struct slice json)
{
	enum record_field field;

	for (field = 0; field < FIELD_COUNT; field++) {
		buf_add_u8(b, field == 0 ? '{' : ',');
		add_member(b, rec, field,
		    field == FIELD_PAYLOAD ? json : SLICE_NULL);
	}
	buf_add_u8(b, '}');
}
