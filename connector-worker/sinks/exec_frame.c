#include "connector-worker/sinks/exec_frame.h"

#include "base/utf8.h"
#include "ipc/pack.h"

#include <stdio.h>

#define NIL 0xc0
#define NAME_MAX_LEN 32

/* --- from the command ----------------------------------------------------- */

enum exec_taken
exec_body_peek(struct slice in, struct slice *body)
{
	uint32_t len;

	if (in.len < EXEC_HEADER)
		return EXEC_MORE;
	len = (uint32_t)in.p[0] << 24 | (uint32_t)in.p[1] << 16 |
	    (uint32_t)in.p[2] << 8 | in.p[3];
	if (len == 0 || len > EXEC_IN_MAX)
		return EXEC_GARBAGE;
	if (in.len - EXEC_HEADER < len)
		return EXEC_MORE;
	*body = slice_of(in.p + EXEC_HEADER, len);
	return EXEC_WHOLE;
}

/* A text, or nil as a null slice. */
static bool
reason_get(struct cursor *c, struct slice *reason)
{
	*reason = SLICE_NULL;
	if (c->p < c->end && *c->p == NIL) {
		c->p++;
		return true;
	}
	return cursor_get_str(c, reason, 0, EXEC_REASON_MAX);
}

static bool
outcome_get(struct cursor *c, enum sink_outcome *outcome)
{
	static const char *const names[] = {
	    [SINK_DELIVERED] = "delivered",
	    [SINK_RETRYABLE] = "retryable",
	    [SINK_REFUSED] = "refused",
	    [SINK_UNAVAILABLE] = "unavailable",
	    [SINK_UNSURE] = "unsure",
	    [SINK_HELD] = "held",
	};
	struct slice name;
	size_t i;

	if (!cursor_get_str(c, &name, 1, NAME_MAX_LEN))
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_is(name, names[i])) {
			*outcome = (enum sink_outcome)i;
			return true;
		}
	return false;
}

static bool
answer_get(struct cursor *c, struct exec_answer *a)
{
	uint64_t index;
	uint32_t count;

	if (!cursor_get_array(c, &count) || count != 3 ||
	    !cursor_get_uint(c, &index, 0, UINT32_MAX) ||
	    !outcome_get(c, &a->outcome) || !reason_get(c, &a->reason))
		return false;
	a->index = (uint32_t)index;
	return true;
}

bool
exec_answer_take(struct exec_frame *f, struct exec_answer *a)
{
	if (f->answers_left == 0)
		return false;
	f->answers_left--;
	return answer_get(&f->answers, a);
}

static bool
hello_get(struct cursor *c, struct exec_frame *f)
{
	return cursor_get_uint(c, &f->number, 0, UINT32_MAX) &&
	    cursor_get_str(c, &f->name, 0, EXEC_NAME_MAX);
}

static bool
opened_get(struct cursor *c, struct exec_frame *f)
{
	return reason_get(c, &f->reason);
}

static bool
answers_get(struct cursor *c, struct exec_frame *f)
{
	struct exec_answer a;
	uint32_t i;

	if (!cursor_get_uint(c, &f->number, 0, UINT64_MAX) ||
	    !cursor_get_array(c, &f->answers_left))
		return false;
	f->answers = *c;
	for (i = 0; i < f->answers_left; i++)
		if (!answer_get(c, &a))
			return false;
	return true;
}

static bool
probed_get(struct cursor *c, struct exec_frame *f)
{
	return cursor_get_uint(c, &f->number, 0, UINT64_MAX) &&
	    reason_get(c, &f->reason);
}

const char *
exec_frame_get(struct slice body, struct exec_frame *f)
{
	static const struct {
		const char *name;
		uint32_t count;
		bool (*get)(struct cursor *, struct exec_frame *);
		const char *fault;
	} kinds[] = {
	    [EXEC_HELLO] = {"hello", 3, hello_get, "a hello of another form"},
	    [EXEC_OPENED] = {"opened", 2, opened_get,
		"an opened of another form"},
	    [EXEC_ANSWERS] = {"answers", 3, answers_get,
		"answers of another form"},
	    [EXEC_PROBED] = {"probed", 3, probed_get,
		"a probed of another form"},
	};
	struct cursor c = {body.p, body.p + body.len};
	struct slice name;
	uint32_t count;
	size_t i;

	*f = (struct exec_frame){.reason = SLICE_NULL};
	if (!cursor_get_array(&c, &count) || count == 0 ||
	    !cursor_get_str(&c, &name, 1, NAME_MAX_LEN))
		return "a frame that is no array with a name first";
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!slice_is(name, kinds[i].name))
			continue;
		f->kind = (enum exec_kind)i;
		if (count != kinds[i].count || !kinds[i].get(&c, f) ||
		    c.p != c.end)
			return kinds[i].fault;
		return NULL;
	}
	return "a frame of an unknown name";
}

/* --- to the command ------------------------------------------------------- */

/* Returns where the frame begins, for frame_end. */
static size_t
frame_begin(struct buf *out, const char *name, size_t count)
{
	size_t at = buf_len(out);

	buf_add_be32(out, 0);
	pack_array(out, count);
	pack_str(out, strlen(name));
	pack_str_body(out, name, strlen(name));
	return at;
}

static void
frame_end(struct buf *out, size_t at)
{
	size_t len = buf_len(out) - at - EXEC_HEADER;
	uint8_t *p = out->p + out->off + at;

	p[0] = (uint8_t)(len >> 24);
	p[1] = (uint8_t)(len >> 16);
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
}

static void
put_bytes(struct buf *out, struct slice s)
{
	if (slice_is_null(s)) {
		pack_nil(out);
		return;
	}
	pack_bin(out, s.len);
	pack_bin_body(out, s.p, s.len);
}

/* What is no UTF-8 cannot be a text of msgpack: it goes as bytes. */
static void
put_text(struct buf *out, struct slice s)
{
	if (slice_is_null(s) || !utf8_check(s)) {
		put_bytes(out, s);
		return;
	}
	pack_str(out, s.len);
	pack_str_body(out, s.p, s.len);
}

static void
put_name(struct buf *out, const char *name)
{
	put_text(out, slice_str(name));
}

void
exec_put_hello(struct buf *out, const char *connector, const char *stream)
{
	size_t at = frame_begin(out, "hello", 4);

	pack_uint64(out, EXEC_VERSION);
	put_name(out, connector);
	put_name(out, stream);
	frame_end(out, at);
}

void
exec_put_open(struct buf *out, const struct sink_options *o, bool is_test)
{
	size_t at = frame_begin(out, "open", 3);
	size_t count = opt_count(o, "settings"), i;

	pack_map(out, count);
	for (i = 0; i < count; i++) {
		put_name(out, opt_key(o, "settings", i));
		put_name(out, opt_value(o, "settings", i));
	}
	if (is_test)
		pack_true(out);
	else
		pack_false(out);
	frame_end(out, at);
}

static void
put_headers(struct buf *out, const struct record *rec)
{
	size_t i;

	pack_array(out, rec->headers_len);
	for (i = 0; i < rec->headers_len; i++) {
		pack_array(out, 2);
		put_text(out, rec->headers[i].name);
		put_text(out, rec->headers[i].value);
	}
}

static void
put_id(struct buf *out, const struct record *rec)
{
	char tail[72];
	int n = snprintf(tail, sizeof(tail), ".%llu-%u-%llu",
	    (unsigned long long)rec->incarnation, rec->partition,
	    (unsigned long long)rec->offset);

	pack_str(out, rec->stream.len + (size_t)n);
	pack_str_body(out, rec->stream.p, rec->stream.len);
	pack_str_body(out, tail, (size_t)n);
}

static void
put_record(struct buf *out, const struct sink_record *r)
{
	const struct record *rec = r->rec;
	const struct {
		const char *name;
		struct slice value;
	} texts[] = {
	    {"topic", rec->topic},
	    {"stream", rec->stream},
	    {"client_id", rec->client_id},
	    {"username", rec->username},
	    {"protocol", rec->protocol},
	    {"content_type", rec->content_type},
	    {"response_topic", rec->response_topic},
	};
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
	    {"partition", rec->partition},
	    {"offset", rec->offset},
	    {"qos", rec->qos},
	    {"order", r->order},
	};
	const size_t n_texts = sizeof(texts) / sizeof(texts[0]);
	const size_t n_numbers = sizeof(numbers) / sizeof(numbers[0]);
	size_t i;

	pack_map(out, n_texts + n_numbers + 7);
	put_name(out, "id");
	put_id(out, rec);
	for (i = 0; i < n_texts; i++) {
		put_name(out, texts[i].name);
		put_text(out, texts[i].value);
	}
	for (i = 0; i < n_numbers; i++) {
		put_name(out, numbers[i].name);
		pack_uint64(out, numbers[i].value);
	}
	put_name(out, "key");
	put_bytes(out, rec->has_null_key ? SLICE_NULL : rec->key);
	put_name(out, "payload");
	put_bytes(out, rec->payload);
	put_name(out, "correlation_data");
	put_bytes(out, rec->correlation_data);
	put_name(out, "timestamp_ms");
	pack_int64(out, rec->timestamp_ms);
	put_name(out, "retain");
	if (rec->retain)
		pack_true(out);
	else
		pack_false(out);
	put_name(out, "headers");
	put_headers(out, rec);
}

void
exec_put_batch(struct buf *out, uint64_t id,
    struct sink_record *const *records, size_t count)
{
	size_t at = frame_begin(out, "batch", 3), i;

	pack_uint64(out, id);
	pack_array(out, count);
	for (i = 0; i < count; i++)
		put_record(out, records[i]);
	frame_end(out, at);
}

void
exec_put_probe(struct buf *out, uint64_t id)
{
	size_t at = frame_begin(out, "probe", 2);

	pack_uint64(out, id);
	frame_end(out, at);
}

void
exec_put_close(struct buf *out)
{
	frame_end(out, frame_begin(out, "close", 1));
}
