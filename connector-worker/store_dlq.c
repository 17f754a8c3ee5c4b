#include "connector-worker/store_room.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/log_layout.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

/* Columns of the SELECTs: the row's number, then DLQ_COLUMNS. */
enum column {
	C_ROW, C_ID, C_CONNECTOR, C_INCARNATION, C_PARTITION, C_VERSION,
	C_EPOCH, C_STREAM, C_OFFSET, C_TOPIC, C_KEY, C_PAYLOAD, C_QOS,
	C_RETAIN, C_CLIENT_ID, C_USERNAME, C_PROTOCOL, C_TIMESTAMP, C_HEADERS,
	C_CONTENT_TYPE, C_RESPONSE_TOPIC, C_CORRELATION, C_ERROR,
	C_ERROR_CLASS, C_TRIES, C_FIRST_FAILURE, C_LAST_FAILURE,
};

/* [["name", "value"], ["name", {"base64": ".."}], ...]: in order, exact. */
static void
headers_put(struct buf *b, const struct record *rec)
{
	struct slice parts[2];
	size_t i, j;

	buf_add_u8(b, '[');
	for (i = 0; i < rec->headers_len; i++) {
		buf_add_str(b, i == 0 ? "[" : ",[");
		parts[0] = rec->headers[i].name;
		parts[1] = rec->headers[i].value;
		for (j = 0; j < 2; j++) {
			if (j > 0)
				buf_add_u8(b, ',');
			if (utf8_check(parts[j])) {
				json_add_string(b, parts[j]);
				continue;
			}
			buf_add_str(b, "{\"base64\":\"");
			base64_add(b, parts[j]);
			buf_add_str(b, "\"}");
		}
		buf_add_u8(b, ']');
	}
	buf_add_u8(b, ']');
}

/* A string or {"base64"} back to its bytes, at the end of b. */
static void
header_text_get(struct buf *b, struct slice json)
{
	struct slice name, value;
	struct buf raw;
	size_t at = 0;

	if (json_kind_of(json) == JSON_STRING) {
		json_add_unquoted(b, json);
	} else if (json_kind_of(json) == JSON_OBJECT &&
	    json_member_next(json, &at, &name, &value) &&
	    json_kind_of(value) == JSON_STRING) {
		buf_init(&raw);
		json_add_unquoted(&raw, value);
		base64_decode(b, buf_slice(&raw));
		buf_fini(&raw);
	}
}

/*
 * The headers of a row: their bytes go to b, their places to *headers
 * (free it); pointers are right once b does not grow any more.
 */
static size_t
headers_get(struct slice text, struct buf *b, struct record_header **headers)
{
	struct slice json, pair, name, value, none;
	size_t at = 0, in, n = 0, i, cap = 0, *ends = NULL, from;

	if (!json_value(text, &json) || json_kind_of(json) != JSON_ARRAY)
		return 0;
	while (json_member_next(json, &at, &none, &pair)) {
		in = 0;
		if (json_kind_of(pair) != JSON_ARRAY ||
		    !json_member_next(pair, &in, &none, &name) ||
		    !json_member_next(pair, &in, &none, &value))
			continue;
		if (n + 2 > cap) {
			cap = cap == 0 ? 16 : cap * 2;
			ends = mem_realloc(ends, cap * sizeof(*ends));
		}
		header_text_get(b, name);
		ends[n++] = buf_len(b);
		header_text_get(b, value);
		ends[n++] = buf_len(b);
	}
	*headers = mem_zalloc(n / 2 + 1, sizeof(**headers));
	for (i = 0, from = 0; i < n; from = ends[i], i++) {
		struct slice s = slice_of(buf_data(b) + from, ends[i] - from);

		if (i % 2 == 0)
			(*headers)[i / 2].name = s;
		else
			(*headers)[i / 2].value = s;
	}
	free(ends);
	return n / 2;
}

static void
dead_bind_record(struct db_stmt *st, const struct record *rec,
    struct buf *headers)
{
	db_bind_text(st, C_STREAM, rec->stream);
	db_bind_u64(st, C_OFFSET, rec->offset);
	db_bind_text(st, C_TOPIC, rec->topic);
	db_bind_blob(st, C_KEY, rec->key);
	db_bind_blob(st, C_PAYLOAD, rec->payload);
	db_bind_u64(st, C_QOS, rec->qos);
	db_bind_u64(st, C_RETAIN, rec->retain);
	db_bind_text(st, C_CLIENT_ID, rec->client_id);
	db_bind_text(st, C_USERNAME, rec->username);
	db_bind_text(st, C_PROTOCOL, rec->protocol);
	db_bind_i64(st, C_TIMESTAMP, rec->timestamp_ms);
	headers_put(headers, rec);
	db_bind_text(st, C_HEADERS, buf_slice(headers));
	db_bind_text(st, C_CONTENT_TYPE, rec->content_type);
	db_bind_text(st, C_RESPONSE_TOPIC, rec->response_topic);
	db_bind_blob(st, C_CORRELATION, rec->correlation_data);
}

bool
store_put_dead(struct store *s, const struct ledger_key *key,
    const char *connector, const struct dead *d)
{
	struct db_stmt *st = s->st[ST_DLQ_PUT];
	const struct record *rec = d->rec;
	struct log_id id = {rec->stream, rec->incarnation, rec->partition,
	    rec->offset};
	struct buf headers;
	char text[LOG_ID_MAX];
	bool is_good;

	buf_init(&headers);
	log_id_put(&id, text);
	/* Parameters count from 1, as the columns after the row's number. */
	db_bind_str(st, C_ID, text);
	db_bind_str(st, C_CONNECTOR, connector);
	db_bind_u64(st, C_INCARNATION, key->incarnation);
	db_bind_u64(st, C_PARTITION, key->partition);
	db_bind_u64(st, C_VERSION, key->version);
	db_bind_u64(st, C_EPOCH, key->epoch);
	dead_bind_record(st, rec, &headers);
	db_bind_str(st, C_ERROR, d->reason);
	db_bind_str(st, C_ERROR_CLASS, d->error_class);
	db_bind_u64(st, C_TRIES, d->tries);
	db_bind_u64(st, C_FIRST_FAILURE, d->first_failure_ms);
	db_bind_u64(st, C_LAST_FAILURE, d->last_failure_ms);
	is_good = db_run(st) == 0;
	buf_fini(&headers);
	return is_good;
}

uint64_t
store_dlq_count(struct store *s)
{
	struct db_stmt *st = s->st[ST_DLQ_COUNT];
	uint64_t n = 0;

	if (db_step(st) == 1)
		n = db_column_u64(st, 0);
	db_reset(st);
	return n;
}

int64_t
store_dlq_last(struct store *s)
{
	struct db_stmt *st = s->st[ST_DLQ_LAST];
	int64_t row = 0;

	if (db_step(st) == 1)
		row = db_column_i64(st, 0);
	db_reset(st);
	return row;
}

static void
row_add_text(struct json_object *o, const char *name, struct db_stmt *st,
    enum column c)
{
	if (db_column_is_null(st, (int)c))
		json_object_object_add(o, name, NULL);
	else
		json_add_slice(o, name, db_column_text(st, (int)c));
}

/* A blob as text where it is UTF-8, else NAME_base64. */
static void
row_add_bytes(struct json_object *o, const char *name, struct db_stmt *st,
    enum column c)
{
	struct slice s = db_column_blob(st, (int)c);
	char made[64];
	struct buf b;

	if (db_column_is_null(st, (int)c)) {
		json_object_object_add(o, name, NULL);
		return;
	}
	if (utf8_check(s) && memchr(s.p, '\0', s.len) == NULL) {
		json_add_slice(o, name, s);
		return;
	}
	buf_init(&b);
	base64_add(&b, s);
	snprintf(made, sizeof(made), "%s_base64", name);
	json_add_slice(o, made, buf_slice(&b));
	buf_fini(&b);
}

static void
row_add_record(struct json_object *o, struct db_stmt *st)
{
	row_add_bytes(o, "key", st, C_KEY);
	row_add_bytes(o, "payload", st, C_PAYLOAD);
	json_add_u64(o, "qos", db_column_u64(st, C_QOS));
	json_add_bool(o, "retain", db_column_u64(st, C_RETAIN) != 0);
	row_add_text(o, "client_id", st, C_CLIENT_ID);
	row_add_text(o, "username", st, C_USERNAME);
	row_add_text(o, "protocol", st, C_PROTOCOL);
	json_object_object_add(o, "headers",
	    json_parse(db_column_text(st, C_HEADERS)));
	row_add_text(o, "content_type", st, C_CONTENT_TYPE);
	row_add_text(o, "response_topic", st, C_RESPONSE_TOPIC);
	row_add_bytes(o, "correlation_data", st, C_CORRELATION);
}

static struct json_object *
row_json(struct db_stmt *st, bool whole)
{
	struct json_object *o = json_object_new_object();

	row_add_text(o, "id", st, C_ID);
	row_add_text(o, "connector", st, C_CONNECTOR);
	row_add_text(o, "topic", st, C_TOPIC);
	row_add_text(o, "stream", st, C_STREAM);
	json_add_u64(o, "partition", db_column_u64(st, C_PARTITION));
	json_add_u64(o, "offset", db_column_u64(st, C_OFFSET));
	json_add_u64(o, "timestamp_ms", db_column_u64(st, C_TIMESTAMP));
	row_add_text(o, "error", st, C_ERROR);
	row_add_text(o, "error_class", st, C_ERROR_CLASS);
	json_add_u64(o, "tries", db_column_u64(st, C_TRIES));
	json_add_u64(o, "first_failure_ms",
	    db_column_u64(st, C_FIRST_FAILURE));
	json_add_u64(o, "last_failure_ms", db_column_u64(st, C_LAST_FAILURE));
	if (whole)
		row_add_record(o, st);
	return o;
}

struct json_object *
store_dlq_list(struct store *s, uint64_t after, size_t limit, bool whole,
    uint64_t *last)
{
	struct json_object *list = json_object_new_array();
	struct db_stmt *st = s->st[ST_DLQ_LIST];

	db_bind_u64(st, 1, after);
	db_bind_u64(st, 2, limit);
	*last = after;
	while (db_step(st) == 1) {
		*last = db_column_u64(st, C_ROW);
		json_object_array_add(list, row_json(st, whole));
	}
	return list;
}

struct json_object *
store_dlq_show(struct store *s, const char *id)
{
	struct db_stmt *st = s->st[ST_DLQ_BY_ID];
	struct json_object *o = NULL;

	db_bind_str(st, 1, id);
	if (db_step(st) == 1)
		o = row_json(st, true);
	db_reset(st);
	return o;
}

int64_t
store_dlq_row(struct store *s, const char *id)
{
	struct db_stmt *st = s->st[ST_DLQ_BY_ID];
	int64_t row = 0;

	db_bind_str(st, 1, id);
	if (db_step(st) == 1)
		row = db_column_i64(st, C_ROW);
	db_reset(st);
	return row;
}

/* A null column stays a null field. */
static struct slice
row_bytes(struct db_stmt *st, enum column c)
{
	struct slice s;

	if (db_column_is_null(st, (int)c))
		return SLICE_NULL;
	s = db_column_blob(st, (int)c);
	return slice_is_null(s) ? SLICE_EMPTY : s;
}

static void
row_take(struct db_stmt *st, struct batch *b)
{
	struct record_header *headers = NULL;
	struct record rec = {
		.stream = row_bytes(st, C_STREAM),
		.incarnation = db_column_u64(st, C_INCARNATION),
		.partition = (uint32_t)db_column_u64(st, C_PARTITION),
		.offset = db_column_u64(st, C_OFFSET),
		.topic = row_bytes(st, C_TOPIC),
		.key = row_bytes(st, C_KEY),
		.payload = row_bytes(st, C_PAYLOAD),
		.timestamp_ms = db_column_i64(st, C_TIMESTAMP),
		.qos = (uint8_t)db_column_u64(st, C_QOS),
		.retain = db_column_u64(st, C_RETAIN) != 0,
		.client_id = row_bytes(st, C_CLIENT_ID),
		.username = row_bytes(st, C_USERNAME),
		.protocol = row_bytes(st, C_PROTOCOL),
		.content_type = row_bytes(st, C_CONTENT_TYPE),
		.response_topic = row_bytes(st, C_RESPONSE_TOPIC),
		.correlation_data = row_bytes(st, C_CORRELATION),
	};
	struct buf texts;

	buf_init(&texts);
	rec.headers_len = headers_get(db_column_text(st, C_HEADERS), &texts,
	    &headers);
	rec.headers = headers;
	batch_add_replay(b, &rec, db_column_i64(st, C_ROW));
	free(headers);
	buf_fini(&texts);
}

bool
store_dlq_take(struct store *s, int64_t after, int64_t until, int64_t *row,
    struct batch *b)
{
	struct db_stmt *st = s->st[ST_DLQ_LIST];
	bool is_there;

	db_bind_i64(st, 1, after);
	db_bind_u64(st, 2, 1);
	is_there = db_step(st) == 1 && db_column_i64(st, C_ROW) <= until;
	if (is_there) {
		*row = db_column_i64(st, C_ROW);
		row_take(st, b);
	}
	db_reset(st);
	return is_there;
}

bool
store_dlq_take_row(struct store *s, int64_t row, struct batch *b)
{
	struct db_stmt *st = s->st[ST_DLQ_BY_ROW];
	bool is_there;

	db_bind_i64(st, 1, row);
	is_there = db_step(st) == 1;
	if (is_there)
		row_take(st, b);
	db_reset(st);
	return is_there;
}

bool
store_dlq_remove(struct store *s, int64_t row, bool is_replayed)
{
	struct db_stmt *st = s->st[ST_DLQ_BY_ROW];
	uint64_t key[4];
	int i;

	db_bind_i64(st, 1, row);
	if (db_step(st) != 1)
		return true;
	for (i = 0; i < 4; i++)
		key[i] = db_column_u64(st, (int)C_INCARNATION + i);
	db_reset(st);
	st = s->st[ST_LEDGER_MOVE];
	for (i = 0; i < 4; i++)
		db_bind_u64(st, i + 1, key[i]);
	db_bind_u64(st, 5, is_replayed ? 1 : 0);
	db_bind_u64(st, 6, is_replayed ? 0 : 1);
	if (db_run(st) != 0)
		return false;
	db_bind_i64(s->st[ST_DLQ_REMOVE], 1, row);
	return db_run(s->st[ST_DLQ_REMOVE]) == 0;
}

bool
store_dlq_failed_again(struct store *s, int64_t row, const char *error,
    uint64_t failure_ms)
{
	struct db_stmt *st = s->st[ST_DLQ_FAILED];

	db_bind_i64(st, 1, row);
	db_bind_str(st, 2, error);
	db_bind_u64(st, 3, failure_ms);
	return db_run(st) == 0;
}

int64_t
store_dlq_purge_all(struct store *s)
{
	int64_t n;

	if (db_run(s->st[ST_DLQ_REMOVE_ALL]) != 0)
		return -1;
	n = db_changes(s->db);
	return db_run(s->st[ST_LEDGER_PURGE_ALL]) == 0 ? n : -1;
}
