#include "connector-worker/sinks/cassandra_value.h"

#include "base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define UNSET UINT32_C(0xfffffffe)
#define DAY_MS INT64_C(86400000)
#define DATE_EPOCH (INT64_C(1) << 31)

/* ---- numbers --------------------------------------------------------- */

static bool
integer_parse(struct slice s, int64_t min, int64_t max, int64_t *v)
{
	bool is_negative = s.len > 0 && s.p[0] == '-';
	uint64_t limit = is_negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	uint64_t n = 0;

	if (is_negative)
		s = slice_of(s.p + 1, s.len - 1);
	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	}
	if (n > limit)
		return false;
	*v = is_negative ? (int64_t)(0 - n) : (int64_t)n;
	return *v >= min && *v <= max;
}

static bool
real_parse(struct slice s, double *v)
{
	char text[400], *end;

	/* No hexadecimal, no space: as JSON and CQL write them. */
	if (s.len == 0 || s.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\0' ||
		    strchr("0123456789+-.eEINFafinty", s.p[i]) == NULL)
			return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	errno = 0;
	*v = strtod(text, &end);
	return *end == '\0' && !(errno == ERANGE && isinf(*v));
}

static void
add_be(struct buf *out, uint64_t v, unsigned bytes)
{
	buf_add_be32(out, bytes);
	while (bytes-- > 0)
		buf_add_u8(out, (uint8_t)(v >> (bytes * 8)));
}

/* ---- times ----------------------------------------------------------- */

/* Exactly n digits. */
static bool
digits_take(struct slice *s, size_t n, int64_t *v)
{
	if (s->len < n)
		return false;
	*v = 0;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*v = *v * 10 + (s->p[i] - '0');
	}
	*s = slice_of(s->p + n, s->len - n);
	return true;
}

static bool
char_take(struct slice *s, const char *any)
{
	if (s->len == 0 || s->p[0] == '\0' || strchr(any, s->p[0]) == NULL)
		return false;
	*s = slice_of(s->p + 1, s->len - 1);
	return true;
}

static int64_t
days_in_month(int64_t y, int64_t m)
{
	static const int days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return days[m - 1] + (m == 2 && is_leap);
}

/* YYYY-MM-DD as days since 1970, in the proleptic Gregorian calendar. */
static bool
date_take(struct slice *s, int64_t *days)
{
	int64_t y, m, d, shifted, era, of_era, of_year;

	if (!digits_take(s, 4, &y) || !char_take(s, "-") ||
	    !digits_take(s, 2, &m) || !char_take(s, "-") ||
	    !digits_take(s, 2, &d) || m < 1 || m > 12 || d < 1 ||
	    d > days_in_month(y, m))
		return false;
	/* Years from March on, so that the leap day is the last. */
	shifted = y - (m <= 2) + 400;
	era = shifted / 400;
	of_era = shifted % 400;
	of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	*days = (era - 1) * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
		of_year - 719468;
	return true;
}

/* Z, +HH:MM, +HHMM, or nothing: what is to be taken off, milliseconds. */
static bool
zone_take(struct slice *s, int64_t *ms)
{
	int64_t h, m = 0;
	bool is_west;

	*ms = 0;
	if (s->len == 0 || char_take(s, "Zz"))
		return true;
	is_west = s->p[0] == '-';
	if (!char_take(s, "+-") || !digits_take(s, 2, &h))
		return false;
	char_take(s, ":");
	if (s->len > 0 && !digits_take(s, 2, &m))
		return false;
	if (h > 18 || m > 59)
		return false;
	*ms = (h * 60 + m) * (is_west ? -60000 : 60000);
	return true;
}

/* HH:MM[:SS[.fraction]] */
static bool
clock_take(struct slice *s, int64_t *ms)
{
	int64_t h, m, sec = 0, digit, unit = 100;

	if (!digits_take(s, 2, &h) || !char_take(s, ":") ||
	    !digits_take(s, 2, &m) || h > 23 || m > 59)
		return false;
	*ms = 0;
	if (char_take(s, ":") && (!digits_take(s, 2, &sec) || sec > 59))
		return false;
	if (char_take(s, ".,"))
		for (; digits_take(s, 1, &digit); unit /= 10)
			*ms += digit * unit;
	*ms += ((h * 60 + m) * 60 + sec) * 1000;
	return true;
}

static bool
timestamp_parse(struct slice s, int64_t *ms)
{
	int64_t days, clock = 0, zone = 0;

	if (integer_parse(s, INT64_MIN, INT64_MAX, ms))
		return true;
	if (!date_take(&s, &days))
		return false;
	if (s.len > 0 && (!char_take(&s, "Tt ") || !clock_take(&s, &clock) ||
			     !zone_take(&s, &zone)))
		return false;
	*ms = days * DAY_MS + clock - zone;
	return s.len == 0;
}

/* ---- others ---------------------------------------------------------- */

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
uuid_parse(struct slice s, uint8_t uuid[16])
{
	size_t n = 0;

	if (s.len != 36)
		return false;
	for (size_t i = 0; i < 36; i++) {
		int high, low;

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (s.p[i] != '-')
				return false;
			continue;
		}
		high = hex_digit(s.p[i]);
		low = hex_digit(s.p[++i]);
		if (high < 0 || low < 0)
			return false;
		uuid[n++] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool
boolean_parse(struct slice s, uint64_t *v)
{
	if (slice_is(s, "1") ||
	    (s.len == 4 && strncasecmp((const char *)s.p, "true", 4) == 0))
		*v = 1;
	else if (slice_is(s, "0") ||
		 (s.len == 5 &&
		     strncasecmp((const char *)s.p, "false", 5) == 0))
		*v = 0;
	else
		return false;
	return true;
}

static bool
ascii_check(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] > 127)
			return false;
	return true;
}

/* ---- values ---------------------------------------------------------- */

static bool
integer_add(struct buf *out, unsigned bytes, struct slice text)
{
	int64_t max = (int64_t)(UINT64_MAX >> (65 - bytes * 8)), v;

	if (!integer_parse(text, -max - 1, max, &v))
		return false;
	add_be(out, (uint64_t)v, bytes);
	return true;
}

static bool
real_add(struct buf *out, bool is_double, struct slice text)
{
	uint64_t bits64;
	uint32_t bits32;
	double v;
	float f;

	if (!real_parse(text, &v))
		return false;
	if (is_double) {
		memcpy(&bits64, &v, sizeof(v));
		add_be(out, bits64, 8);
		return true;
	}
	if (!isinf(v) && fabs(v) > 3.4028235677973366e38)
		return false;
	f = (float)v;
	memcpy(&bits32, &f, sizeof(f));
	add_be(out, bits32, 4);
	return true;
}

static bool
text_add(struct buf *out, bool is_valid, struct slice text)
{
	if (!is_valid || text.len > INT32_MAX)
		return false;
	buf_add_be32(out, (uint32_t)text.len);
	buf_add_slice(out, text);
	return true;
}

static bool
time_add(struct buf *out, bool is_date, struct slice text)
{
	int64_t v;

	if (is_date ? !date_take(&text, &v) || text.len > 0
		    : !timestamp_parse(text, &v))
		return false;
	add_be(out, (uint64_t)(is_date ? v + DATE_EPOCH : v), is_date ? 4 : 8);
	return true;
}

static bool
uuid_add(struct buf *out, bool is_timeuuid, struct slice text)
{
	uint8_t uuid[16];

	if (!uuid_parse(text, uuid) || (is_timeuuid && uuid[6] >> 4 != 1))
		return false;
	buf_add_be32(out, sizeof(uuid));
	buf_add(out, uuid, sizeof(uuid));
	return true;
}

static bool
boolean_add(struct buf *out, struct slice text)
{
	uint64_t v;

	if (!boolean_parse(text, &v))
		return false;
	add_be(out, v, 1);
	return true;
}

bool
cql_value_add(
    struct buf *out, uint16_t type, struct slice text, const char **why)
{
	switch (type) {
	case CQL_VARCHAR:
		*why = "not UTF-8, which a text column needs";
		return text_add(out, utf8_check(text), text);
	case CQL_ASCII:
		*why = "not ASCII";
		return text_add(out, ascii_check(text), text);
	case CQL_BLOB:
		*why = "too large for a blob";
		return text_add(out, true, text);
	case CQL_BIGINT:
		*why = "not a bigint";
		return integer_add(out, 8, text);
	case CQL_INT:
		*why = "not an int";
		return integer_add(out, 4, text);
	case CQL_SMALLINT:
		*why = "not a smallint";
		return integer_add(out, 2, text);
	case CQL_TINYINT:
		*why = "not a tinyint";
		return integer_add(out, 1, text);
	case CQL_DOUBLE:
		*why = "not a double";
		return real_add(out, true, text);
	case CQL_FLOAT:
		*why = "not a float";
		return real_add(out, false, text);
	case CQL_BOOLEAN:
		*why = "not a boolean";
		return boolean_add(out, text);
	case CQL_TIMESTAMP:
		*why = "not a timestamp (milliseconds or ISO 8601)";
		return time_add(out, false, text);
	case CQL_DATE:
		*why = "not a date (YYYY-MM-DD)";
		return time_add(out, true, text);
	case CQL_UUID:
		*why = "not a uuid";
		return uuid_add(out, false, text);
	case CQL_TIMEUUID:
		*why = "not a timeuuid";
		return uuid_add(out, true, text);
	default:
		*why = "of a type that is not supported";
		return false;
	}
}

void
cql_value_add_unset(struct buf *out)
{
	buf_add_be32(out, UNSET);
}

void
cql_value_add_bigint(struct buf *out, int64_t v)
{
	add_be(out, (uint64_t)v, 8);
}

/* ---- nodes ----------------------------------------------------------- */

static struct slice
spaces_cut(struct slice s)
{
	while (s.len > 0 && *s.p == ' ')
		s = slice_of(s.p + 1, s.len - 1);
	while (s.len > 0 && s.p[s.len - 1] == ' ')
		s.len--;
	return s;
}

/* Where the host ends; more than one colon without brackets is IPv6. */
static bool
node_split(struct slice s, struct slice *host, struct slice *port)
{
	const uint8_t *end = s.p + s.len, *at;

	*host = s;
	*port = SLICE_NULL;
	if (s.len > 0 && *s.p == '[') {
		at = memchr(s.p, ']', s.len);
		if (at == NULL || (at + 1 < end && at[1] != ':'))
			return false;
		*host = slice_of(s.p + 1, (size_t)(at - s.p) - 1);
		if (at + 1 < end)
			*port = slice_of(at + 2, (size_t)(end - at) - 2);
		return true;
	}
	at = s.len == 0 ? NULL : memchr(s.p, ':', s.len);
	if (at == NULL || memchr(at + 1, ':', (size_t)(end - at) - 1) != NULL)
		return true;
	*host = slice_of(s.p, (size_t)(at - s.p));
	*port = slice_of(at + 1, (size_t)(end - at) - 1);
	return true;
}

static bool
node_parse(struct slice text, uint16_t port, struct cql_node *node)
{
	struct slice host, number;
	int64_t v = port;

	if (!node_split(text, &host, &number) || host.len == 0 ||
	    host.len >= sizeof(node->host) ||
	    memchr(host.p, ' ', host.len) != NULL)
		return false;
	if (!slice_is_null(number) && !integer_parse(number, 1, 65535, &v))
		return false;
	memcpy(node->host, host.p, host.len);
	node->host[host.len] = '\0';
	node->port = (uint16_t)v;
	return true;
}

size_t
cql_nodes_parse(
    const char *text, uint16_t port, struct cql_node *nodes, size_t max)
{
	size_t count = 0, n;

	for (;; text += n + 1) {
		n = strcspn(text, ",");
		if (count == max || !node_parse(spaces_cut(slice_of(text, n)),
					port, &nodes[count]))
			return 0;
		count++;
		if (text[n] == '\0')
			return count;
	}
}
