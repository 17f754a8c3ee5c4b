/*
 * schema - what a configuration may say: a flat table of options, checked
 * against a document.
 *
 * A path names where an option stands: "streams.*.retention.time" is in
 * every entry of the table `streams`, "listeners[].bind" in every row of
 * the list `listeners`. The broker's own table is base/options.def; those
 * of the connector types come as JSON from their programs (config_types.h).
 *
 * schema_check types every scalar by its option, fills in defaults and adds
 * a fault for everything wrong at once. The result is JSON: sizes are
 * numbers of bytes, durations milliseconds, whatever the option was written
 * as; an option without value and default is absent.
 */
#ifndef BASE_SCHEMA_H
#define BASE_SCHEMA_H

#include "base/secret.h"
#include "base/yaml_doc.h"

enum option_kind {
	OPTION_STRING,		/* min, max: its length in bytes */
	OPTION_INT,
	OPTION_BOOL,
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_ENUM,
	OPTION_MAP,		/* names to texts; max: entries */
	OPTION_LIST,		/* texts; min, max: entries */
	OPTION_OBJECT,		/* its fields are options "PATH.field" */
	OPTION_ROWS,		/* a list of objects, fields "PATH[].field" */
	OPTION_TABLE,		/* named objects, fields "PATH.*.field" */
	OPTION_OPEN,		/* another schema's: skipped here */
};

enum {
	OPTION_REQUIRED = 1 << 0,
	OPTION_SECRET = 1 << 1,
	OPTION_TEMPLATE = 1 << 2,
	OPTION_UNBUILT = 1 << 3,	/* anything but the default is refused */
};

struct option {
	const char *path;
	enum option_kind kind;
	const char *fallback;	/* the default as YAML text; NULL: none */
	int64_t min, max;	/* both 0: no bounds */
	const char *choices;	/* "a|b|!c": c is named but not built yet */
	unsigned flags;
	const char *help_en;
	const char *help_zh;
};

struct schema {
	const struct option *v;
	size_t n;
};

/* The broker's own table. */
const struct schema *schema_broker(void);

const char *option_kind_name(enum option_kind);
/* The last part of its path. */
const char *option_name(const struct option *);
/*
 * The next child of base ("" is the root; "streams.*", "listeners[]") after
 * *at, which begins at 0; NULL at the end.
 */
const struct option *schema_child(const struct schema *, const char *base,
    size_t *at);
const struct option *schema_find(const struct schema *, const char *path);

/*
 * Checks a document against the options below base and returns the JSON
 * object, which the caller puts; whole only if no fault was added. path
 * is how the object is called in faults. A node that is absent gives the
 * defaults. secrets == NULL gives the form in which people write it, to be
 * shown and stored: ${env:..} and ${file:..} stay, sizes and times are texts
 * that this function takes again.
 */
struct json_object *schema_check(const struct schema *, const char *base,
    const char *path, const struct doc_node *,
    const struct secret_source *secrets, struct faults *);

/* A copy with the values of secret options as "***"; the caller puts it. */
struct json_object *schema_mask(const struct schema *, const char *base,
    struct json_object *);

/* JSON Schema (draft 7) of the object at base; the caller puts it. */
struct json_object *schema_export(const struct schema *, const char *base);
/* A page's table of the options below base; language is "en" or "zh". */
void schema_docs(const struct schema *, const char *base,
    const char *language, struct buf *);

#endif
