/* config_private - what the files of the configuration share. */
#ifndef BASE_CONFIG_PRIVATE_H
#define BASE_CONFIG_PRIVATE_H

#include "base/config.h"
#include "base/json.h"

#define CONFIG_PATH_MAX 512

/* A document under check: where faults of values get their places. */
struct config_doc {
	const struct doc_node *root;
	/* Where root stands in the paths of faults: "" or "connectors.NAME". */
	const char *prefix;
	struct faults *faults;
};

void config_fault(const struct config_doc *, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static inline const struct secret_source *
secrets_of(const struct config_input *in)
{
	return in->secrets != NULL ? in->secrets : &secret_system;
}

/* Pairs and references between options; o is resolved. */
void listeners_check(const struct config_doc *, struct json_object *config);
void auth_check(const struct config_doc *, struct json_object *config);
void admin_check(const struct config_doc *, struct json_object *config);
void streams_check(const struct config_doc *, struct json_object *streams);
/* streams NULL: which exist is not known here. */
void connector_check(const struct config_doc *, const char *name,
    struct json_object *definition, struct json_object *streams);

/*
 * Asks the type's program; for definitions that are otherwise good. Does
 * nothing where no programs are given.
 */
void type_check(const struct config_doc *, const char *name,
    struct json_object *resolved, const struct config_input *);
/* No two connectors write one file: o is a table of resolved definitions. */
void files_check(const struct config_doc *, struct json_object *connectors,
    const struct connector_types *);

/*
 * The definition at node with its type's options, in the resolved form or,
 * with resolved false, in the written one. The caller puts it.
 */
struct json_object *connector_read(const char *name,
    const struct doc_node *node, const struct config_input *, bool resolved,
    struct faults *);

#endif
