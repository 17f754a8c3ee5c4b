/*
 * file_format - a record as what stands in the file: one line each.
 *
 * lines: the payload; line breaks in it are written as \n and \r. json: the
 * default JSON. csv: all fields in the order of base/record_fields.def,
 * with a line of their names at the start of each file; a payload that is
 * no text is written as base64: and its base64.
 */
#ifndef SINKS_FILE_FORMAT_H
#define SINKS_FILE_FORMAT_H

#include "base/template.h"

enum file_format { FORMAT_LINES, FORMAT_JSON, FORMAT_CSV };

void file_format_begin(struct buf *b, enum file_format format);
void file_format_add(struct buf *b, enum file_format format,
    struct template_input *in, const struct record *rec);

#endif
