/*
 * config_types - the option tables of the connector types, as their programs
 * describe themselves.
 *
 * libexec/types.json is a list of what each connector program prints for
 * --describe: {"type", "help": {"en", "zh"}, "capabilities": {..},
 * "options": [{"name", "type": "string|int|bool|size|duration|enum|map|
 * list|object", "default", "min", "max", "choices": [..], "required",
 * "secret", "template", "help": {"en", "zh"}, "options": [..]}]}.
 * A folder's single description is accepted as well.
 */
#ifndef BASE_CONFIG_TYPES_H
#define BASE_CONFIG_TYPES_H

#include "base/schema.h"

struct connector_type {
	char *name;
	char *help_en;
	char *help_zh;
	struct json_object *description;	/* as it came */
	struct schema schema;			/* paths begin at `config` */
};

struct connector_types {
	struct connector_type *v;
	size_t n;
};

/* False with the reason in why when the text is not such a list. */
bool types_parse(struct connector_types *, struct slice text, char *why,
    size_t size);
/* The same from a file. */
bool types_load(struct connector_types *, const char *path, char *why,
    size_t size);
void types_fini(struct connector_types *);
const struct connector_type *types_find(const struct connector_types *,
    const char *name);
/* "file, postgres, webhook" */
void types_print(const struct connector_types *, struct buf *);

#endif
