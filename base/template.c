#include "base/template.h"

#include "base/encode.h"
#include "base/json_text.h"
#include "base/template_parts.h"
#include "base/topic.h"
#include "base/utf8.h"

bool
template_is_constant(const struct template *t)
{
	return t->n == 0 || (t->n == 1 && t->parts[0].source == PART_TEXT);
}

bool
template_is_single(const struct template *t)
{
	return t->n == 1 && t->parts[0].source != PART_TEXT;
}

bool
template_is_field(const struct template *t, enum record_field field)
{
	return t->n == 1 && t->parts[0].source == PART_FIELD &&
	    t->parts[0].field == field && t->parts[0].type == PART_PLAIN;
}

struct slice
template_prefix(const struct template *t)
{
	if (t->n == 0 || t->parts[0].source != PART_TEXT)
		return SLICE_EMPTY;
	return slice_of(t->parts[0].text, t->parts[0].len);
}

void
template_input_init(struct template_input *in)
{
	*in = (struct template_input){0};
}

void
template_input_fini(struct template_input *in)
{
	buf_fini(&in->scratch);
	buf_fini(&in->spare);
}

void
template_input_set(struct template_input *in, const struct record *rec)
{
	in->rec = rec;
	in->is_json_known = false;
}

struct slice
template_input_json(struct template_input *in)
{
	if (in->is_json_known)
		return in->json;
	in->is_json_known = true;
	if (slice_is_null(in->rec->payload) ||
	    !json_value(in->rec->payload, &in->json))
		in->json = SLICE_NULL;
	return in->json;
}

static const struct value value_null = {VALUE_NULL, {NULL, 0}};

static struct value
value_of(enum value_kind kind, struct slice text)
{
	return slice_is_null(text) ? value_null : (struct value){kind, text};
}

/* A JSON value as the value that it stands for. */
static struct value
value_from_json(struct slice json, struct buf *scratch)
{
	switch (json_kind_of(json)) {
	case JSON_STRING:
		buf_clear(scratch);
		json_add_unquoted(scratch, json);
		return value_of(VALUE_TEXT, buf_slice(scratch));
	case JSON_NUMBER:
		return value_of(VALUE_NUMBER, json);
	case JSON_BOOL:
		return value_of(VALUE_BOOL, json);
	case JSON_NULL:
		return value_null;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	buf_clear(scratch);
	json_add_compact(scratch, json);
	return value_of(VALUE_JSON, buf_slice(scratch));
}

static bool
part_json(const struct part *part, struct template_input *in,
    struct value *v, const char **why)
{
	struct slice json = template_input_json(in), found;

	*v = value_null;
	if (slice_is_null(json)) {
		*why = "the payload is not JSON";
		return part->fallback != NULL;
	}
	if (json_path_find(part->path, json, &found))
		*v = value_from_json(found, &in->scratch);
	return true;
}

/* What the record holds there, not yet of the type that was asked for. */
static bool
part_source(const struct part *part, struct template_input *in,
    struct value *v, const char **why)
{
	struct slice text = slice_of(part->text, part->len);

	switch (part->source) {
	case PART_TEXT:
		*v = value_of(VALUE_TEXT, text);
		break;
	case PART_FIELD:
		*v = record_field_value(in->rec, part->field, &in->scratch);
		break;
	case PART_LEVEL:
		*v = value_of(VALUE_TEXT,
		    topic_level(in->rec->topic, part->index));
		break;
	case PART_JSON:
		return part_json(part, in, v, why);
	case PART_HEADER:
		*v = value_of(VALUE_TEXT, record_header_find(in->rec, text));
		break;
	case PART_TIME:
		buf_clear(&in->scratch);
		time_format_add(&in->scratch, text, in->rec->timestamp_ms);
		*v = value_of(VALUE_TEXT, buf_slice(&in->scratch));
		break;
	}
	return true;
}

static bool
value_to_bool(struct value *v, const char **why)
{
	if (v->kind == VALUE_BOOL)
		return true;
	if (slice_is(v->text, "true") || slice_is(v->text, "1"))
		v->text = SLICE_LIT("true");
	else if (slice_is(v->text, "false") || slice_is(v->text, "0"))
		v->text = SLICE_LIT("false");
	else {
		*why = "a value is not a bool";
		return false;
	}
	v->kind = VALUE_BOOL;
	return true;
}

/* What was made in the spare buf, from a value that may lie in the other. */
static struct slice
input_turn(struct template_input *in)
{
	struct buf made = in->spare;

	in->spare = in->scratch;
	in->scratch = made;
	return buf_slice(&in->scratch);
}

static bool
value_to_json(struct value *v, struct template_input *in, bool is_payload,
    const char **why)
{
	struct slice json;

	if (v->kind == VALUE_JSON)
		return true;
	if (v->kind == VALUE_NUMBER || v->kind == VALUE_BOOL) {
		v->kind = VALUE_JSON;
		return true;
	}
	json = is_payload ? template_input_json(in) : SLICE_NULL;
	buf_clear(&in->spare);
	if (!slice_is_null(json)) {
		json_add_compact(&in->spare, json);
	} else if (utf8_check(v->text)) {
		json_add_string(&in->spare, v->text);
	} else {
		*why = "a value is not UTF-8 and cannot be JSON";
		return false;
	}
	*v = value_of(VALUE_JSON, input_turn(in));
	return true;
}

static void
value_to_base64(struct value *v, struct template_input *in)
{
	buf_clear(&in->spare);
	base64_add(&in->spare, v->text);
	*v = value_of(VALUE_TEXT, input_turn(in));
}

static bool
part_convert(const struct part *part, struct template_input *in,
    struct value *v, const char **why)
{
	switch (part->type) {
	case PART_PLAIN:
		break;
	case PART_NUMBER:
		if (!json_number_check(v->text)) {
			*why = "a value is not a number";
			return false;
		}
		v->kind = VALUE_NUMBER;
		break;
	case PART_BOOL:
		return value_to_bool(v, why);
	case PART_AS_JSON:
		return value_to_json(v, in, part->source == PART_FIELD &&
		    part->field == FIELD_PAYLOAD, why);
	case PART_BASE64:
		value_to_base64(v, in);
		break;
	}
	return true;
}

static struct value
part_fallback(const struct part *part)
{
	static const enum value_kind kinds[] = {
		[PART_PLAIN] = VALUE_TEXT,
		[PART_NUMBER] = VALUE_NUMBER,
		[PART_BOOL] = VALUE_BOOL,
		[PART_AS_JSON] = VALUE_JSON,
		[PART_BASE64] = VALUE_TEXT,
	};

	if (part->fallback == NULL)
		return value_null;
	return value_of(kinds[part->type],
	    slice_of(part->fallback, part->fallback_len));
}

static bool
part_value(const struct part *part, struct template_input *in,
    struct value *v, const char **why)
{
	if (!part_source(part, in, v, why))
		return false;
	if (v->kind == VALUE_NULL) {
		*v = part_fallback(part);
		return true;
	}
	return part_convert(part, in, v, why);
}

bool
template_escape_json(struct buf *out, struct value v, const char **why)
{
	switch (v.kind) {
	case VALUE_NULL:
		buf_add_str(out, "null");
		return true;
	case VALUE_NUMBER:
	case VALUE_BOOL:
	case VALUE_JSON:
		buf_add_slice(out, v.text);
		return true;
	case VALUE_TEXT:
	case VALUE_BYTES:
		break;
	}
	if (!utf8_check(v.text)) {
		*why = "a value is not UTF-8 and cannot stand in JSON";
		return false;
	}
	json_add_escaped(out, v.text);
	return true;
}

bool
template_escape_url(struct buf *out, struct value v, const char **why)
{
	(void)why;
	percent_add(out, v.text);
	return true;
}

bool
template_render(const struct template *t, struct template_input *in,
    struct buf *out, template_escape *escape, const char **why)
{
	const struct part *part;
	struct value v;
	size_t i;

	for (i = 0; i < t->n; i++) {
		part = &t->parts[i];
		if (part->source == PART_TEXT) {
			buf_add(out, part->text, part->len);
			continue;
		}
		if (!part_value(part, in, &v, why))
			return false;
		if (escape == NULL) {
			buf_add_slice(out, v.text);
			continue;
		}
		/* An untyped object could close what it stands in. */
		if (v.kind == VALUE_JSON && part->type != PART_AS_JSON)
			v.kind = VALUE_TEXT;
		/* Untyped and absent: nothing, within the quotes around it. */
		if (v.kind == VALUE_NULL && part->type == PART_PLAIN)
			continue;
		if (!escape(out, v, why))
			return false;
	}
	return true;
}

bool
template_value(const struct template *t, struct template_input *in,
    struct buf *out, enum value_kind *kind, const char **why)
{
	struct value v;

	if (!template_is_single(t)) {
		*kind = VALUE_TEXT;
		return template_render(t, in, out, NULL, why);
	}
	if (!part_value(&t->parts[0], in, &v, why))
		return false;
	*kind = v.kind;
	buf_add_slice(out, v.text);
	return true;
}
