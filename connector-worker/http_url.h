/*
 * http_url - what of a URL a definition must fix, and what a record's values
 * may not do to it.
 *
 * Pure. RFC 3986.
 */
#ifndef CONNECTOR_WORKER_HTTP_URL_H
#define CONNECTOR_WORKER_HTTP_URL_H

#include "base/slice.h"

struct http_url {
	bool is_https;
	struct slice host;      /* without the brackets of an IPv6 address */
	uint16_t port;          /* the scheme's own if none is written */
	struct slice authority; /* host and port as written */
	struct slice rest;      /* path and query, may be empty */
};

/*
 * The beginning of a URL that stands before its first template. is_whole:
 * there is none. NULL, or what is wrong with it: scheme, host and port must
 * be there, and a value may not come to stand in them.
 */
const char *http_url_check(
    struct slice prefix, bool is_whole, struct http_url *);

/* The rest of a made URL: no "." or ".." as a segment, nothing a line ends. */
bool http_url_is_plain(struct slice rest);

#endif
