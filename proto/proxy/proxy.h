/*
 * proxy - the PROXY protocol's header, versions 1 and 2, as HAProxy's
 * specification has them (sections 2.1 and 2.2): who the client really is,
 * said by a proxy before the client's first byte.
 *
 * Pure, in place. Only for listeners that were told to expect it.
 */
#ifndef PROTO_PROXY_PROXY_H
#define PROTO_PROXY_PROXY_H

#include "base/slice.h"

#define PROXY_V1_MAX 107	/* bytes with CRLF */
#define PROXY_V2_MAX (16 + 4096)/* ours: address, TLVs */

struct proxy {
	bool is_local;		/* the proxy itself: use the socket's own */
	uint8_t family;		/* 4, 6, or 0: unknown */
	uint8_t address[16];	/* of the client, network order */
	uint16_t port;
	bool has_tls;		/* the client came by TLS (PP2_TYPE_SSL) */
	bool is_verified;	/* its certificate was verified */
	struct slice common_name;	/* of its certificate, or null */
	struct slice alpn;	/* or null */
};

/*
 * -1 malformed: close. 0 more is needed. Else the length of the header; the
 * slices point into p.
 */
int proxy_parse(const uint8_t *p, size_t n, struct proxy *proxy);

#endif
