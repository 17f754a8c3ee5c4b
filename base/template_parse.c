#include "base/template_parts.h"

#include "base/encode.h"
#include "base/json_text.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The text and how far it is read; the first fault stays. */
struct parser {
	struct slice text;
	size_t at;
	char *fault;
	size_t size;
	bool has_failed;
};

static bool
parse_fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
parse_fail(struct parser *p, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	if (!p->has_failed) {
		va_start(ap, fmt);
		vsnprintf(what, sizeof(what), fmt, ap);
		va_end(ap);
		snprintf(p->fault, p->size, "column %zu: %s", p->at + 1, what);
	}
	p->has_failed = true;
	return false;
}

static bool
parse_is_at(const struct parser *p, const char *s)
{
	size_t n = strlen(s);

	return p->text.len - p->at >= n &&
	    memcmp(p->text.p + p->at, s, n) == 0;
}

static struct part *
template_add(struct template *t)
{
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 4 : t->cap * 2;
		t->parts = mem_realloc(t->parts, t->cap * sizeof(*t->parts));
	}
	t->parts[t->n] = (struct part){0};
	return &t->parts[t->n++];
}

static void
part_set_text(struct part *part, struct slice text)
{
	part->text = slice_dup(text);
	part->len = text.len;
}

/* Everything up to the next ${, with $${ as a literal. */
static void
parse_text(struct parser *p, struct template *t)
{
	struct buf text;

	buf_init(&text);
	while (p->at < p->text.len && !parse_is_at(p, "${")) {
		if (parse_is_at(p, "$${")) {
			buf_add_str(&text, "${");
			p->at += 3;
		} else {
			buf_add_u8(&text, p->text.p[p->at++]);
		}
	}
	if (buf_len(&text) > 0)
		part_set_text(template_add(t), buf_slice(&text));
	buf_fini(&text);
}

static struct slice
parse_word(struct parser *p)
{
	size_t start = p->at;
	uint8_t c;

	while (p->at < p->text.len) {
		c = p->text.p[p->at];
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_')
			break;
		p->at++;
	}
	return slice_of(p->text.p + start, p->at - start);
}

static struct slice
parse_rest(const struct parser *p)
{
	return slice_of(p->text.p + p->at, p->text.len - p->at);
}

static bool
parse_level(struct parser *p, struct part *part)
{
	size_t digits = 0;

	part->source = PART_LEVEL;
	p->at++;
	while (p->at < p->text.len && p->text.p[p->at] >= '0' &&
	    p->text.p[p->at] <= '9' && digits++ < 4)
		part->index = part->index * 10 +
		    (size_t)(p->text.p[p->at++] - '0');
	if (digits == 0 || !parse_is_at(p, "]"))
		return parse_fail(p, "expected a level's number and \"]\"");
	p->at++;
	return true;
}

static bool
parse_path(struct parser *p, struct part *part)
{
	const char *fault;
	size_t used;

	part->source = PART_JSON;
	part->path = json_path_parse(parse_rest(p), &used, &fault);
	p->at += used;
	return part->path != NULL || parse_fail(p, "%s", fault);
}

/* .NAME, all up to what can follow a value, or ["NAME"]. */
static bool
parse_header(struct parser *p, struct part *part)
{
	size_t start = p->at + 1, end = start;
	struct slice quoted;
	struct buf name;

	part->source = PART_HEADER;
	if (parse_is_at(p, ".")) {
		while (end < p->text.len &&
		    strchr(":|}", p->text.p[end]) == NULL)
			end++;
		part_set_text(part, slice_of(p->text.p + start, end - start));
		p->at = end;
		return part->len > 0 || parse_fail(p, "expected a name");
	}
	while (++end < p->text.len && p->text.p[end] != '"')
		if (p->text.p[end] == '\\')
			end++;
	if (end + 1 >= p->text.len || p->text.p[end + 1] != ']')
		return parse_fail(p, "a quoted name does not end with \"]");
	quoted = slice_of(p->text.p + start, end + 1 - start);
	if (!json_check(quoted))
		return parse_fail(p, "a quoted name is not a JSON string");
	buf_init(&name);
	json_add_unquoted(&name, quoted);
	part_set_text(part, buf_slice(&name));
	buf_fini(&name);
	p->at = end + 2;
	return true;
}

static bool
parse_source(struct parser *p, struct part *part)
{
	struct slice word = parse_word(p);

	if (slice_is(word, "timestamp")) {
		part->source = PART_TIME;
		return true;
	}
	part->source = PART_FIELD;
	part->field = record_field_find(word);
	if (part->field == FIELD_COUNT) {
		p->at -= word.len;
		return parse_fail(p, "there is no field \"%.*s\"",
		    SLICE_ARG(word));
	}
	if (part->field == FIELD_TOPIC && parse_is_at(p, "["))
		return parse_level(p, part);
	if (part->field == FIELD_PAYLOAD &&
	    (parse_is_at(p, ".") || parse_is_at(p, "[")))
		return parse_path(p, part);
	if (part->field == FIELD_HEADERS &&
	    (parse_is_at(p, ".") || parse_is_at(p, "[\"")))
		return parse_header(p, part);
	return true;
}

static bool
parse_time_format(struct parser *p, struct part *part)
{
	size_t start = p->at;
	const char *bad;
	struct slice s;

	while (p->at < p->text.len && p->text.p[p->at] != '|' &&
	    p->text.p[p->at] != '}')
		p->at++;
	s = slice_of(p->text.p + start, p->at - start);
	bad = time_format_check(s);
	if (bad != NULL || s.len == 0) {
		p->at = start;
		return parse_fail(p, bad == NULL ? "expected a time format" :
		    "the time format has an unknown conversion");
	}
	part_set_text(part, s);
	return true;
}

static bool
parse_type(struct parser *p, struct part *part)
{
	static const struct {
		const char *name;
		enum part_type type;
	} types[] = {{"number", PART_NUMBER}, {"bool", PART_BOOL},
	    {"json", PART_AS_JSON}, {"base64", PART_BASE64}};
	struct slice word;
	size_t i;

	p->at++;
	if (part->source == PART_TIME)
		return parse_time_format(p, part);
	word = parse_word(p);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_is(word, types[i].name)) {
			part->type = types[i].type;
			return true;
		}
	p->at -= word.len;
	return parse_fail(p, "there is no type \"%.*s\": number, bool, json "
	    "or base64", SLICE_ARG(word));
}

static bool
fallback_is_of_type(const struct part *part)
{
	struct slice s = slice_of(part->fallback, part->fallback_len);

	switch (part->type) {
	case PART_NUMBER:
		return json_number_check(s);
	case PART_BOOL:
		return slice_is(s, "true") || slice_is(s, "false");
	case PART_AS_JSON:
		return json_check(s);
	case PART_PLAIN:
	case PART_BASE64:
		break;
	}
	return true;
}

static bool
parse_fallback(struct parser *p, struct part *part)
{
	size_t start = ++p->at;
	struct buf text;

	buf_init(&text);
	while (p->at < p->text.len && p->text.p[p->at] != '}') {
		if (parse_is_at(p, "\\}") || parse_is_at(p, "\\\\"))
			p->at++;
		buf_add_u8(&text, p->text.p[p->at++]);
	}
	part->fallback_len = buf_len(&text);
	part->fallback = slice_dup(buf_slice(&text));
	buf_fini(&text);
	if (fallback_is_of_type(part))
		return true;
	p->at = start;
	return parse_fail(p, "the fallback is not of the type");
}

/* From "${" to the "}" that closes it. */
static bool
parse_value(struct parser *p, struct template *t)
{
	struct part *part = template_add(t);

	p->at += 2;
	if (!parse_source(p, part))
		return false;
	if (parse_is_at(p, ":") && !parse_type(p, part))
		return false;
	if (parse_is_at(p, "|") && !parse_fallback(p, part))
		return false;
	if (!parse_is_at(p, "}"))
		return parse_fail(p, "expected \"}\"");
	p->at++;
	if (part->source == PART_TIME && part->text == NULL)
		part_set_text(part, SLICE_LIT("%FT%T.%LZ"));
	return true;
}

struct template *
template_parse(struct slice text, char *fault, size_t size)
{
	struct parser p = {.text = text, .fault = fault, .size = size};
	struct template *t = mem_zalloc(1, sizeof(*t));

	while (p.at < text.len && !p.has_failed) {
		parse_text(&p, t);
		if (p.at < text.len)
			parse_value(&p, t);
	}
	if (!p.has_failed)
		return t;
	template_free(t);
	return NULL;
}

void
template_free(struct template *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < t->n; i++) {
		json_path_free(t->parts[i].path);
		free(t->parts[i].text);
		free(t->parts[i].fallback);
	}
	free(t->parts);
	free(t);
}
