/*
 * encode - text forms of bytes and numbers, appended to a buf.
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"

void buf_add_u64(struct buf *b, uint64_t v);	/* decimal */
void buf_add_i64(struct buf *b, int64_t v);
/* Exactly `digits` digits, zeros in front; the rest is cut off. */
void buf_add_digits(struct buf *b, uint64_t v, unsigned digits);

/* Base64 with padding (RFC 4648, 4). */
void base64_add(struct buf *b, struct slice s);
/* False, and nothing appended, if s is not base64 with padding. */
bool base64_decode(struct buf *b, struct slice s);
/* Percent-encoding of all but unreserved characters (RFC 3986, 2.3). */
void percent_add(struct buf *b, struct slice s);
/* A CSV field, in quotes where it needs them (RFC 4180). */
void csv_add(struct buf *b, struct slice s);

/*
 * A time in UTC as strftime has it. Conversions: %Y %m %d %H %M %S %j %y %e
 * %F %T %s, %L (three digits of milliseconds) and %%. time_format_check
 * gives the first other conversion, NULL if there is none.
 */
void time_format_add(struct buf *b, struct slice format, int64_t ms);
const char *time_format_check(struct slice format);

#endif
