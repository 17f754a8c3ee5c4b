#include "connector-worker/sinks/clickhouse_answer.h"

/* Of the row: what its value cannot be. */
static const short refused[] = {
    6,   /* CANNOT_PARSE_TEXT */
    25,  /* CANNOT_PARSE_ESCAPE_SEQUENCE */
    26,  /* CANNOT_PARSE_QUOTED_STRING */
    27,  /* CANNOT_PARSE_INPUT_ASSERTION_FAILED */
    32,  /* ATTEMPT_TO_READ_AFTER_EOF */
    33,  /* CANNOT_READ_ALL_DATA */
    36,  /* BAD_ARGUMENTS: also a value that an Enum does not have */
    38,  /* CANNOT_PARSE_DATE */
    41,  /* CANNOT_PARSE_DATETIME */
    49,  /* LOGICAL_ERROR: also Enum's in old servers */
    53,  /* TYPE_MISMATCH */
    69,  /* ARGUMENT_OUT_OF_BOUND */
    70,  /* CANNOT_CONVERT_TYPE */
    72,  /* CANNOT_PARSE_NUMBER */
    117, /* INCORRECT_DATA */
    130, /* CANNOT_READ_ARRAY_FROM_TEXT */
    131, /* TOO_LARGE_STRING_SIZE */
    321, /* VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE */
    349, /* CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN */
    376, /* CANNOT_PARSE_UUID */
    407, /* DECIMAL_OVERFLOW */
    467, /* CANNOT_PARSE_BOOL */
    469, /* VIOLATED_CONSTRAINT */
    675, /* CANNOT_PARSE_IPV4 */
    676, /* CANNOT_PARSE_IPV6 */
    691, /* UNKNOWN_ELEMENT_OF_ENUM */
};

/* Of the target: any row would get the same. */
static const short unavailable[] = {
    16,  /* NO_SUCH_COLUMN_IN_TABLE */
    60,  /* UNKNOWN_TABLE */
    62,  /* SYNTAX_ERROR: the statement is the same for all */
    81,  /* UNKNOWN_DATABASE */
    115, /* UNKNOWN_SETTING */
    164, /* READONLY */
    192, /* UNKNOWN_USER */
    193, /* WRONG_PASSWORD */
    194, /* REQUIRED_PASSWORD */
    195, /* IP_ADDRESS_NOT_ALLOWED */
    201, /* QUOTA_EXPIRED */
    202, /* TOO_MANY_SIMULTANEOUS_QUERIES */
    225, /* NO_ZOOKEEPER */
    241, /* MEMORY_LIMIT_EXCEEDED */
    242, /* TABLE_IS_READ_ONLY */
    243, /* NOT_ENOUGH_SPACE */
    252, /* TOO_MANY_PARTS */
    285, /* TOO_FEW_LIVE_REPLICAS */
    291, /* DATABASE_ACCESS_DENIED */
    497, /* ACCESS_DENIED */
    516, /* AUTHENTICATION_FAILED */
    999, /* KEEPER_EXCEPTION */
};

/* Stored or not: it is not known. */
static const short unsure[] = {
    159, /* TIMEOUT_EXCEEDED */
    319, /* UNKNOWN_STATUS_OF_INSERT */
};

static bool
is_among(long code, const short *codes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (codes[i] == code)
			return true;
	return false;
}

#define IS_AMONG(code, codes)                                                  \
	is_among(code, codes, sizeof(codes) / sizeof(*(codes)))

long
clickhouse_code(struct slice body)
{
	const char *at =
	    body.len == 0 ? NULL : memmem(body.p, body.len, "Code: ", 6);
	const char *end = (const char *)body.p + body.len;
	long code = 0;

	if (at == NULL)
		return 0;
	for (at += 6; at < end && *at >= '0' && *at <= '9' && code < 100000;
	     at++)
		code = code * 10 + (*at - '0');
	return code;
}

struct http_verdict
clickhouse_verdict(long status, long code)
{
	if (status == 200 && code == 0)
		return (struct http_verdict){.outcome = SINK_DELIVERED};
	if (IS_AMONG(code, refused))
		return (struct http_verdict){
		    .outcome = SINK_REFUSED, .is_of_one = true};
	if (IS_AMONG(code, unavailable))
		return (struct http_verdict){.outcome = SINK_UNAVAILABLE};
	if (status == 200 || IS_AMONG(code, unsure))
		return (struct http_verdict){.outcome = SINK_UNSURE};
	if (code != 0)
		return (struct http_verdict){.outcome = SINK_RETRYABLE};
	return http_batch_judge(status);
}
