#include "connector-worker/http_answer.h"

#include <ctype.h>
#include <time.h>

/*
 * The first row that covers the status counts. What the record is to blame
 * for is refused; what every request would get is unavailable; the rest may
 * be different the next time.
 */
static const struct {
	long first, last;
	enum sink_outcome outcome;
} outcomes[] = {
	{200, 299, SINK_DELIVERED},
	{401, 401, SINK_UNAVAILABLE},	/* a refused login */
	{403, 403, SINK_UNAVAILABLE},
	{407, 407, SINK_UNAVAILABLE},
	{404, 404, SINK_RETRYABLE},	/* an endpoint being deployed */
	{408, 408, SINK_UNSURE},	/* a time-out of theirs */
	{409, 409, SINK_RETRYABLE},	/* the same id is under way */
	{421, 421, SINK_RETRYABLE},
	{423, 425, SINK_RETRYABLE},
	{429, 429, SINK_UNAVAILABLE},
	{400, 499, SINK_REFUSED},
	{503, 503, SINK_UNAVAILABLE},
	{500, 599, SINK_UNSURE},
};

enum sink_outcome
http_answer_outcome(long status)
{
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
		if (status >= outcomes[i].first && status <= outcomes[i].last)
			return outcomes[i].outcome;
	return SINK_UNSURE;
}

static struct slice
trimmed(struct slice s)
{
	while (s.len > 0 && isspace(s.p[s.len - 1]))
		s.len--;
	while (s.len > 0 && isspace(s.p[0])) {
		s.p++;
		s.len--;
	}
	return s;
}

bool
http_answer_field(struct slice line, struct slice *name, struct slice *value)
{
	const uint8_t *colon;
	size_t at;

	if (line.len == 0 || (colon = memchr(line.p, ':', line.len)) == NULL)
		return false;
	at = (size_t)(colon - line.p);
	if (at == 0)
		return false;
	for (size_t i = 0; i < at; i++)
		if (line.p[i] <= ' ' || line.p[i] >= 0x7f)
			return false;
	*name = slice_of(line.p, at);
	*value = trimmed(slice_of(colon + 1, line.len - at - 1));
	return true;
}

bool
http_answer_name_is(struct slice name, const char *lower_case)
{
	if (name.len != strlen(lower_case))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (tolower(name.p[i]) != lower_case[i])
			return false;
	return true;
}

/* RFC 9110, 5.6.7: one form to write, two old ones to read. */
static bool
date_parse(const char *text, uint64_t *ms)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT",
		"%A, %d-%b-%y %H:%M:%S GMT",
		"%a %b %e %H:%M:%S %Y",
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, forms[i], &tm);
		time_t t;

		if (end == NULL || *end != '\0')
			continue;
		t = timegm(&tm);
		if (t < 0)
			return false;
		*ms = (uint64_t)t * 1000;
		return true;
	}
	return false;
}

uint64_t
http_answer_retry_after(struct slice value, uint64_t now_ms)
{
	char text[64];
	uint64_t ms = 0;
	size_t i;

	value = trimmed(value);
	if (value.len == 0 || value.len >= sizeof(text))
		return 0;
	for (i = 0; i < value.len && isdigit(value.p[i]); i++)
		if (ms < HTTP_RETRY_AFTER_MAX_MS)
			ms = ms * 10 + (uint64_t)(value.p[i] - '0') * 1000;
	if (i < value.len) {
		memcpy(text, value.p, value.len);
		text[value.len] = '\0';
		if (!date_parse(text, &ms) || ms <= now_ms)
			return 0;
		ms -= now_ms;
	}
	return ms < HTTP_RETRY_AFTER_MAX_MS ? ms : HTTP_RETRY_AFTER_MAX_MS;
}
