/*
 * line_protocol - records as lines of InfluxDB's line protocol.
 *
 * Pure. MEASUREMENT,TAG=VALUE FIELD=VALUE TIME. A value never becomes part
 * of the syntax: what can be escaped is, what cannot be written (a line break
 * in a tag, a backslash before what ends it) is a fault of the record. Absent
 * tags and fields are left out; a record without any field is refused.
 *
 * Numbers are floats, as a field must not change its type; a value written
 * `${...}i` or `${...}u` is an integer.
 */
#ifndef CONNECTOR_WORKER_LINE_PROTOCOL_H
#define CONNECTOR_WORKER_LINE_PROTOCOL_H

#include "base/template.h"

/* The order of the option's choices. */
enum line_precision { LINE_NS, LINE_US, LINE_MS, LINE_S };

struct line_value {
	const char *name;
	const struct template *value;
	struct template *own; /* without its suffix; freed by fini */
	char suffix;          /* 'i', 'u' or 0 */
};

struct line_format {
	const struct template *measurement;
	struct line_value *tags;
	size_t tags_len;
	struct line_value *fields; /* none: see line_add */
	size_t fields_len;
	enum line_precision precision;
	/* Digits below the precision come from the offset. */
	bool is_unique;
};

void line_format_fini(struct line_format *);
/* Takes a suffix off the text of an option's value. False: it is no value. */
bool line_value_set(struct line_value *, const char *name, const char *text,
    const struct template *value);

/* What the times in the lines count: with is_unique ns where ms cannot do. */
enum line_precision line_precision_sent(const struct line_format *);

/*
 * Appends the record's line with a line feed. Without configured fields
 * these are the members of a JSON object (scalars as they are, others as JSON
 * text), `value` of any other JSON, `payload` of text, `payload_base64` of
 * anything else; and `headers`, if there are any, as JSON text. False: the
 * record is to be refused, *why says why.
 */
bool line_add(const struct line_format *, struct template_input *, struct buf *,
    const char **why);

#endif
