/*
 * json_text - JSON as text: checked, copied, written, read at a path, all
 * without a tree (RFC 8259, strictly; nesting to JSON_DEPTH_MAX).
 *
 * A value is the slice of its text, without space around it.
 */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include "base/buf.h"

#define JSON_DEPTH_MAX 64

enum json_kind {
	JSON_STRING,
	JSON_NUMBER,
	JSON_BOOL,
	JSON_NULL,
	JSON_OBJECT,
	JSON_ARRAY,
};

/* Is it one JSON value, with nothing but space around it? */
bool json_check(struct slice text);
/* The same; what it is without the space around it. */
bool json_value(struct slice text, struct slice *value);
/* Is it a JSON number, whole? */
bool json_number_check(struct slice text);
/* Of a value: by its first character. */
enum json_kind json_kind_of(struct slice value);

/*
 * Steps through checked JSON, of which text is one value, object or array:
 * the next member after *at, which begins at 0. name is the raw string with
 * its quotes, null in an array.
 */
bool json_member_next(struct slice text, size_t *at, struct slice *name,
    struct slice *value);

/* Appends the value without space between its tokens: on one line. */
void json_add_compact(struct buf *b, struct slice value);
/* Appends s, which is UTF-8, as a string with quotes. */
void json_add_string(struct buf *b, struct slice s);
/* The same without the quotes. */
void json_add_escaped(struct buf *b, struct slice s);
/*
 * Appends what a raw string (with its quotes) stands for. A lone surrogate
 * gives U+FFFD.
 */
void json_add_unquoted(struct buf *b, struct slice string);
/* Whether a raw string stands for just these bytes. */
bool json_string_is(struct slice string, struct slice bytes);

#endif
