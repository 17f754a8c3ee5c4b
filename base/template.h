/*
 * template - text with values of a record in it.
 *
 *	${topic} ${topic[1]} ${payload} ${payload.a.b[0]} ${payload["a b"]}
 *	${headers.x} ${headers["x:y"]} ${timestamp} ${timestamp:%Y-%m-%d}
 *	and ${FIELD} for every field of base/record_fields.def
 *	${x:number} ${x:bool} ${x:json} ${x:base64}	the type
 *	${x|default} ${x:number|0}			the fallback
 *	$${						a literal "${"
 *
 * A value is absent (null) if the record has no such field, level, header
 * or place in its JSON, or JSON null there; then the fallback stands for it,
 * written with "\}" and "\\" for those two. A payload that is not JSON where
 * a path into it has no fallback, and a value that is not of the type asked
 * for, are faults of the record, which is then to be refused.
 *
 * Parsed once; const and free of state afterwards: what rendering needs is
 * in the input.
 */
#ifndef BASE_TEMPLATE_H
#define BASE_TEMPLATE_H

#include "base/record_json.h"

struct template;

/*
 * NULL if the text is no template, with a message in fault that names the
 * column, from 1.
 */
struct template *template_parse(struct slice text, char *fault, size_t size);
void template_free(struct template *t);

/* No values in it: the same text for every record. */
bool template_is_constant(const struct template *t);
/* It is one value and nothing else, so that its type shows. */
bool template_is_single(const struct template *t);
/* The text before the first value. */
struct slice template_prefix(const struct template *t);
/* Whether it is a single plain ${FIELD}. */
bool template_is_field(const struct template *t, enum record_field field);

/* The record that templates are rendered for; knows its JSON when asked. */
struct template_input {
	const struct record *rec;
	struct slice json;
	bool is_json_known;
	struct buf scratch;	/* where made values lie */
	struct buf spare;	/* their next form is made here */
};

void template_input_init(struct template_input *in);
void template_input_fini(struct template_input *in);
void template_input_set(struct template_input *in, const struct record *rec);
/* The payload's JSON value; null if it is not JSON. */
struct slice template_input_json(struct template_input *in);

/*
 * Appends a value to the text as the target needs it. A number, bool and
 * JSON come as those kinds only where the template asked for the type or
 * they can hold nothing else (an object without ":json" comes as text).
 * False: the target cannot have it, *why says why.
 */
typedef bool template_escape(struct buf *out, struct value v,
    const char **why);
/* Within JSON: text is escaped, typed values are raw, absent ones null. */
bool template_escape_json(struct buf *out, struct value v, const char **why);
/* Within a URL. */
bool template_escape_url(struct buf *out, struct value v, const char **why);

/*
 * Appends the text for the record. escape NULL: values as they are, absent
 * ones empty. False: the record is to be refused, *why says why (a
 * constant); part of the text may be appended.
 */
bool template_render(const struct template *t, struct template_input *in,
    struct buf *out, template_escape *escape, const char **why);
/*
 * The same as one typed value: of a single one its own kind, else text. Its
 * text is appended to out.
 */
bool template_value(const struct template *t, struct template_input *in,
    struct buf *out, enum value_kind *kind, const char **why);

#endif
