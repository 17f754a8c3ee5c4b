/*
 * snappy - decodes Snappy, raw or in xerial's framing, as Kafka's clients
 * write it. (The library is C++, and every process would carry its runtime.)
 */
#ifndef BASE_SNAPPY_H
#define BASE_SNAPPY_H

#include "base/buf.h"

/* Appends to out, max bytes at most. False: malformed, or more than that. */
bool snappy_inflate(struct slice in, size_t max, struct buf *out);

#endif
