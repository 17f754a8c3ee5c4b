/*
 * aws - what requests to AWS and to what speaks like it have in common:
 * signature version 4 by libcurl, the keys' options, error names.
 */
#ifndef CONNECTOR_WORKER_AWS_H
#define CONNECTOR_WORKER_AWS_H

#include "connector-worker/http_batch.h"

/* https://SERVICE.REGION.amazonaws.com, for the caller to free. */
char *aws_endpoint(const char *service, const char *region);
void aws_validate(const struct sink_options *, struct faults *);
/* Signs every request of the handle with the options' keys. */
void aws_setup(CURL *, const struct sink_options *, const char *service);
/* The session token's header, where there is one. */
void aws_token_add(struct http_run *, const struct sink_options *);

/*
 * Pure: what an error's name ("ThrottlingException", "NoSuchBucket") means.
 * False: nothing that is known; the status has to say.
 */
bool aws_error_verdict(struct slice name, struct http_verdict *);

#define AWS_OPTIONS                                                            \
	{"region", OPTION_STRING, NULL, 1, 64, NULL, OPTION_REQUIRED,          \
	    "region, as it is signed", "区域（用于签名）"},                    \
	    {"endpoint", OPTION_STRING, NULL, 1, 1024, NULL, 0,                \
		"URL of the service; without it that of AWS in the region",    \
		"服务 URL；缺省为该区域的 AWS 服务"},                          \
	    {"access_key_id", OPTION_STRING, NULL, 1, 255, NULL,               \
		OPTION_REQUIRED, "access key", "访问密钥 ID"},                 \
	    {"secret_access_key", OPTION_STRING, NULL, 1, 255, NULL,           \
		OPTION_REQUIRED | OPTION_SECRET, "its secret", "访问密钥"},    \
	{                                                                      \
		"session_token", OPTION_STRING, NULL, 1, 4096, NULL,           \
		    OPTION_SECRET, "token of keys that end by themselves",     \
		    "临时密钥的会话令牌"                              \
	}

#endif
