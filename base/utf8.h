/*
 * utf8 - is this UTF-8?
 *
 * Well-formed as Unicode 15 table 3-7 has it: no overlong forms, no
 * surrogates, nothing above U+10FFFF. NUL is a character like any other.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

bool utf8_check(struct slice s);
/* The length of the well-formed character at the start of s; 0 if none. */
size_t utf8_len(struct slice s);

#endif
