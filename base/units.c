#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
    {"TiB", INT64_C(1) << 40}, {NULL, 0}};
static const struct unit times[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
    {NULL, 0}};

/*
 * NUMBER[.DIGITS]UNIT, in whole numbers: a double would turn 0.1s into
 * something that is not 100 ms. What is below one byte or millisecond is
 * cut off.
 */
static bool
quantity_parse(const char *text, const struct unit *u, int64_t *v)
{
	size_t whole = strspn(text, "0123456789"), digits = 0, i;
	const char *name = text + whole;
	int64_t sum, part = 0, scale = 1;

	if (whole == 0 || whole > 18)
		return false;
	if (*name == '.') {
		digits = strspn(++name, "0123456789");
		if (digits == 0 || digits > 6)
			return false;
	}
	for (i = 0; i < digits; i++) {
		part = part * 10 + (*name++ - '0');
		scale *= 10;
	}
	while (u->name != NULL && strcmp(u->name, name) != 0)
		u++;
	if (u->name == NULL)
		return false;
	sum = strtoll(text, NULL, 10);
	/* At most 10^6 times 2^40: no overflow in the part. */
	return !__builtin_mul_overflow(sum, u->factor, &sum) &&
	    !__builtin_add_overflow(sum, part * u->factor / scale, v);
}

bool
size_parse(const char *text, int64_t *bytes)
{
	return quantity_parse(text, sizes, bytes);
}

bool
duration_parse(const char *text, int64_t *ms)
{
	if (strcmp(text, "0") == 0) {
		*ms = 0;
		return true;
	}
	return quantity_parse(text, times, ms);
}

static void
quantity_format(int64_t v, const struct unit *u, char *out, size_t size)
{
	const struct unit *best = u;

	for (; u->name != NULL; u++)
		if (v != 0 && v % u->factor == 0 && u->factor > 1)
			best = u;
	snprintf(out, size, "%lld%s", (long long)(v / best->factor),
	    v == 0 ? "" : best->name);
}

void
size_format(int64_t bytes, char *out, size_t size)
{
	quantity_format(bytes, sizes, out, size);
}

void
duration_format(int64_t ms, char *out, size_t size)
{
	quantity_format(ms, times, out, size);
}

bool
int_parse(const char *text, int64_t *v)
{
	char *end;
	const char *digits = text + (*text == '-' || *text == '+');

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	*v = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0';
}

static bool
offset_parse(const char *s, int64_t *minutes)
{
	int h, m, n = 0;

	*minutes = 0;
	if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0)
		return true;
	if ((*s != '+' && *s != '-') || strlen(s) != 6 ||
	    sscanf(s + 1, "%2d:%2d%n", &h, &m, &n) != 2 || n != 5 || h < 0 ||
	    h > 23 || m < 0 || m > 59)
		return false;
	*minutes = (*s == '-' ? -1 : 1) * (h * 60 + m);
	return true;
}

bool
time_parse(const char *text, int64_t *ms)
{
	struct tm tm = {0}, check;
	int64_t part = 0, offset;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	size_t digits, i;
	time_t t;

	if (rest == NULL)
		return false;
	if (*rest == '.') {
		digits = strspn(++rest, "0123456789");
		if (digits == 0)
			return false;
		for (i = 0; i < 3; i++)
			part = part * 10 + (i < digits ? rest[i] - '0' : 0);
		rest += digits;
	}
	if (!offset_parse(rest, &offset))
		return false;
	check = tm;
	t = timegm(&check);
	/* The 31st of February is no day. */
	if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon)
		return false;
	*ms = ((int64_t)t - offset * 60) * 1000 + part;
	return true;
}
