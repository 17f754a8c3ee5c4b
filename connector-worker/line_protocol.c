#include "connector-worker/line_protocol.h"

#include "base/encode.h"
#include "base/json_text.h"
#include "base/utf8.h"

#include <stdlib.h>

/* Partitions of a stream that have times of their own. */
#define TIME_LANES 64

void
line_format_fini(struct line_format *f)
{
	for (size_t i = 0; i < f->tags_len; i++)
		template_free(f->tags[i].own);
	for (size_t i = 0; i < f->fields_len; i++)
		template_free(f->fields[i].own);
	free(f->tags);
	free(f->fields);
}

bool
line_value_set(struct line_value *v, const char *name, const char *text,
    const struct template *value)
{
	size_t n = strlen(text);
	char fault[80];

	*v = (struct line_value){.name = name, .value = value};
	if (n < 4 || text[n - 2] != '}' || strchr("iu", text[n - 1]) == NULL)
		return true;
	v->own = template_parse(slice_of(text, n - 1), fault, sizeof(fault));
	if (v->own == NULL || !template_is_single(v->own)) {
		template_free(v->own);
		v->own = NULL;
		return true;
	}
	v->value = v->own;
	v->suffix = text[n - 1];
	return true;
}

/* --- names ---------------------------------------------------------------- */

/*
 * A measurement, a tag's name or value, a field's name; ends are the
 * characters that would end it.
 */
static bool
name_add(struct buf *out, struct slice s, const char *ends, const char **why)
{
	if (!utf8_check(s)) {
		*why = "a name or tag is not UTF-8";
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.p[i];
		bool is_end = c != '\0' && strchr(ends, c) != NULL;

		if (c == '\n' || c == '\r' || c == '\0') {
			*why = "a name or tag has a line break or NUL";
			return false;
		}
		/* Readers differ in what two backslashes mean. */
		if (c == '\\' && (i + 1 == s.len || s.p[i + 1] == '\\' ||
				     strchr(ends, s.p[i + 1]) != NULL)) {
			*why = "a name or tag has a backslash where line "
			       "protocol cannot write it";
			return false;
		}
		if (is_end)
			buf_add_u8(out, '\\');
		buf_add_u8(out, c);
	}
	return true;
}

static bool
measurement_add(const struct line_format *f, struct template_input *in,
    struct buf *out, struct buf *text, const char **why)
{
	buf_clear(text);
	if (!template_render(f->measurement, in, text, NULL, why))
		return false;
	if (buf_len(text) == 0 || buf_data(text)[0] == '#') {
		*why = "the measurement is empty or begins with #";
		return false;
	}
	return name_add(out, buf_slice(text), ", ", why);
}

static bool
tag_add(const struct line_value *tag, struct template_input *in,
    struct buf *out, struct buf *text, const char **why)
{
	enum value_kind kind;

	buf_clear(text);
	if (!template_value(tag->value, in, text, &kind, why))
		return false;
	if (buf_len(text) == 0)
		return true;
	buf_add_u8(out, ',');
	if (!name_add(out, slice_str(tag->name), ",= ", why))
		return false;
	buf_add_u8(out, '=');
	return name_add(out, buf_slice(text), ",= ", why);
}

/* --- fields --------------------------------------------------------------- */

/* The fields of a line while it is made. */
struct fields {
	struct buf *out;
	size_t count;
};

static bool
field_begin(struct fields *fs, struct slice name, const char **why)
{
	buf_add_u8(fs->out, fs->count++ > 0 ? ',' : ' ');
	if (name.len == 0) {
		*why = "a field has no name";
		return false;
	}
	if (!name_add(fs->out, name, ",= ", why))
		return false;
	buf_add_u8(fs->out, '=');
	return true;
}

static bool
string_add(struct buf *out, struct slice s, const char **why)
{
	if (!utf8_check(s)) {
		*why = "a field is not UTF-8: :base64 writes it";
		return false;
	}
	buf_add_u8(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '\0') {
			*why = "a field has a NUL";
			return false;
		}
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_u8(out, '\\');
		buf_add_u8(out, s.p[i]);
	}
	buf_add_u8(out, '"');
	return true;
}

static bool
integer_check(struct slice s, char suffix)
{
	size_t i = s.len > 0 && s.p[0] == '-' ? 1 : 0;

	if (i == s.len || (i == 1 && suffix == 'u'))
		return false;
	for (; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

static bool
value_add(struct fields *fs, enum value_kind kind, struct slice text,
    char suffix, const char **why)
{
	if (suffix != 0) {
		if (!integer_check(text, suffix)) {
			*why = "a field is not an integer";
			return false;
		}
		buf_add_slice(fs->out, text);
		buf_add_u8(fs->out, (uint8_t)suffix);
		return true;
	}
	if (kind == VALUE_NUMBER || kind == VALUE_BOOL) {
		buf_add_slice(fs->out, text);
		return true;
	}
	return string_add(fs->out, text, why);
}

static bool
field_add(struct fields *fs, const struct line_value *f,
    struct template_input *in, struct buf *text, const char **why)
{
	enum value_kind kind;

	buf_clear(text);
	if (!template_value(f->value, in, text, &kind, why))
		return false;
	if (kind == VALUE_NULL || (f->suffix != 0 && buf_len(text) == 0))
		return true;
	return field_begin(fs, slice_str(f->name), why) &&
	       value_add(fs, kind, buf_slice(text), f->suffix, why);
}

/* A JSON value as a field: null is none. */
static bool
json_field_add(struct fields *fs, struct slice name, struct slice value,
    struct buf *text, const char **why)
{
	enum value_kind kind = VALUE_TEXT;
	size_t before = buf_len(text);
	struct slice s = value;

	switch (json_kind_of(value)) {
	case JSON_NULL:
		return true;
	case JSON_NUMBER:
		kind = VALUE_NUMBER;
		break;
	case JSON_BOOL:
		kind = VALUE_BOOL;
		break;
	case JSON_STRING:
		json_add_unquoted(text, value);
		s = slice_of(buf_data(text) + before, buf_len(text) - before);
		break;
	case JSON_OBJECT:
	case JSON_ARRAY:
		json_add_compact(text, value);
		s = slice_of(buf_data(text) + before, buf_len(text) - before);
		break;
	}
	return field_begin(fs, name, why) && value_add(fs, kind, s, 0, why);
}

static bool
members_add(struct fields *fs, struct slice object, struct buf *text,
    bool *has_headers, const char **why)
{
	struct slice name, value;
	size_t at = 0;

	while (json_member_next(object, &at, &name, &value)) {
		struct buf key;
		bool is_good;

		buf_init(&key);
		json_add_unquoted(&key, name);
		*has_headers |= slice_is(buf_slice(&key), "headers");
		buf_clear(text);
		is_good = json_field_add(fs, buf_slice(&key), value, text, why);
		buf_fini(&key);
		if (!is_good)
			return false;
	}
	return true;
}

static bool
payload_add(struct fields *fs, const struct record *rec, struct buf *text,
    const char **why)
{
	buf_clear(text);
	if (utf8_check(rec->payload) &&
	    (rec->payload.len == 0 ||
		memchr(rec->payload.p, '\0', rec->payload.len) == NULL))
		return field_begin(fs, SLICE_LIT("payload"), why) &&
		       string_add(fs->out, rec->payload, why);
	base64_add(text, rec->payload);
	return field_begin(fs, SLICE_LIT("payload_base64"), why) &&
	       string_add(fs->out, buf_slice(text), why);
}

static bool
default_fields_add(struct fields *fs, struct template_input *in,
    struct buf *text, const char **why)
{
	const struct record *rec = in->rec;
	struct slice json = template_input_json(in);
	bool has_headers = rec->headers_len == 0, is_good;

	buf_clear(text);
	if (slice_is_null(json))
		is_good = payload_add(fs, rec, text, why);
	else if (json_kind_of(json) == JSON_OBJECT)
		is_good = members_add(fs, json, text, &has_headers, why);
	else
		is_good =
		    json_field_add(fs, SLICE_LIT("value"), json, text, why);
	if (!is_good || has_headers)
		return is_good;
	buf_clear(text);
	return field_begin(fs, SLICE_LIT("headers"), why) &&
	       string_add(fs->out,
		   record_field_value(rec, FIELD_HEADERS, text).text, why);
}

/* --- time ----------------------------------------------------------------- */

static const struct {
	int64_t per_s;
} units[] = {
    [LINE_NS] = {1000000000},
    [LINE_US] = {1000000},
    [LINE_MS] = {1000},
    [LINE_S] = {1},
};

enum line_precision
line_precision_sent(const struct line_format *f)
{
	return f->is_unique && f->precision > LINE_US ? LINE_NS : f->precision;
}

static int64_t
time_of(const struct line_format *f, const struct record *rec)
{
	int64_t unit = units[line_precision_sent(f)].per_s;
	int64_t ms = rec->timestamp_ms, slots;

	if (f->precision == LINE_S)
		ms -= ms % 1000;
	if (!f->is_unique)
		return unit >= 1000 ? ms * (unit / 1000) : ms / 1000;
	slots = f->precision == LINE_S ? unit : unit / 1000;
	ms *= unit / 1000;
	if (slots < TIME_LANES * 100)
		return ms +
		       (int64_t)(rec->offset + rec->partition * 389u) % slots;
	slots /= TIME_LANES;
	return ms + (int64_t)(rec->partition % TIME_LANES) * slots +
	       (int64_t)(rec->offset % (uint64_t)slots);
}

bool
line_add(const struct line_format *f, struct template_input *in,
    struct buf *out, const char **why)
{
	struct fields fs = {.out = out};
	struct buf text;
	bool is_good;

	buf_init(&text);
	is_good = measurement_add(f, in, out, &text, why);
	for (size_t i = 0; is_good && i < f->tags_len; i++)
		is_good = tag_add(&f->tags[i], in, out, &text, why);
	for (size_t i = 0; is_good && i < f->fields_len; i++)
		is_good = field_add(&fs, &f->fields[i], in, &text, why);
	if (is_good && f->fields_len == 0)
		is_good = default_fields_add(&fs, in, &text, why);
	if (is_good && fs.count == 0) {
		*why = "the record has no field";
		is_good = false;
	}
	if (is_good)
		buf_addf(out, " %lld\n", (long long)time_of(f, in->rec));
	buf_fini(&text);
	return is_good;
}
