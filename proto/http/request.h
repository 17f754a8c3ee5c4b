/*
 * request - one HTTP/1.1 request: bytes in, a struct out.
 *
 * The head is gathered whole (at most HTTP_HEAD_MAX bytes), checked for what
 * the parser below lets pass (lone LF, folded lines, a space before a
 * colon, a missing or double Host), then parsed; the body follows piece by
 * piece up to body_max. No I/O, no clock. A parser is good for one request:
 * http_parser_init it again for the next on the same connection.
 *
 * RFC 9112.
 */
#ifndef PROTO_HTTP_REQUEST_H
#define PROTO_HTTP_REQUEST_H

#include "base/buf.h"

#define HTTP_HEAD_MAX 16384u
#define HTTP_HEADERS_MAX 64

enum http_method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_PATCH,
	METHOD_OPTIONS,
	METHOD_OTHER,
};

struct http_header {
	struct slice name;
	struct slice value;
};

/* Slices point into the parser. */
struct http_request {
	enum http_method method;
	struct slice path;	/* as sent, escapes and all; begins with / */
	struct slice query;	/* what follows the ?, without it */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t header_count;
	bool keep_alive;
	bool wants_continue;	/* Expect: 100-continue */
	struct slice body;	/* whole at REQUEST_WHOLE */
};

enum http_progress {
	REQUEST_MORE,		/* all input was taken, more is needed */
	REQUEST_HEAD,		/* the head is there: set body_max, go on */
	REQUEST_WHOLE,		/* the request is complete */
	REQUEST_BAD,		/* answer with error_status, then close */
};

struct http_parser {
	struct http_request request;
	size_t body_max;
	unsigned error_status;	/* 400, 413, 414, 417, 431, 501, 505 */
	const char *error;	/* what is wrong */
	/* private */
	struct buf head;
	struct buf body;
	size_t scanned;
	int state;
	bool is_resumed;
	struct http_machine *machine;
};

void http_parser_init(struct http_parser *p);
void http_parser_fini(struct http_parser *p);
/* Takes *consumed bytes of in. Not to be called after WHOLE or BAD. */
enum http_progress http_parser_feed(struct http_parser *p, struct slice in,
    size_t *consumed);
/* Whether bytes of a request have come. */
bool http_parser_is_begun(const struct http_parser *p);

/* The value of a header, null when there is none. Names in any case. */
struct slice http_request_header(const struct http_request *r,
    const char *name);
const char *http_method_name(enum http_method m);

/*
 * Replaces %XX; a '+' stays, but for plus_is_space. False on a bad escape
 * or a NUL. Appends to out.
 */
bool http_unescape(struct slice in, bool plus_is_space, struct buf *out);
/* Takes "name=value" off *query, still escaped; false at the end. */
bool http_query_next(struct slice *query, struct slice *name,
    struct slice *value);

#endif
