/*
 * response - the head and the chunks of an HTTP/1.1 response.
 *
 * RFC 9112.
 */
#ifndef PROTO_HTTP_RESPONSE_H
#define PROTO_HTTP_RESPONSE_H

#include "base/buf.h"

#define HTTP_CHUNKED SIZE_MAX	/* the length is not known */

struct http_response {
	unsigned status;
	const char *content_type;	/* NULL: no body and no length */
	size_t length;			/* or HTTP_CHUNKED */
	bool closes;			/* Connection: close */
	const char *allow;		/* of a 405, else NULL */
};

void http_put_head(struct buf *out, const struct http_response *r);
void http_put_chunk(struct buf *out, struct slice data);	/* not empty */
void http_put_last_chunk(struct buf *out);
const char *http_status_text(unsigned status);

#endif
