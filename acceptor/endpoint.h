/*
 * endpoint - what a listener's options say of its connections.
 *
 * The supervisor sends a listener again, with the same id, when its options
 * or the files that they name have changed: connections that come from then
 * on follow the new ones. An endpoint lives as long as the process.
 */
#ifndef ACCEPTOR_ENDPOINT_H
#define ACCEPTOR_ENDPOINT_H

#include "acceptor/tls.h"
#include "acceptor/websocket.h"

struct endpoint {
	struct endpoint *next;
	uint32_t id;
	bool is_good;		/* there were good options once */
	bool is_complaining;	/* the last ones were no good */
	bool has_proxy, has_ws;
	enum tls_identity identity;
	struct tls_context *tls;	/* NULL: none */
	struct websocket_rules ws;
	struct json_object *options;	/* the whole, for the protocol */
};

/*
 * Makes or changes the endpoint of that id. Where the options are no good,
 * why says so, and it stays as it was.
 */
struct endpoint *endpoint_set(uint32_t id, const char *transport,
    struct slice options, char *why, size_t size);
struct endpoint *endpoint_find(uint32_t id);

#endif
