#include "base/topic.h"

#include "base/utf8.h"

bool
topic_next(struct slice *rest, struct slice *level)
{
	const uint8_t *slash;
	size_t n;

	if (rest->p == NULL)
		return false;
	slash = rest->len == 0 ? NULL : memchr(rest->p, '/', rest->len);
	if (slash == NULL) {
		*level = *rest;
		*rest = SLICE_NULL;
		return true;
	}
	n = (size_t)(slash - rest->p);
	*level = slice_of(rest->p, n);
	*rest = slice_of(slash + 1, rest->len - n - 1);
	return true;
}

size_t
topic_levels(struct slice topic)
{
	struct slice level;
	size_t n = 0;

	while (topic_next(&topic, &level))
		n++;
	return n;
}

struct slice
topic_level(struct slice topic, size_t n)
{
	struct slice level;

	while (topic_next(&topic, &level))
		if (n-- == 0)
			return level;
	return SLICE_NULL;
}

static bool
level_is(struct slice level, char c)
{
	return level.len == 1 && level.p[0] == (uint8_t)c;
}

static bool
level_has_wildcard(struct slice level)
{
	return memchr(level.p, '+', level.len) != NULL ||
	    memchr(level.p, '#', level.len) != NULL;
}

/* What a topic and a filter have in common. */
static const char *
name_check(struct slice s)
{
	if (s.len == 0)
		return "is empty";
	if (s.len > TOPIC_LEN_MAX)
		return "is longer than 65535 bytes";
	if (memchr(s.p, '\0', s.len) != NULL)
		return "holds a NUL character";
	if (!utf8_check(s))
		return "is not valid UTF-8";
	if (topic_levels(s) > TOPIC_LEVELS_MAX)
		return "has more than 256 levels";
	return NULL;
}

const char *
topic_check(struct slice topic)
{
	const char *fault = name_check(topic);

	if (fault != NULL)
		return fault;
	return level_has_wildcard(topic) ? "holds a wildcard" : NULL;
}

const char *
filter_check(struct slice filter)
{
	const char *fault = name_check(filter);
	struct slice level;

	if (fault != NULL)
		return fault;
	while (topic_next(&filter, &level)) {
		if (level.len == 0 || !level_has_wildcard(level))
			continue;
		if (level.len > 1)
			return "has a wildcard that is not a whole level";
		if (level_is(level, '#') && filter.p != NULL)
			return "has levels after \"#\"";
	}
	return NULL;
}

bool
filter_has_wildcard(struct slice filter)
{
	struct slice level;

	while (topic_next(&filter, &level))
		if (level_is(level, '+') || level_is(level, '#'))
			return true;
	return false;
}

bool
filter_share(struct slice filter, struct slice *group, struct slice *rest)
{
	struct slice level;

	if (!topic_next(&filter, &level) || !slice_is(level, "$share"))
		return false;
	if (!topic_next(&filter, group) || filter.p == NULL)
		return false;
	*rest = filter;
	return true;
}

bool
topic_match(struct slice filter, struct slice topic)
{
	struct slice after_multi = SLICE_NULL, retry = SLICE_NULL;
	struct slice want, level, f, t;

	if (topic.len > 0 && topic.p[0] == '$' && filter.len > 0 &&
	    (filter.p[0] == '+' || filter.p[0] == '#')) {
		f = filter;
		if (topic_next(&f, &want) && want.len == 1)
			return false;
	}
	/*
	 * As with globs: at a mismatch it is enough that the latest "#"
	 * takes one level more.
	 */
	for (;;) {
		f = filter;
		t = topic;
		if (topic_next(&f, &want) && level_is(want, '#')) {
			if (f.p == NULL)
				return true;
			filter = after_multi = f;
			retry = topic;
			continue;
		}
		if (topic_next(&t, &level) && filter.p != NULL &&
		    (level_is(want, '+') || slice_eq(want, level))) {
			filter = f;
			topic = t;
			continue;
		}
		if (filter.p == NULL && topic.p == NULL)
			return true;
		if (after_multi.p == NULL || !topic_next(&retry, &level))
			return false;
		filter = after_multi;
		topic = retry;
	}
}

/* The levels of a filter with each run of wildcards in one order: + + # */
static size_t
filter_levels(struct slice filter, struct slice *levels)
{
	struct slice level, multi = SLICE_NULL;
	size_t n = 0;

	while (topic_next(&filter, &level)) {
		if (level_is(level, '#')) {
			multi = level;
			continue;
		}
		if (multi.p != NULL && !level_is(level, '+')) {
			levels[n++] = multi;
			multi = SLICE_NULL;
		}
		levels[n++] = level;
	}
	if (multi.p != NULL)
		levels[n++] = multi;
	return n;
}

/*
 * Whether a[i..] covers b[j..], for all j, from what is known for a[i+1..]:
 * below[j]. here[j + 1] is done before here[j].
 */
static void
cover_row(struct slice a, const struct slice *b, size_t nb, const bool *below,
    bool *here)
{
	bool is_multi = level_is(a, '#'), is_plus = level_is(a, '+');
	size_t j;

	here[nb] = is_multi && below[nb];
	for (j = nb; j-- > 0;) {
		if (is_multi)
			here[j] = below[j] || here[j + 1];
		else if (level_is(b[j], '#'))
			/* None of it, and one level of it and then more. */
			here[j] = is_plus && here[j + 1] && below[j];
		else if (level_is(b[j], '+'))
			here[j] = is_plus && below[j + 1];
		else
			here[j] = (is_plus || slice_eq(a, b[j])) &&
			    below[j + 1];
	}
}

bool
filter_covers(struct slice a, struct slice b)
{
	struct slice la[TOPIC_LEVELS_MAX], lb[TOPIC_LEVELS_MAX];
	bool rows[2][TOPIC_LEVELS_MAX + 1];
	size_t na, nb, i;

	if (topic_levels(a) > TOPIC_LEVELS_MAX ||
	    topic_levels(b) > TOPIC_LEVELS_MAX)
		return false;
	na = filter_levels(a, la);
	nb = filter_levels(b, lb);
	if (na == 0 || nb == 0)
		return false;
	if ((level_is(la[0], '+') || level_is(la[0], '#')) &&
	    lb[0].len > 0 && lb[0].p[0] == '$')
		return false;
	memset(rows[na & 1], 0, sizeof(rows[0]));
	rows[na & 1][nb] = true;
	for (i = na; i-- > 0;)
		cover_row(la[i], lb, nb, rows[(i + 1) & 1], rows[i & 1]);
	return rows[0][0];
}
