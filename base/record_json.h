/*
 * record_json - the fields of a record by name, and a record as JSON.
 *
 * The default mapping (connectors, section 2): one object on one line with
 * every field of base/record_fields.def, absent ones null. `payload` is the
 * JSON value if the payload is JSON, a string if it is UTF-8; else there is
 * `payload_base64`. Any other field that is not UTF-8 is NAME_base64 too.
 * Headers are an object in their order; a name that repeats has a list.
 */
#ifndef BASE_RECORD_JSON_H
#define BASE_RECORD_JSON_H

#include "base/record.h"

enum value_kind {
	VALUE_NULL,
	VALUE_TEXT,
	VALUE_BYTES,
	VALUE_NUMBER,	/* a JSON number */
	VALUE_BOOL,	/* "true", "false" */
	VALUE_JSON,	/* one JSON value */
};

struct value {
	enum value_kind kind;
	struct slice text;
};

enum record_field {
#define RECORD_FIELD(ID, name, kind, text) FIELD_##ID,
#include "base/record_fields.def"
#undef RECORD_FIELD
	FIELD_COUNT,
};

const char *record_field_name(enum record_field field);
/* FIELD_COUNT if there is no such field. */
enum record_field record_field_find(struct slice name);
/*
 * The value of a field. What the record does not hold as text is written to
 * scratch (cleared first) and lies there.
 */
struct value record_field_value(const struct record *rec,
    enum record_field field, struct buf *scratch);
/* The first header of that name; SLICE_NULL if there is none. */
struct slice record_header_find(const struct record *rec, struct slice name);

/*
 * Appends the default JSON. json: the payload's value if it is known to be
 * JSON, null if it is known not to be.
 */
void record_json_add(struct buf *b, const struct record *rec,
    struct slice json);

#endif
