#include "connector-worker/sinks/nats_text.h"

#include <strings.h>

#define SUBJECT_MAX 4096

bool
nats_subject_is_valid(struct slice s)
{
	size_t start = 0;

	if (s.len == 0 || s.len > SUBJECT_MAX)
		return false;
	for (size_t i = 0; i <= s.len; i++) {
		if (i < s.len && s.p[i] != '.') {
			if (s.p[i] <= ' ' || s.p[i] == 0x7f)
				return false;
			continue;
		}
		if (i == start)
			return false;
		if (i == start + 1 &&
		    (s.p[start] == '*' || s.p[start] == '>'))
			return false;
		start = i + 1;
	}
	return true;
}

bool
nats_header_is_valid(struct slice name, struct slice value)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || name.p[i] == ':')
			return false;
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] == '\r' || value.p[i] == '\n' ||
		    value.p[i] == '\0')
			return false;
	return name.len > 0;
}

bool
nats_url_host(struct slice url, struct slice *host)
{
	const char *text = (const char *)url.p;
	size_t skip = 0, n;

	if (url.len > 7 && strncasecmp(text, "nats://", 7) == 0)
		skip = 7;
	else if (url.len > 6 && strncasecmp(text, "tls://", 6) == 0)
		skip = 6;
	if (skip == 0)
		return false;
	*host = slice_of(url.p + skip, url.len - skip);
	for (size_t i = 0; i < host->len; i++)
		if (host->p[i] == '@' || host->p[i] <= ' ' ||
		    host->p[i] == '/')
			return false;
	if (*host->p == '[') {
		const uint8_t *end = memchr(host->p, ']', host->len);

		if (end == NULL)
			return false;
		*host = slice_of(host->p + 1, (size_t)(end - host->p) - 1);
		return host->len > 0;
	}
	for (n = 0; n < host->len && host->p[n] != ':'; n++)
		;
	host->len = n;
	return n > 0;
}

/* JetStream's codes (errors.json of the server); all else is retried. */
static const struct {
	int code;
	enum sink_outcome outcome;
} codes[] = {
    {JSStreamMessageExceedsMaximumErr, SINK_REFUSED},
    {10097, SINK_REFUSED},	/* its headers exceed the maximum */
    {JSBadRequestErr, SINK_REFUSED},
    {JSAccountResourcesExceededErr, SINK_UNAVAILABLE},
    {JSClusterIncompleteErr, SINK_UNAVAILABLE},
    {JSClusterNotActiveErr, SINK_UNAVAILABLE},
    {JSClusterNotAssignedErr, SINK_UNAVAILABLE},
    {JSClusterNotAvailErr, SINK_UNAVAILABLE},
    {JSClusterNotLeaderErr, SINK_UNAVAILABLE},
    {JSInsufficientResourcesErr, SINK_UNAVAILABLE},
    {JSMemoryResourcesExceededErr, SINK_UNAVAILABLE},
    {JSStorageResourcesExceededErr, SINK_UNAVAILABLE},
    {JSNoAccountErr, SINK_UNAVAILABLE},
    {JSNotEnabledErr, SINK_UNAVAILABLE},
    {JSNotEnabledForAccountErr, SINK_UNAVAILABLE},
    {JSStreamSealedErr, SINK_UNAVAILABLE},
    {JSStreamOfflineErr, SINK_UNAVAILABLE},
};

enum sink_outcome
nats_ack_outcome(natsStatus status, int code, const char *text)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
		if (codes[i].code == code)
			return codes[i].outcome;
	/* The stream is full, unless it is only this subject. */
	if (code == JSStreamStoreFailedErr)
		return text != NULL && strstr(text, "per subject") != NULL
		    ? SINK_RETRYABLE
		    : SINK_UNAVAILABLE;
	/* No stream takes the subject, or JetStream is not there. */
	if (status == NATS_NO_RESPONDERS || status == NATS_TIMEOUT)
		return SINK_UNSURE;
	return SINK_RETRYABLE;
}

enum sink_outcome
nats_publish_outcome(natsStatus status)
{
	switch (status) {
	case NATS_MAX_PAYLOAD:
	case NATS_INVALID_SUBJECT:
	case NATS_INVALID_ARG:
		return SINK_REFUSED;
	default:
		return SINK_UNAVAILABLE;
	}
}
