#include "base/config_private.h"

#include "base/config_bind.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static void
put_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

/* Moves one address as the command line asks; false when it cannot. */
static bool
bind_move(struct json_object *o, const char *name, const char *host,
    unsigned offset)
{
	const char *text = json_get_str(o, name, NULL);
	struct bind_address b;
	char moved[300];

	/* What is no address is found by the checks. */
	if (text == NULL || text[0] == '\0' || bind_parse(text, &b) != NULL)
		return true;
	if (host != NULL)
		snprintf(b.host, sizeof(b.host), "%s", host);
	if (offset > 65535 - b.port)
		return false;
	b.port += offset;
	bind_format(&b, moved, sizeof(moved));
	put_text(o, name, moved);
	return true;
}

static void
config_override(struct json_object *config, const struct config_input *in,
    struct faults *faults)
{
	struct json_object *list = json_object_object_get(config, "listeners");
	size_t i, n = list == NULL ? 0 : json_object_array_length(list);
	bool is_good = true;

	if (in->data != NULL)
		put_text(config, "data", in->data);
	else if (json_get_str(config, "data", NULL) == NULL)
		put_text(config, "data", in->is_root ? "/var/lib/bulkhead" :
		    "./data");
	for (i = 0; i < n; i++)
		is_good &= bind_move(json_object_array_get_idx(list, i),
		    "bind", in->listen, in->port_offset);
	is_good &= bind_move(json_object_object_get(config, "admin"), "http",
	    NULL, in->port_offset);
	if (!is_good)
		fault_add(faults, (struct doc_place){0}, "--port-offset",
		    "%u moves a port above 65535", in->port_offset);
}

/* Adds each connector's own options to what the table has read. */
static void
connectors_read(struct json_object *config, const struct doc_node *root,
    const struct config_input *in, bool resolved, struct faults *faults)
{
	const struct doc_node *all = doc_find(root, "connectors"), *n;
	struct json_object *to = json_object_new_object();

	for (n = all == NULL || all->kind != DOC_MAP ? NULL : all->first;
	    n != NULL; n = n->next)
		json_object_object_add(to, n->key,
		    connector_read(n->key, n, in, resolved, faults));
	json_object_object_add(config, "connectors", to);
}

/*
 * Connectors are read one by one, with their types; here their table is
 * left out so that each fault is told once.
 */
static struct json_object *
root_read(struct doc_node *root, const struct secret_source *secrets,
    struct faults *faults)
{
	static const struct doc_node absent = {.kind = DOC_MAP};
	struct doc_node *n, *kept = NULL, **at = NULL;
	struct json_object *config;

	n = root == NULL || root->kind != DOC_MAP ? NULL : root->first;
	for (; n != NULL; n = n->next)
		if (strcmp(n->key, "connectors") == 0 && n->kind == DOC_MAP) {
			kept = n->first;
			at = &n->first;
		}
	if (at != NULL)
		*at = NULL;
	config = schema_check(schema_broker(), "", "",
	    root == NULL ? &absent : root, secrets, faults);
	if (at != NULL)
		*at = kept;
	return config;
}

static struct json_object *
config_read(struct doc_node *root, const struct config_input *in,
    bool resolved, struct faults *faults)
{
	struct json_object *config = root_read(root,
	    resolved ? secrets_of(in) : NULL, faults);

	connectors_read(config, root, in, resolved, faults);
	config_override(config, in, faults);
	return config;
}

static void
config_check(const struct config_doc *doc, struct json_object *config,
    const struct config_input *in)
{
	struct json_object *streams = json_object_object_get(config,
	    "streams");
	struct json_object *connectors = json_object_object_get(config,
	    "connectors");

	listeners_check(doc, config);
	auth_check(doc, config);
	admin_check(doc, config);
	if (streams == NULL)
		return;
	streams_check(doc, streams);
	json_object_object_foreach(connectors, name, definition)
		connector_check(doc, name, definition, streams);
	files_check(doc, connectors, in->types);
	json_object_object_foreach(connectors, own, read)
		type_check(doc, own, read, in);
}

struct config *
config_parse(struct slice text, const struct config_input *in,
    struct faults *faults)
{
	struct doc_node *root = yaml_doc_parse(text, faults);
	struct config_doc doc = {root, "", faults};
	struct json_object *resolved;
	struct config *c;

	if (faults->total > 0)
		return NULL;
	resolved = config_read(root, in, true, faults);
	config_check(&doc, resolved, in);
	faults_sort(faults);
	if (faults->total > 0) {
		json_object_put(resolved);
		yaml_doc_free(root);
		return NULL;
	}
	c = mem_zalloc(1, sizeof(*c));
	c->resolved = resolved;
	c->written = config_read(root, in, false, faults);
	yaml_doc_free(root);
	return c;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	json_object_put(c->written);
	json_object_put(c->resolved);
	free(c);
}

struct json_object *
config_masked(const struct config *c, const struct connector_types *types)
{
	struct json_object *to = schema_mask(schema_broker(), "", c->written);
	struct json_object *connectors = json_object_new_object();
	struct json_object *all = json_object_object_get(c->written,
	    "connectors");

	json_object_object_foreach(all, name, definition)
		json_object_object_add(connectors, name,
		    definition_masked(definition, types));
	json_object_object_add(to, "connectors", connectors);
	return to;
}

/* One branch per type: `type` says which options `config` has. */
static struct json_object *
type_branch(const struct connector_type *t)
{
	struct json_object *branch = json_object_new_object();
	struct json_object *when = json_object_new_object();
	struct json_object *then = json_object_new_object();
	struct json_object *p = json_object_new_object();
	struct json_object *is = json_object_new_object();
	struct json_object *config = schema_export(&t->schema, "");

	put_text(is, "const", t->name);
	json_object_object_add(p, "type", is);
	json_object_object_add(when, "properties", p);
	json_object_object_del(config, "$schema");
	p = json_object_new_object();
	json_object_object_add(p, "config", config);
	json_object_object_add(then, "properties", p);
	json_object_object_add(branch, "if", when);
	json_object_object_add(branch, "then", then);
	return branch;
}

struct json_object *
config_export_schema(const struct connector_types *types)
{
	struct json_object *s = schema_export(schema_broker(), "");
	struct json_object *connector, *all, *names;
	size_t i;

	put_text(s, "title", "Bulkhead configuration");
	connector = json_object_object_get(s, "properties");
	connector = json_object_object_get(connector, "connectors");
	connector = json_object_object_get(connector, "additionalProperties");
	if (types == NULL || types->n == 0)
		return s;
	all = json_object_new_array();
	names = json_object_new_array();
	for (i = 0; i < types->n; i++) {
		json_object_array_add(all, type_branch(&types->v[i]));
		json_object_array_add(names,
		    json_object_new_string(types->v[i].name));
	}
	json_object_object_add(connector, "allOf", all);
	connector = json_object_object_get(connector, "properties");
	json_object_object_add(json_object_object_get(connector, "type"),
	    "enum", names);
	return s;
}

void
config_docs(const char *language, struct buf *out)
{
	schema_docs(schema_broker(), "", language, out);
}

void
type_docs(const struct connector_type *t, const char *language,
    struct buf *out)
{
	bool is_zh = strcmp(language, "zh") == 0;

	buf_addf(out, "## %s\n\n%s\n\n", t->name, is_zh ? t->help_zh :
	    t->help_en);
	schema_docs(&t->schema, "", language, out);
}
