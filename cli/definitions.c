#include "cli/definitions.h"

#include "base/json.h"
#include "base/json_text.h"
#include "base/yaml_doc.h"

static struct json_object *
scalar_json(const struct doc_node *node)
{
	struct slice text = slice_str(node->text);

	if (doc_is_null(node))
		return NULL;
	if (node->is_plain && (json_number_check(text) ||
	    slice_is(text, "true") || slice_is(text, "false")))
		return json_parse(text);
	return json_object_new_string(node->text);
}

static struct json_object *
node_json(const struct doc_node *node)
{
	struct json_object *o;

	if (node->kind == DOC_SCALAR)
		return scalar_json(node);
	o = node->kind == DOC_MAP ? json_object_new_object() :
	    json_object_new_array();
	for (const struct doc_node *n = node->first; n != NULL; n = n->next) {
		if (node->kind == DOC_MAP)
			json_object_object_add(o, n->key, node_json(n));
		else
			json_object_array_add(o, node_json(n));
	}
	return o;
}

static bool
entry_add(struct json_object *list, const struct doc_node *node,
    struct faults *faults)
{
	struct json_object *o;

	if (node->kind != DOC_MAP) {
		fault_add(faults, node->place, node->key != NULL ? node->key :
		    "", "a connector's definition must be a map");
		return false;
	}
	o = node_json(node);
	if (!json_object_object_get_ex(o, "name", NULL) && node->key != NULL)
		json_add_str(o, "name", node->key);
	json_object_array_add(list, o);
	return true;
}

struct json_object *
definitions_of(struct slice text, struct faults *faults)
{
	struct doc_node *root = yaml_doc_parse(text, faults);
	struct json_object *list = json_object_new_array();
	const struct doc_node *map = root, *inner;
	bool ok = faults->total == 0;

	if (ok && (root == NULL || root->kind != DOC_MAP ||
	    root->first == NULL)) {
		fault_add(faults, (struct doc_place){1, 1}, "",
		    "a connector's definition is wanted");
		ok = false;
	}
	if (ok && (inner = doc_find(root, "connectors")) != NULL)
		map = inner;
	if (ok && doc_find(map, "type") != NULL &&
	    doc_find(map, "type")->kind == DOC_SCALAR)
		ok = entry_add(list, map, faults);
	else if (ok)
		for (const struct doc_node *n = map->first; n != NULL;
		    n = n->next)
			ok = entry_add(list, n, faults) && ok;
	yaml_doc_free(root);
	if (ok)
		return list;
	json_object_put(list);
	return NULL;
}
