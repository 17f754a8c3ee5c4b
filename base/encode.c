#include "base/encode.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
buf_add_u64(struct buf *b, uint64_t v)
{
	char text[20];
	size_t i = sizeof(text);

	do {
		text[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	buf_add(b, text + i, sizeof(text) - i);
}

void
buf_add_i64(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_add_u8(b, '-');
	buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void
buf_add_digits(struct buf *b, uint64_t v, unsigned digits)
{
	uint8_t *p = buf_reserve(b, digits);
	unsigned i;

	for (i = digits; i-- > 0; v /= 10)
		p[i] = (uint8_t)('0' + v % 10);
	buf_commit(b, digits);
}

void
base64_add(struct buf *b, struct slice s)
{
	size_t len = (s.len + 2) / 3 * 4, i;
	uint8_t *out = buf_reserve(b, len);
	uint32_t v;

	for (i = 0; i + 2 < s.len; i += 3) {
		v = (uint32_t)s.p[i] << 16 | (uint32_t)s.p[i + 1] << 8 |
		    s.p[i + 2];
		*out++ = (uint8_t)base64_digits[v >> 18];
		*out++ = (uint8_t)base64_digits[v >> 12 & 63];
		*out++ = (uint8_t)base64_digits[v >> 6 & 63];
		*out++ = (uint8_t)base64_digits[v & 63];
	}
	if (i < s.len) {
		v = (uint32_t)s.p[i] << 16;
		if (i + 1 < s.len)
			v |= (uint32_t)s.p[i + 1] << 8;
		*out++ = (uint8_t)base64_digits[v >> 18];
		*out++ = (uint8_t)base64_digits[v >> 12 & 63];
		*out++ = i + 1 < s.len ?
		    (uint8_t)base64_digits[v >> 6 & 63] : (uint8_t)'=';
		*out++ = '=';
	}
	buf_commit(b, len);
}

static int
base64_value(uint8_t c)
{
	const char *at = c == '\0' ? NULL : strchr(base64_digits, c);

	return at == NULL ? -1 : (int)(at - base64_digits);
}

/* Four digits, of which the last `pad` are '='. */
static bool
base64_group(const uint8_t *p, unsigned pad, uint8_t out[3])
{
	uint32_t v = 0;
	unsigned i;
	int digit;

	for (i = 0; i < 4; i++) {
		digit = i < 4 - pad ? base64_value(p[i]) : 0;
		if (digit < 0)
			return false;
		v = v << 6 | (uint32_t)digit;
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	/* Bits that stand for nothing must be zero: one text, one value. */
	return pad == 0 || (pad == 1 ? out[2] == 0 : out[1] == 0);
}

bool
base64_decode(struct buf *b, struct slice s)
{
	size_t start, i;
	unsigned pad;

	if (s.len % 4 != 0)
		return false;
	buf_reserve(b, s.len / 4 * 3);
	start = b->len;
	for (i = 0; i < s.len; i += 4) {
		pad = 0;
		if (i + 4 == s.len)
			pad = s.p[i + 3] != '=' ? 0 :
			    s.p[i + 2] != '=' ? 1 : 2;
		if (!base64_group(s.p + i, pad, b->p + b->len)) {
			b->len = start;
			return false;
		}
		b->len += 3 - pad;
	}
	return true;
}

static bool
is_unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

void
percent_add(struct buf *b, struct slice s)
{
	static const char hex[] = "0123456789ABCDEF";
	uint8_t *out = buf_reserve(b, s.len * 3), *start = out;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (is_unreserved(s.p[i])) {
			*out++ = s.p[i];
			continue;
		}
		*out++ = '%';
		*out++ = (uint8_t)hex[s.p[i] >> 4];
		*out++ = (uint8_t)hex[s.p[i] & 15];
	}
	buf_commit(b, (size_t)(out - start));
}

void
csv_add(struct buf *b, struct slice s)
{
	bool needs_quotes = false;
	size_t i;

	for (i = 0; i < s.len && !needs_quotes; i++)
		needs_quotes = s.p[i] == '"' || s.p[i] == ',' ||
		    s.p[i] == '\n' || s.p[i] == '\r';
	if (!needs_quotes) {
		buf_add_slice(b, s);
		return;
	}
	buf_add_u8(b, '"');
	for (i = 0; i < s.len; i++) {
		if (s.p[i] == '"')
			buf_add_u8(b, '"');
		buf_add_u8(b, s.p[i]);
	}
	buf_add_u8(b, '"');
}

struct civil {
	int64_t year;
	unsigned month, day, yday, hour, minute, second, milli;
	int64_t seconds;
};

/* Days since 1970 to a date of the Gregorian calendar, in eras of 400 years. */
static void
civil_from_days(struct civil *c, int64_t days)
{
	static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212,
	    243, 273, 304, 334};
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	bool is_leap;

	c->day = doy - (153 * mp + 2) / 5 + 1;
	c->month = mp < 10 ? mp + 3 : mp - 9;
	c->year = (int64_t)yoe + era * 400 + (c->month <= 2 ? 1 : 0);
	is_leap = c->year % 4 == 0 && (c->year % 100 != 0 ||
	    c->year % 400 == 0);
	c->yday = before[c->month - 1] + c->day +
	    (is_leap && c->month > 2 ? 1 : 0);
}

static void
civil_from_ms(struct civil *c, int64_t ms)
{
	int64_t days, in_day;

	c->milli = (unsigned)((ms % 1000 + 1000) % 1000);
	c->seconds = (ms - (int64_t)c->milli) / 1000;
	in_day = (c->seconds % 86400 + 86400) % 86400;
	days = (c->seconds - in_day) / 86400;
	c->hour = (unsigned)(in_day / 3600);
	c->minute = (unsigned)(in_day / 60 % 60);
	c->second = (unsigned)(in_day % 60);
	civil_from_days(c, days);
}

static void
time_add_date(struct buf *b, const struct civil *c)
{
	buf_add_digits(b, (uint64_t)c->year, 4);
	buf_add_u8(b, '-');
	buf_add_digits(b, c->month, 2);
	buf_add_u8(b, '-');
	buf_add_digits(b, c->day, 2);
}

static void
time_add_clock(struct buf *b, const struct civil *c)
{
	buf_add_digits(b, c->hour, 2);
	buf_add_u8(b, ':');
	buf_add_digits(b, c->minute, 2);
	buf_add_u8(b, ':');
	buf_add_digits(b, c->second, 2);
}

static void
time_add_conversion(struct buf *b, uint8_t conversion, const struct civil *c)
{
	switch (conversion) {
	case 'Y':
		buf_add_digits(b, (uint64_t)c->year, 4);
		break;
	case 'y':
		buf_add_digits(b, (uint64_t)c->year, 2);
		break;
	case 'm':
		buf_add_digits(b, c->month, 2);
		break;
	case 'd':
		buf_add_digits(b, c->day, 2);
		break;
	case 'e':
		buf_add_u8(b, c->day < 10 ? ' ' : (uint8_t)('0' + c->day / 10));
		buf_add_digits(b, c->day, 1);
		break;
	case 'j':
		buf_add_digits(b, c->yday, 3);
		break;
	case 'H':
		buf_add_digits(b, c->hour, 2);
		break;
	case 'M':
		buf_add_digits(b, c->minute, 2);
		break;
	case 'S':
		buf_add_digits(b, c->second, 2);
		break;
	case 'L':
		buf_add_digits(b, c->milli, 3);
		break;
	case 's':
		buf_add_i64(b, c->seconds);
		break;
	case 'F':
		time_add_date(b, c);
		break;
	case 'T':
		time_add_clock(b, c);
		break;
	default:
		buf_add_u8(b, conversion);
	}
}

void
time_format_add(struct buf *b, struct slice format, int64_t ms)
{
	struct civil c;
	size_t i;

	civil_from_ms(&c, ms);
	for (i = 0; i < format.len; i++) {
		if (format.p[i] != '%' || i + 1 == format.len)
			buf_add_u8(b, format.p[i]);
		else
			time_add_conversion(b, format.p[++i], &c);
	}
}

const char *
time_format_check(struct slice format)
{
	size_t i;

	for (i = 0; i < format.len; i++) {
		if (format.p[i] != '%')
			continue;
		if (++i == format.len)
			return "%";
		if (format.p[i] == '\0' ||
		    strchr("YymdejHMSLsFT%", format.p[i]) == NULL)
			return (const char *)format.p + i - 1;
	}
	return NULL;
}
