/* One connector's definition, whatever way it came. */
#include "base/config_private.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static const struct connector_type *
type_find(const char *path, const struct doc_node *node,
    const struct connector_types *types, struct faults *faults)
{
	const struct doc_node *n = doc_find(node, "type");
	const struct connector_type *t;
	char at[CONFIG_PATH_MAX];
	struct buf names;

	if (n == NULL || n->kind != DOC_SCALAR || types == NULL)
		return NULL;
	t = types_find(types, n->text);
	if (t != NULL)
		return t;
	buf_init(&names);
	types_print(types, &names);
	snprintf(at, sizeof(at), "%.400s.type", path);
	fault_add(faults, n->place, at, "`%.60s` is not one of the types that "
	    "are built: %s", n->text, buf_cstr(&names));
	buf_fini(&names);
	return NULL;
}

struct json_object *
connector_read(const char *name, const struct doc_node *node,
    const struct config_input *in, bool resolved, struct faults *faults)
{
	const struct secret_source *secrets = resolved ? secrets_of(in) : NULL;
	struct doc_node empty = {.kind = DOC_MAP, .place = doc_place(node)};
	const struct connector_type *type;
	const struct doc_node *config;
	char path[128], below[160];
	struct json_object *d;

	snprintf(path, sizeof(path), "connectors.%.100s", name);
	snprintf(below, sizeof(below), "%s.config", path);
	d = schema_check(schema_broker(), "connectors.*", path, node, secrets,
	    faults);
	if (node->kind != DOC_MAP)
		return d;
	type = type_find(path, node, in->types, faults);
	config = doc_find(node, "config");
	if (doc_is_null(config))
		config = &empty;
	if (type != NULL)
		json_object_object_add(d, "config", schema_check(&type->schema,
		    "", below, config, secrets, faults));
	return d;
}

static void
secret_keep(struct doc_node *n, struct json_object *old, const char *path,
    struct faults *faults)
{
	if (n->kind != DOC_SCALAR || strcmp(n->text, SECRET_MASK) != 0)
		return;
	if (!json_object_is_type(old, json_type_string)) {
		fault_add(faults, n->place, path,
		    "*** is a mask, not a value");
		return;
	}
	free(n->text);
	n->text = mem_strdup(json_object_get_string(old));
	n->is_plain = false;
}

/*
 * An editor of a shown definition gives secrets back as ***: they stand for
 * what was there before.
 */
static void
secrets_keep(const struct schema *s, const char *base, struct doc_node *node,
    struct json_object *old, const char *path, struct faults *faults)
{
	char below[CONFIG_PATH_MAX], at[CONFIG_PATH_MAX];
	struct json_object *v;
	struct doc_node *m, *entry;
	const struct option *o;

	for (m = node->first; node->kind == DOC_MAP && m != NULL; m = m->next) {
		snprintf(below, sizeof(below), "%.200s%s%.100s", base,
		    base[0] == '\0' ? "" : ".", m->key);
		snprintf(at, sizeof(at), "%.300s.%.100s", path, m->key);
		o = schema_find(s, below);
		v = json_object_object_get(old, m->key);
		if (o != NULL && o->kind == OPTION_OBJECT)
			secrets_keep(s, below, m, v, at, faults);
		if (o == NULL || (o->flags & OPTION_SECRET) == 0)
			continue;
		secret_keep(m, v, at, faults);
		for (entry = m->first; m->kind == DOC_MAP && entry != NULL;
		    entry = entry->next)
			secret_keep(entry, json_object_object_get(v,
			    entry->key), at, faults);
	}
}

static void
definition_keep(const char *name, const struct doc_node *node,
    struct json_object *previous, const struct config_input *in,
    struct faults *faults)
{
	const struct doc_node *n = doc_find(node, "type");
	const struct connector_type *t = n == NULL || n->kind != DOC_SCALAR ||
	    in->types == NULL ? NULL : types_find(in->types, n->text);
	struct doc_node *m;
	char path[160];

	snprintf(path, sizeof(path), "connectors.%.100s.config", name);
	for (m = node->first; t != NULL && m != NULL; m = m->next)
		if (strcmp(m->key, "config") == 0)
			secrets_keep(&t->schema, "", m,
			    json_object_object_get(previous, "config"), path,
			    faults);
}

/* The node of the definition and its name, out of either form. */
static const struct doc_node *
definition_find(const struct doc_node *root, const char **name,
    struct faults *faults)
{
	const struct doc_node *all = doc_find(root, "connectors"), *n;

	if (root->kind != DOC_MAP) {
		fault_add(faults, root->place, "", "not an object");
		return NULL;
	}
	if (all != NULL && all->kind == DOC_MAP) {
		if (root->first->next != NULL || all->first == NULL ||
		    all->first->next != NULL) {
			fault_add(faults, all->place, "connectors",
			    "exactly one definition is wanted");
			return NULL;
		}
		if (*name == NULL)
			*name = all->first->key;
		return all->first;
	}
	n = doc_find(root, "name");
	if (*name == NULL && n != NULL && n->kind == DOC_SCALAR)
		*name = n->text;
	if (*name == NULL)
		fault_add(faults, root->place, "name", "is required");
	return *name == NULL ? NULL : root;
}

struct definition *
definition_parse(struct slice text, const char *name,
    struct json_object *previous, const struct config_input *in,
    struct faults *faults)
{
	struct doc_node *root = yaml_doc_parse(text, faults);
	struct config_doc doc = {.faults = faults};
	size_t before = faults->total;
	struct definition *d = NULL;
	const struct doc_node *node;
	char prefix[128];

	if (root == NULL) {
		if (faults->total == 0)
			fault_add(faults, (struct doc_place){0}, "",
			    "no definition");
		return NULL;
	}
	node = definition_find(root, &name, faults);
	if (node != NULL) {
		snprintf(prefix, sizeof(prefix), "connectors.%.100s", name);
		doc.root = node;
		doc.prefix = prefix;
		definition_keep(name, node, previous, in, faults);
		d = mem_zalloc(1, sizeof(*d));
		d->name = mem_strdup(name);
		d->resolved = connector_read(name, node, in, true, faults);
		connector_check(&doc, name, d->resolved, NULL);
		type_check(&doc, name, d->resolved, in);
	}
	if (node != NULL && faults->total == before)
		d->written = connector_read(name, node, in, false, faults);
	yaml_doc_free(root);
	faults_sort(faults);
	if (d == NULL || faults->total == before)
		return d;
	definition_free(d);
	return NULL;
}

void
definition_free(struct definition *d)
{
	if (d == NULL)
		return;
	free(d->name);
	json_object_put(d->written);
	json_object_put(d->resolved);
	free(d);
}

struct json_object *
definition_masked(struct json_object *written,
    const struct connector_types *types)
{
	struct json_object *to = schema_mask(schema_broker(), "connectors.*",
	    written);
	struct json_object *config = json_object_object_get(written, "config");
	const char *name = json_get_str(written, "type", NULL);
	const struct connector_type *t = name == NULL || types == NULL ? NULL :
	    types_find(types, name);

	/* Which options are secret is not known: none is shown. */
	json_object_object_del(to, "config");
	if (t != NULL && config != NULL)
		json_object_object_add(to, "config", schema_mask(&t->schema,
		    "", config));
	return to;
}
