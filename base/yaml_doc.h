/*
 * yaml_doc - a YAML (or JSON) text as a tree of texts with their places.
 *
 * Scalars stay text: what they mean is decided by the schema that checks
 * them, so `no` is a country wherever a string is wanted; where the whole
 * text is JSON, what has no quotes is no string. Refused, each as
 * a fault with line and column: aliases and anchors, tags, duplicate keys,
 * keys that are not scalars, NUL in a scalar, a second document, nesting
 * beyond DOC_DEPTH_MAX, more than DOC_NODES_MAX nodes, a text longer than
 * DOC_TEXT_MAX.
 *
 * A map's members are its children, each with its key; a list's children
 * have none. Lines and columns count from 1; 0 means that there is none.
 */
#ifndef BASE_YAML_DOC_H
#define BASE_YAML_DOC_H

#include "base/fault.h"
#include "base/slice.h"

#define DOC_DEPTH_MAX 16
#define DOC_NODES_MAX 100000
#define DOC_TEXT_MAX (4u << 20)

enum doc_kind { DOC_SCALAR, DOC_MAP, DOC_LIST };

struct doc_node {
	enum doc_kind kind;
	bool is_plain;		/* a scalar without quotes */
	bool is_typed;		/* a number, true, false or null of JSON */
	char *text;		/* a scalar's value, NUL-terminated */
	char *key;		/* NULL outside a map */
	struct doc_place place;
	struct doc_place key_place;
	struct doc_node *first;
	struct doc_node *next;
};

/*
 * The tree, or NULL when the text is refused (see faults) or empty (no
 * fault is added then). yaml_doc_free(NULL) does nothing.
 */
struct doc_node *yaml_doc_parse(struct slice text, struct faults *);
void yaml_doc_free(struct doc_node *);

/* The member of a map; NULL when there is none or node is no map. */
const struct doc_node *doc_find(const struct doc_node *, const char *key);
/* True for an absent node and for a plain empty, `~` or `null` scalar. */
bool doc_is_null(const struct doc_node *);
/* Where it is best shown: a branch at its key, if it has one. */
struct doc_place doc_place(const struct doc_node *);
/*
 * Where a path such as "listeners[0].bind" stands; what is not written has
 * the place of its nearest ancestor that is.
 */
struct doc_place doc_place_of(const struct doc_node *root, const char *path);

#endif
