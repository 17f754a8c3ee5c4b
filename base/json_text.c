#include "base/json_text.h"

#include "base/utf8.h"

/* A place in a text that ends; *p never passes end. */
struct scan {
	const uint8_t *p, *end;
};

static void
scan_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' ||
	    *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static bool
is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	    (c >= 'A' && c <= 'F');
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* After the backslash. */
static bool
scan_escape(struct scan *s)
{
	size_t i;

	if (s->p == s->end)
		return false;
	switch (*s->p++) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return true;
	case 'u':
		if (s->end - s->p < 4)
			return false;
		for (i = 0; i < 4; i++)
			if (!is_hex(*s->p++))
				return false;
		return true;
	}
	return false;
}

#define BYTES(b) (UINT64_C(0x0101010101010101) * (b))

/* Whether one of eight bytes is zero. */
static inline uint64_t
has_zero(uint64_t w)
{
	return (w - BYTES(1)) & ~w & BYTES(0x80);
}

/*
 * Where the run of characters ends that stand for themselves in a string;
 * those beyond ASCII do if the mask leaves them (0x80: they do not).
 */
static const uint8_t *
plain_run(const uint8_t *p, const uint8_t *end, uint64_t mask)
{
	uint64_t w;

	while (end - p >= 8) {
		memcpy(&w, p, 8);
		if ((((w - BYTES(0x20)) & ~w & BYTES(0x80)) | (w & mask) |
		    has_zero(w ^ BYTES('"')) | has_zero(w ^ BYTES('\\'))) != 0)
			break;
		p += 8;
	}
	while (p < end && *p >= 0x20 && (*p & mask & 0x80) == 0 &&
	    *p != '"' && *p != '\\')
		p++;
	return p;
}

static bool
scan_string(struct scan *s)
{
	size_t n;

	s->p++;
	for (;;) {
		s->p = plain_run(s->p, s->end, BYTES(0x80));
		if (s->p == s->end)
			return false;
		if (*s->p == '"') {
			s->p++;
			return true;
		}
		if (*s->p < 0x20)
			return false;
		if (*s->p == '\\') {
			s->p++;
			if (!scan_escape(s))
				return false;
		} else {
			n = utf8_len(slice_of(s->p,
			    (size_t)(s->end - s->p)));
			if (n == 0)
				return false;
			s->p += n;
		}
	}
}

static bool
scan_digits(struct scan *s)
{
	const uint8_t *start = s->p;

	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return s->p > start;
}

static bool
scan_number(struct scan *s)
{
	if (s->p < s->end && *s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!scan_digits(s))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!scan_digits(s))
			return false;
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		return scan_digits(s);
	}
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

static bool
scan_scalar(struct scan *s)
{
	switch (*s->p) {
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	}
	return scan_number(s);
}

/* A member's name and the colon after it. */
static bool
scan_name(struct scan *s)
{
	scan_space(s);
	if (s->p == s->end || *s->p != '"' || !scan_string(s))
		return false;
	scan_space(s);
	if (s->p == s->end || *s->p != ':')
		return false;
	s->p++;
	return true;
}

/*
 * After a value: closes what ends here. True when another member follows
 * (s is before its value) or *depth has come to 0.
 */
static bool
scan_after_value(struct scan *s, const char *closers, size_t *depth)
{
	while (*depth > 0) {
		scan_space(s);
		if (s->p == s->end)
			return false;
		if (*s->p == ',') {
			s->p++;
			return closers[*depth - 1] == ']' || scan_name(s);
		}
		if (*s->p != (uint8_t)closers[*depth - 1])
			return false;
		s->p++;
		(*depth)--;
	}
	return true;
}

/* An opening bracket: true in *is_empty if it closes at once. */
static bool
scan_open(struct scan *s, char closer, bool *is_empty)
{
	s->p++;
	scan_space(s);
	*is_empty = s->p < s->end && *s->p == (uint8_t)closer;
	if (*is_empty) {
		s->p++;
		return true;
	}
	return closer == ']' || scan_name(s);
}

/* One value, s at its first character or space before it. */
static bool
scan_value(struct scan *s)
{
	char closers[JSON_DEPTH_MAX];
	size_t depth = 0;
	bool is_empty;

	do {
		scan_space(s);
		if (s->p == s->end)
			return false;
		if (*s->p != '{' && *s->p != '[') {
			if (!scan_scalar(s))
				return false;
		} else {
			if (depth == JSON_DEPTH_MAX)
				return false;
			closers[depth++] = *s->p == '{' ? '}' : ']';
			if (!scan_open(s, closers[depth - 1], &is_empty))
				return false;
			if (!is_empty)
				continue;
			depth--;
		}
		if (!scan_after_value(s, closers, &depth))
			return false;
		if (depth == 0)
			return true;
	} while (true);
}

bool
json_value(struct slice text, struct slice *value)
{
	struct scan s = {text.p, text.p + text.len};
	const uint8_t *start;

	if (text.len == 0)
		return false;
	scan_space(&s);
	start = s.p;
	if (!scan_value(&s))
		return false;
	*value = slice_of(start, (size_t)(s.p - start));
	scan_space(&s);
	return s.p == s.end;
}

bool
json_check(struct slice text)
{
	struct slice value;

	return json_value(text, &value);
}

bool
json_number_check(struct slice text)
{
	struct scan s = {text.p, text.p + text.len};

	return text.len > 0 && scan_number(&s) && s.p == s.end;
}

enum json_kind
json_kind_of(struct slice value)
{
	switch (value.p[0]) {
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	}
	return JSON_NUMBER;
}

bool
json_member_next(struct slice text, size_t *at, struct slice *name,
    struct slice *value)
{
	struct scan s = {text.p + *at, text.p + text.len};
	const uint8_t *start;

	if (*at == 0 || (s.p < s.end && *s.p == ','))
		s.p++;
	scan_space(&s);
	if (s.p == s.end || *s.p == '}' || *s.p == ']')
		return false;
	*name = SLICE_NULL;
	if (text.p[0] == '{') {
		start = s.p;
		if (*s.p != '"' || !scan_string(&s))
			return false;
		*name = slice_of(start, (size_t)(s.p - start));
		scan_space(&s);
		if (s.p == s.end || *s.p != ':')
			return false;
		s.p++;
		scan_space(&s);
	}
	start = s.p;
	if (!scan_value(&s))
		return false;
	*value = slice_of(start, (size_t)(s.p - start));
	scan_space(&s);
	*at = (size_t)(s.p - text.p);
	return true;
}

static bool
has_space(struct slice s)
{
	return memchr(s.p, ' ', s.len) != NULL ||
	    memchr(s.p, '\n', s.len) != NULL ||
	    memchr(s.p, '\t', s.len) != NULL ||
	    memchr(s.p, '\r', s.len) != NULL;
}

void
json_add_compact(struct buf *b, struct slice value)
{
	struct scan s = {value.p, value.p + value.len};
	const uint8_t *start = s.p;

	/* Most JSON of machines has no space at all. */
	if (!has_space(value)) {
		buf_add_slice(b, value);
		return;
	}
	/* Runs between spaces are copied whole; strings keep their spaces. */
	while (s.p < s.end) {
		if (*s.p == '"') {
			if (!scan_string(&s))
				s.p = s.end;
			continue;
		}
		if (*s.p > ' ') {
			s.p++;
			continue;
		}
		buf_add(b, start, (size_t)(s.p - start));
		scan_space(&s);
		start = s.p;
		if (s.p < s.end && *s.p <= ' ')
			s.p++;
	}
	buf_add(b, start, (size_t)(s.p - start));
}

static const char hex_digits[] = "0123456789abcdef";

static void
add_escape(struct buf *b, uint8_t c)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	uint8_t *out = buf_reserve(b, 6);
	size_t i;

	for (i = 0; i + 1 < sizeof(named) - 1; i += 2)
		if ((uint8_t)named[i] == c) {
			out[0] = '\\';
			out[1] = (uint8_t)named[i + 1];
			buf_commit(b, 2);
			return;
		}
	memcpy(out, "\\u00", 4);
	out[4] = (uint8_t)hex_digits[c >> 4];
	out[5] = (uint8_t)hex_digits[c & 15];
	buf_commit(b, 6);
}

void
json_add_escaped(struct buf *b, struct slice s)
{
	const uint8_t *p = s.p, *end = s.p + s.len, *start;

	while (p < end) {
		start = p;
		p = plain_run(p, end, 0);
		buf_add(b, start, (size_t)(p - start));
		if (p < end)
			add_escape(b, *p++);
	}
}

void
json_add_string(struct buf *b, struct slice s)
{
	buf_add_u8(b, '"');
	json_add_escaped(b, s);
	buf_add_u8(b, '"');
}

static uint32_t
hex_value(const uint8_t *p)
{
	uint32_t v = 0;
	size_t i;

	for (i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' :
		    (p[i] | 0x20) - 'a' + 10);
	return v;
}

static size_t
utf8_put(uint8_t out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/*
 * What the next part of a raw string's inside stands for: *n bytes of it
 * give the bytes returned, which lie in the string or in out.
 */
static struct slice
string_part(const uint8_t *p, const uint8_t *end, size_t *n, uint8_t out[4])
{
	static const char named[] = "b\bf\fn\nr\rt\t";
	const uint8_t *stop;
	uint32_t c, low;
	size_t i;

	if (*p != '\\') {
		stop = memchr(p, '\\', (size_t)(end - p));
		*n = (size_t)((stop == NULL ? end : stop) - p);
		return slice_of(p, *n);
	}
	*n = 2;
	if (p[1] != 'u') {
		out[0] = p[1];
		for (i = 0; i + 1 < sizeof(named) - 1; i += 2)
			if ((uint8_t)named[i] == p[1])
				out[0] = (uint8_t)named[i + 1];
		return slice_of(out, 1);
	}
	*n = 6;
	c = hex_value(p + 2);
	if (c >= 0xd800 && c < 0xdc00 && end - p >= 12 && p[6] == '\\' &&
	    p[7] == 'u') {
		low = hex_value(p + 8);
		if (low >= 0xdc00 && low < 0xe000) {
			*n = 12;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	if (c >= 0xd800 && c < 0xe000)
		c = 0xfffd;
	return slice_of(out, utf8_put(out, c));
}

void
json_add_unquoted(struct buf *b, struct slice string)
{
	const uint8_t *p = string.p + 1, *end = string.p + string.len - 1;
	uint8_t out[4];
	size_t n;

	for (; p < end; p += n)
		buf_add_slice(b, string_part(p, end, &n, out));
}

bool
json_string_is(struct slice string, struct slice bytes)
{
	const uint8_t *p = string.p + 1, *end = string.p + string.len - 1;
	struct slice part;
	uint8_t out[4];
	size_t n;

	for (; p < end; p += n) {
		part = string_part(p, end, &n, out);
		if (part.len > bytes.len ||
		    memcmp(part.p, bytes.p, part.len) != 0)
			return false;
		bytes = slice_of(bytes.p + part.len, bytes.len - part.len);
	}
	return bytes.len == 0;
}
