#include "connector-worker/sinks/file_format.h"

#include "base/encode.h"
#include "base/utf8.h"

void
file_format_begin(struct buf *b, enum file_format format)
{
	enum record_field field;

	if (format != FORMAT_CSV)
		return;
	for (field = 0; field < FIELD_COUNT; field++) {
		if (field > 0)
			buf_add_u8(b, ',');
		buf_add_str(b, record_field_name(field));
	}
	buf_add_u8(b, '\n');
}

static void
add_line(struct buf *b, struct slice s)
{
	const uint8_t *end = s.p + s.len, *start = s.p, *p;

	/* Most payloads have no line break: two quick looks. */
	if (s.len == 0 || (memchr(s.p, '\n', s.len) == NULL &&
	    memchr(s.p, '\r', s.len) == NULL)) {
		buf_add_slice(b, s);
		return;
	}
	for (p = s.p; p < end; p++) {
		if (*p != '\n' && *p != '\r')
			continue;
		buf_add(b, start, (size_t)(p - start));
		buf_add_str(b, *p == '\n' ? "\\n" : "\\r");
		start = p + 1;
	}
	buf_add(b, start, (size_t)(end - start));
}

static void
add_csv(struct buf *b, const struct record *rec, struct buf *scratch)
{
	enum record_field field;
	struct value v;

	for (field = 0; field < FIELD_COUNT; field++) {
		if (field > 0)
			buf_add_u8(b, ',');
		v = record_field_value(rec, field, scratch);
		if (utf8_check(v.text)) {
			csv_add(b, v.text);
			continue;
		}
		buf_add_str(b, "base64:");
		base64_add(b, v.text);
	}
}

void
file_format_add(struct buf *b, enum file_format format,
    struct template_input *in, const struct record *rec)
{
	switch (format) {
	case FORMAT_LINES:
		add_line(b, rec->payload);
		break;
	case FORMAT_JSON:
		template_input_set(in, rec);
		record_json_add(b, rec, template_input_json(in));
		break;
	case FORMAT_CSV:
		add_csv(b, rec, &in->scratch);
		break;
	}
	buf_add_u8(b, '\n');
}
