/* template_parts - what a parsed template is made of; private to base. */
#ifndef BASE_TEMPLATE_PARTS_H
#define BASE_TEMPLATE_PARTS_H

#include "base/json_path.h"
#include "base/template.h"

enum part_source {
	PART_TEXT,		/* text */
	PART_FIELD,		/* field */
	PART_LEVEL,		/* index: of the topic */
	PART_JSON,		/* path: in the payload */
	PART_HEADER,		/* text: its name */
	PART_TIME,		/* text: the format */
};

enum part_type {
	PART_PLAIN,
	PART_NUMBER,
	PART_BOOL,
	PART_AS_JSON,
	PART_BASE64,
};

struct part {
	enum part_source source;
	enum part_type type;
	enum record_field field;
	size_t index;
	struct json_path *path;
	char *text;
	size_t len;
	char *fallback;		/* NULL: none */
	size_t fallback_len;
};

struct template {
	size_t n, cap;
	struct part *parts;
};

#endif
