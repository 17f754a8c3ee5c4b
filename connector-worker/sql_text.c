#include "connector-worker/sql_text.h"

#include <ctype.h>

void
sql_name_add(struct buf *b, struct slice name)
{
	buf_add_u8(b, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.p[i] == '"')
			buf_add_u8(b, '"');
		buf_add_u8(b, name.p[i]);
	}
	buf_add_u8(b, '"');
}

/*
 * Takes one part off the front of *s and adds it quoted. What is left begins
 * behind the part, at its dot or the end.
 */
static const char *
part_take(struct slice *s, struct buf *out)
{
	bool is_quoted = s->len > 0 && s->p[0] == '"';
	struct buf name;
	const char *wrong = NULL;
	size_t i = is_quoted ? 1 : 0;

	buf_init(&name);
	for (; i < s->len; i++) {
		uint8_t c = s->p[i];

		if (!is_quoted && c == '.')
			break;
		if (c == '"') {
			if (!is_quoted) {
				wrong = "has a quote in the middle of a name";
				goto out;
			}
			if (i + 1 >= s->len || s->p[i + 1] != '"')
				break;
			i++;
		}
		if (c == '\0') {
			wrong = "holds a NUL";
			goto out;
		}
		buf_add_u8(&name, c);
	}
	if (is_quoted && i == s->len)
		wrong = "has a quote without an end";
	else if (buf_len(&name) == 0)
		wrong = "has an empty name";
	else if (out != NULL)
		sql_name_add(out, buf_slice(&name));
	i += is_quoted ? 1 : 0;
out:
	s->p += i < s->len ? i : s->len;
	s->len -= i < s->len ? i : s->len;
	buf_fini(&name);
	return wrong;
}

const char *
sql_table_add(struct buf *out, struct slice table)
{
	for (size_t parts = 1;; parts++) {
		const char *wrong = part_take(&table, out);

		if (wrong != NULL)
			return wrong;
		if (table.len == 0)
			return NULL;
		if (table.p[0] != '.')
			return "has something behind a quoted name";
		if (parts == 3)
			return "has more than three parts";
		if (out != NULL)
			buf_add_u8(out, '.');
		table.p++;
		table.len--;
	}
}

/* --- where a statement is text and where it is something else --------- */

/* End of a quoted run that begins at i; its quote doubled is part of it. */
static size_t
quoted_end(struct slice s, size_t i, bool has_escapes)
{
	uint8_t quote = s.p[i++];

	for (; i < s.len; i++) {
		if (has_escapes && s.p[i] == '\\') {
			i++;
			continue;
		}
		if (s.p[i] != quote)
			continue;
		if (i + 1 >= s.len || s.p[i + 1] != quote)
			return i + 1;
		i++;
	}
	return s.len;
}

static size_t
line_end(struct slice s, size_t i)
{
	while (i < s.len && s.p[i] != '\n')
		i++;
	return i;
}

/* Block comments nest. */
static size_t
comment_end(struct slice s, size_t i)
{
	size_t depth = 0;

	while (i + 1 < s.len) {
		if (s.p[i] == '/' && s.p[i + 1] == '*') {
			depth++;
			i += 2;
		} else if (s.p[i] == '*' && s.p[i + 1] == '/') {
			i += 2;
			if (--depth == 0)
				return i;
		} else
			i++;
	}
	return s.len;
}

/* $tag$ ... $tag$: the end behind it, or i when none begins at i. */
static size_t
dollar_end(struct slice s, size_t i)
{
	size_t tag = i + 1;

	while (tag < s.len &&
	       (isalnum(s.p[tag]) || s.p[tag] == '_' || s.p[tag] >= 0x80))
		tag++;
	if (tag >= s.len || s.p[tag] != '$' ||
	    (tag > i + 1 && isdigit(s.p[i + 1])))
		return i;
	tag = tag + 1 - i;
	for (size_t at = i + tag; s.len - at >= tag && at < s.len; at++)
		if (memcmp(s.p + at, s.p + i, tag) == 0)
			return at + tag;
	return s.len;
}

/* The end of what is no plain text at i; i where text goes on. */
static size_t
opaque_end(struct slice s, size_t i)
{
	uint8_t c = s.p[i], next = i + 1 < s.len ? s.p[i + 1] : '\0';
	bool is_word = i > 1 && (isalnum(s.p[i - 2]) || s.p[i - 2] == '_');

	if (c == '\'')
		return quoted_end(s, i,
		    i > 0 && !is_word &&
			(s.p[i - 1] == 'E' || s.p[i - 1] == 'e'));
	if (c == '"')
		return quoted_end(s, i, false);
	if (c == '-' && next == '-')
		return line_end(s, i);
	if (c == '/' && next == '*')
		return comment_end(s, i);
	if (c == '$' && next != '{')
		return dollar_end(s, i);
	return i;
}

/* The end of the ${ at i behind its }, as base/template.h writes them; 0. */
static size_t
template_end(struct slice s, size_t i)
{
	bool is_fallback = false;

	for (i += 2; i < s.len; i++) {
		uint8_t c = s.p[i];

		if (c == '}')
			return i + 1;
		if (c == '|')
			is_fallback = true;
		else if (is_fallback && c == '\\')
			i++;
		else if (!is_fallback && c == '[' && i + 1 < s.len &&
			 s.p[i + 1] == '"')
			for (i += 2; i < s.len && s.p[i] != '"'; i++)
				i += s.p[i] == '\\';
	}
	return 0;
}

static bool
holds_template(struct slice s)
{
	for (size_t i = 0; i + 1 < s.len; i++)
		if (s.p[i] == '$' && s.p[i + 1] == '{')
			return true;
	return false;
}

const char *
sql_params_take(
    struct slice s, struct buf *out, struct slice *params, size_t *count)
{
	*count = 0;
	for (size_t i = 0; i < s.len;) {
		size_t end = opaque_end(s, i);
		if (end > i) {
			struct slice run = slice_of(s.p + i, end - i);

			if (holds_template(run))
				return "has a template inside quotes or a "
				       "comment: values are bound, write it "
				       "bare";
			buf_add_slice(out, run);
			i = end;
			continue;
		}
		if (s.p[i] == '\0')
			return "holds a NUL";
		if (s.p[i] != '$' || i + 1 >= s.len || s.p[i + 1] != '{') {
			buf_add_u8(out, s.p[i++]);
			continue;
		}
		end = template_end(s, i);
		if (end == 0)
			return "has a ${ without its }";
		if (*count == SQL_PARAMS_MAX)
			return "has too many templates";
		params[(*count)++] = slice_of(s.p + i, end - i);
		buf_addf(out, "$%zu", *count);
		i = end;
	}
	return NULL;
}
