/*
 * config - the whole configuration, checked.
 *
 * Pure but for what the secret source reads. Every fault is reported at
 * once; with a fault there is no result, so nothing is ever half applied.
 *
 * `resolved` is what processes work with: defaults filled in, sizes in
 * bytes, times in milliseconds, secrets in clear. `written` is what is shown
 * and stored: references and units as people write them; mask it before it
 * leaves the process.
 *
 * Operations, Configuration; connectors, section 1.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/config_types.h"

struct config_input {
	const struct connector_types *types;
	const struct secret_source *secrets;	/* NULL: secret_system */
	bool is_root;		/* decides where data is by default */
	/* From the command line; NULL or 0: not given. */
	const char *data;
	const char *listen;
	unsigned port_offset;
	/*
	 * Where connector programs are, which check what their tables cannot
	 * say, and as whom they run (0: as we are); NULL: not asked.
	 */
	const char *libexec;
	unsigned tool_uid;
};

struct config {
	struct json_object *written;
	struct json_object *resolved;
};

/* NULL after a fault (faults begins empty). An empty text is the embedded default. */
struct config *config_parse(struct slice text, const struct config_input *,
    struct faults *);
void config_free(struct config *);
/* The written form with secrets as ***; the caller puts it. */
struct json_object *config_masked(const struct config *,
    const struct connector_types *);

/* One connector's definition, from the file or by a request. */
struct definition {
	char *name;
	struct json_object *written;
	struct json_object *resolved;
};

/*
 * From YAML or JSON: the definition itself, or {connectors: {NAME: ..}} with
 * one entry. name may be NULL if the text names it. previous (or NULL) is
 * the written form that an update replaces: a secret given as *** keeps its
 * old value. NULL after a fault.
 */
struct definition *definition_parse(struct slice text, const char *name,
    struct json_object *previous, const struct config_input *,
    struct faults *);
void definition_free(struct definition *);
/* Masked; the caller puts it. */
struct json_object *definition_masked(struct json_object *written,
    const struct connector_types *);

/*
 * True when both write one file (types whose capabilities say that they
 * write files), which nobody could keep in order; *option names where.
 */
bool definitions_collide(const struct connector_type *,
    struct json_object *a, struct json_object *b, const char **option);

/* Does the section ask for logins, whatever users there are? */
bool auth_is_configured(struct json_object *auth);

bool connector_name_check(const char *name);	/* true: a good name */
bool stream_name_check(const char *name);

/*
 * The JSON Schema of a file, with every type's options; the reference pages
 * of the file and of one type.
 */
struct json_object *config_export_schema(const struct connector_types *);
void config_docs(const char *language, struct buf *);
void type_docs(const struct connector_type *, const char *language,
    struct buf *);

#endif
