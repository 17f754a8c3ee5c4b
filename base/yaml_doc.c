#include "base/yaml_doc.h"

#include "base/json.h"
#include "base/mem.h"

#include <yaml.h>

#include <stdio.h>
#include <stdlib.h>

struct reader {
	yaml_parser_t parser;
	struct faults *faults;
	size_t nodes;
	bool has_failed;	/* nothing more can be read */
	bool is_json;
};

static struct doc_place
mark_place(yaml_mark_t m)
{
	return (struct doc_place){(unsigned)m.line + 1, (unsigned)m.column + 1};
}

static void
reader_fail(struct reader *r, yaml_mark_t m, const char *message)
{
	if (!r->has_failed)
		fault_add(r->faults, mark_place(m), "", "%s", message);
	r->has_failed = true;
}

static bool
reader_next(struct reader *r, yaml_event_t *e)
{
	if (r->has_failed)
		return false;
	if (yaml_parser_parse(&r->parser, e) == 1)
		return true;
	/* Bytes that are no UTF-8 have an offset and no mark. */
	if (r->parser.error == YAML_READER_ERROR)
		fault_add(r->faults, (struct doc_place){0}, "",
		    "not readable: %s at byte %zu", r->parser.problem,
		    r->parser.problem_offset);
	else
		fault_add(r->faults, mark_place(r->parser.problem_mark), "",
		    "%s%s%s", r->parser.problem == NULL ? "not YAML" :
		    r->parser.problem, r->parser.context == NULL ? "" : ", ",
		    r->parser.context == NULL ? "" : r->parser.context);
	r->has_failed = true;
	return false;
}

static struct doc_node *
node_new(struct reader *r, enum doc_kind kind, yaml_mark_t m)
{
	struct doc_node *n;

	if (r->nodes++ == DOC_NODES_MAX) {
		reader_fail(r, m, "too many values (more than 100000)");
		return NULL;
	}
	n = mem_zalloc(1, sizeof(*n));
	n->kind = kind;
	n->place = mark_place(m);
	return n;
}

static struct doc_node *
scalar_take(struct reader *r, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	struct doc_node *n;

	if (e->data.scalar.anchor != NULL) {
		reader_fail(r, e->start_mark, "anchors are not supported");
		return NULL;
	}
	if (e->data.scalar.tag != NULL) {
		reader_fail(r, e->start_mark, "tags are not supported");
		return NULL;
	}
	if (memchr(text, '\0', e->data.scalar.length) != NULL) {
		reader_fail(r, e->start_mark, "a NUL character in a value");
		return NULL;
	}
	n = node_new(r, DOC_SCALAR, e->start_mark);
	if (n == NULL)
		return NULL;
	n->is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->is_typed = n->is_plain && r->is_json;
	n->text = mem_strdup(text);
	return n;
}

static struct doc_node *node_read(struct reader *, const yaml_event_t *,
    unsigned depth);

static int
member_compare(const void *a, const void *b)
{
	const struct doc_node *const *x = a, *const *y = b;
	int d = strcmp((*x)->key, (*y)->key);

	if (d != 0)
		return d;
	return (*x)->key_place.line != (*y)->key_place.line ?
	    ((*x)->key_place.line < (*y)->key_place.line ? -1 : 1) :
	    ((*x)->key_place.column < (*y)->key_place.column ? -1 : 1);
}

static void
map_check_unique(struct reader *r, const struct doc_node *map, size_t n)
{
	const struct doc_node **v, *m;
	size_t i = 0;

	if (n < 2)
		return;
	v = mem_zalloc(n, sizeof(struct doc_node *));
	for (m = map->first; m != NULL; m = m->next)
		v[i++] = m;
	qsort(v, n, sizeof(*v), member_compare);
	for (i = 1; i < n; i++)
		if (strcmp(v[i - 1]->key, v[i]->key) == 0)
			fault_add(r->faults, v[i]->key_place, v[i]->key,
			    "written twice, first in line %u",
			    v[i - 1]->key_place.line);
	free(v);
}

/* Reads a key and its value; NULL at the end of the map or after a fault. */
static struct doc_node *
member_read(struct reader *r, unsigned depth)
{
	struct doc_node *key, *value = NULL;
	yaml_event_t e;

	if (!reader_next(r, &e))
		return NULL;
	if (e.type == YAML_MAPPING_END_EVENT) {
		yaml_event_delete(&e);
		return NULL;
	}
	if (e.type != YAML_SCALAR_EVENT) {
		reader_fail(r, e.start_mark, "a key must be a plain text");
		yaml_event_delete(&e);
		return NULL;
	}
	key = scalar_take(r, &e);
	yaml_event_delete(&e);
	if (key != NULL && reader_next(r, &e)) {
		value = node_read(r, &e, depth);
		yaml_event_delete(&e);
	}
	if (value != NULL) {
		value->key = key->text;
		value->key_place = key->place;
		key->text = NULL;
	}
	yaml_doc_free(key);
	return value;
}

static struct doc_node *
item_read(struct reader *r, unsigned depth)
{
	struct doc_node *item = NULL;
	yaml_event_t e;

	if (!reader_next(r, &e))
		return NULL;
	if (e.type != YAML_SEQUENCE_END_EVENT)
		item = node_read(r, &e, depth);
	yaml_event_delete(&e);
	return item;
}

static struct doc_node *
branch_read(struct reader *r, const yaml_event_t *e, enum doc_kind kind,
    unsigned depth)
{
	struct doc_node *n, *child, **tail;
	size_t count = 0;

	if (depth == DOC_DEPTH_MAX) {
		reader_fail(r, e->start_mark, "nested more than 16 deep");
		return NULL;
	}
	n = node_new(r, kind, e->start_mark);
	if (n == NULL)
		return NULL;
	tail = &n->first;
	while ((child = kind == DOC_MAP ? member_read(r, depth + 1) :
	    item_read(r, depth + 1)) != NULL) {
		*tail = child;
		tail = &child->next;
		count++;
	}
	if (kind == DOC_MAP)
		map_check_unique(r, n, count);
	return n;
}

static struct doc_node *
node_read(struct reader *r, const yaml_event_t *e, unsigned depth)
{
	bool is_map = e->type == YAML_MAPPING_START_EVENT;
	const unsigned char *anchor, *tag;

	if (e->type == YAML_SCALAR_EVENT)
		return scalar_take(r, e);
	if (e->type == YAML_ALIAS_EVENT) {
		reader_fail(r, e->start_mark, "aliases are not supported");
		return NULL;
	}
	if (!is_map && e->type != YAML_SEQUENCE_START_EVENT) {
		reader_fail(r, e->start_mark, "a value is missing");
		return NULL;
	}
	anchor = is_map ? e->data.mapping_start.anchor :
	    e->data.sequence_start.anchor;
	tag = is_map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	if (anchor != NULL || tag != NULL) {
		reader_fail(r, e->start_mark, anchor != NULL ?
		    "anchors are not supported" : "tags are not supported");
		return NULL;
	}
	return branch_read(r, e, is_map ? DOC_MAP : DOC_LIST, depth);
}

/* The events around the one document that a text may hold. */
static struct doc_node *
document_read(struct reader *r)
{
	struct doc_node *root = NULL;
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t e;

	while (type != YAML_STREAM_END_EVENT && reader_next(r, &e)) {
		type = e.type;
		if (type == YAML_DOCUMENT_START_EVENT && root != NULL)
			reader_fail(r, e.start_mark, "a second document");
		if (type == YAML_SCALAR_EVENT || type == YAML_ALIAS_EVENT ||
		    type == YAML_MAPPING_START_EVENT ||
		    type == YAML_SEQUENCE_START_EVENT)
			root = node_read(r, &e, 0);
		yaml_event_delete(&e);
	}
	return root;
}

static unsigned
hex4(const uint8_t *p)
{
	char digits[5] = {0};

	memcpy(digits, p, 4);
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return 0;
	return (unsigned)strtoul(digits, NULL, 16);
}

/*
 * JSON writes a character beyond the first plane as two \u escapes, which
 * YAML does not know: they become its one \U escape.
 */
static void
surrogates_join(struct slice in, struct buf *out)
{
	size_t i = 0;
	unsigned hi, lo;

	while (i < in.len) {
		if (in.p[i] != '\\' || in.len - i < 2) {
			buf_add_u8(out, in.p[i++]);
			continue;
		}
		hi = in.p[i + 1] == 'u' && in.len - i >= 12 ?
		    hex4(in.p + i + 2) : 0;
		lo = hi >= 0xd800 && hi < 0xdc00 && in.p[i + 6] == '\\' &&
		    in.p[i + 7] == 'u' ? hex4(in.p + i + 8) : 0;
		if (lo >= 0xdc00 && lo < 0xe000) {
			buf_addf(out, "\\U%08X",
			    0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00));
			i += 12;
			continue;
		}
		buf_add(out, in.p + i, 2);
		i += 2;
	}
}

static bool
text_is_json(struct slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++)
		if (memchr(" \t\r\n", text.p[i], 4) == NULL)
			return text.p[i] == '{' || text.p[i] == '[';
	return false;
}

struct doc_node *
yaml_doc_parse(struct slice text, struct faults *faults)
{
	struct reader r = {.faults = faults};
	size_t before = faults->total;
	struct doc_node *root = NULL;
	struct json_object *json;
	struct buf joined;

	if (text.len > DOC_TEXT_MAX) {
		fault_add(faults, (struct doc_place){0}, "",
		    "the text has %zu bytes, more than %u", text.len,
		    DOC_TEXT_MAX);
		return NULL;
	}
	buf_init(&joined);
	if (text_is_json(text)) {
		json = json_parse(text);
		r.is_json = json != NULL;
		json_object_put(json);
		surrogates_join(text, &joined);
		text = buf_slice(&joined);
	}
	if (yaml_parser_initialize(&r.parser) == 1) {
		yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&r.parser, text.len == 0 ?
		    (const uint8_t *)"" : text.p, text.len);
		root = document_read(&r);
		yaml_parser_delete(&r.parser);
	}
	buf_fini(&joined);
	if (faults->total == before)
		return root;
	yaml_doc_free(root);
	return NULL;
}

void
yaml_doc_free(struct doc_node *n)
{
	struct doc_node *child;

	if (n == NULL)
		return;
	while ((child = n->first) != NULL) {
		n->first = child->next;
		yaml_doc_free(child);
	}
	free(n->text);
	free(n->key);
	free(n);
}

const struct doc_node *
doc_find(const struct doc_node *map, const char *key)
{
	const struct doc_node *n;

	if (map == NULL || map->kind != DOC_MAP)
		return NULL;
	for (n = map->first; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

bool
doc_is_null(const struct doc_node *n)
{
	return n == NULL || (n->kind == DOC_SCALAR && n->is_plain &&
	    (n->text[0] == '\0' || strcmp(n->text, "~") == 0 ||
	    strcmp(n->text, "null") == 0));
}

struct doc_place
doc_place(const struct doc_node *n)
{
	return n->kind != DOC_SCALAR && n->key != NULL ? n->key_place :
	    n->place;
}

static const struct doc_node *
list_at(const struct doc_node *list, unsigned long index)
{
	const struct doc_node *n;

	if (list->kind != DOC_LIST)
		return NULL;
	for (n = list->first; n != NULL && index > 0; n = n->next)
		index--;
	return n;
}

struct doc_place
doc_place_of(const struct doc_node *root, const char *path)
{
	const struct doc_node *at = root, *next;
	char key[256];
	size_t n;

	if (root == NULL)
		return (struct doc_place){0};
	while (*path != '\0') {
		if (*path == '[') {
			next = list_at(at, strtoul(path + 1, NULL, 10));
			n = strcspn(path, "]");
			path += path[n] == ']' ? n + 1 : n;
		} else {
			path += *path == '.';
			n = strcspn(path, ".[");
			snprintf(key, sizeof(key), "%.*s", (int)n, path);
			next = doc_find(at, key);
			path += n;
		}
		if (next == NULL)
			break;
		at = next;
	}
	return at == root ? (struct doc_place){0} : doc_place(at);
}
