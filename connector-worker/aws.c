#include "connector-worker/aws.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>

char *
aws_endpoint(const char *service, const char *region)
{
	return mem_printf("https://%s.%s.amazonaws.com", service, region);
}

void
aws_validate(const struct sink_options *o, struct faults *faults)
{
	static const char *const names[] = {
	    "region", "access_key_id", "secret_access_key", "session_token"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *s = opt_string(o, names[i]);

		for (; s != NULL && *s != '\0'; s++)
			if (*s < '!' || *s > '~' ||
			    (i == 0 && !isalnum((unsigned char)*s) &&
				*s != '-')) {
				sink_fault(o, faults, names[i],
				    "has a character that it cannot have");
				break;
			}
	}
}

void
aws_setup(CURL *easy, const struct sink_options *o, const char *service)
{
	char *what =
	    mem_printf("aws:amz:%s:%s", opt_string(o, "region"), service);

	curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, what);
	curl_easy_setopt(
	    easy, CURLOPT_USERNAME, opt_string(o, "access_key_id"));
	curl_easy_setopt(
	    easy, CURLOPT_PASSWORD, opt_string(o, "secret_access_key"));
	free(what);
}

void
aws_token_add(struct http_run *run, const struct sink_options *o)
{
	const char *token = opt_string(o, "session_token");

	if (token != NULL)
		http_run_field(run, "X-Amz-Security-Token: %s", token);
}

bool
aws_error_verdict(struct slice name, struct http_verdict *v)
{
	static const struct {
		const char *name;
		enum sink_outcome outcome;
	} errors[] = {
	    {"ProvisionedThroughputExceededException", SINK_UNAVAILABLE},
	    {"ThrottlingException", SINK_UNAVAILABLE},
	    {"Throttling", SINK_UNAVAILABLE},
	    {"SlowDown", SINK_UNAVAILABLE},
	    {"LimitExceededException", SINK_UNAVAILABLE},
	    {"ServiceUnavailable", SINK_UNAVAILABLE},
	    {"ResourceNotFoundException", SINK_UNAVAILABLE},
	    {"ResourceInUseException", SINK_UNAVAILABLE},
	    {"NoSuchBucket", SINK_UNAVAILABLE},
	    {"PermanentRedirect", SINK_UNAVAILABLE},
	    {"AuthorizationHeaderMalformed", SINK_UNAVAILABLE},
	    {"AccessDenied", SINK_UNAVAILABLE},
	    {"AccessDeniedException", SINK_UNAVAILABLE},
	    {"InvalidAccessKeyId", SINK_UNAVAILABLE},
	    {"SignatureDoesNotMatch", SINK_UNAVAILABLE},
	    {"InvalidSignatureException", SINK_UNAVAILABLE},
	    {"IncompleteSignature", SINK_UNAVAILABLE},
	    {"MissingAuthenticationTokenException", SINK_UNAVAILABLE},
	    {"UnrecognizedClientException", SINK_UNAVAILABLE},
	    {"InvalidToken", SINK_UNAVAILABLE},
	    {"InvalidClientTokenId", SINK_UNAVAILABLE},
	    {"ExpiredToken", SINK_UNAVAILABLE},
	    {"ExpiredTokenException", SINK_UNAVAILABLE},
	    {"RequestExpired", SINK_UNAVAILABLE},
	    {"RequestTimeTooSkewed", SINK_UNAVAILABLE},
	    {"KMSAccessDeniedException", SINK_UNAVAILABLE},
	    {"KMSDisabledException", SINK_UNAVAILABLE},
	    {"KMSInvalidStateException", SINK_UNAVAILABLE},
	    {"KMSNotFoundException", SINK_UNAVAILABLE},
	    {"KMSThrottlingException", SINK_UNAVAILABLE},
	    {"InternalFailure", SINK_RETRYABLE},
	    {"InternalError", SINK_RETRYABLE},
	    {"RequestTimeout", SINK_RETRYABLE},
	    {"OperationAborted", SINK_RETRYABLE},
	    {"NoSuchUpload", SINK_RETRYABLE},
	    {"ValidationException", SINK_REFUSED},
	    {"InvalidArgumentException", SINK_REFUSED},
	    {"SerializationException", SINK_REFUSED},
	    {"KeyTooLongError", SINK_REFUSED},
	};

	/* "com.amazonaws...#Name" and "Name:http://..." are also written. */
	for (size_t i = name.len; i > 0; i--)
		if (name.p[i - 1] == '#') {
			name = slice_of(name.p + i, name.len - i);
			break;
		}
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] == ':')
			name.len = i;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		if (slice_is(name, errors[i].name)) {
			*v = (struct http_verdict){.outcome = errors[i].outcome,
			    .is_of_one = errors[i].outcome == SINK_REFUSED};
			return true;
		}
	return false;
}
