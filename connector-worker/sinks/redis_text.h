/*
 * redis_text - what stands in a Redis server's words: addresses, errors,
 * redirections, and which slot a key has. Pure.
 *
 * RESP and the specification of Redis Cluster.
 */
#ifndef CONNECTOR_WORKER_SINKS_REDIS_TEXT_H
#define CONNECTOR_WORKER_SINKS_REDIS_TEXT_H

#include "base/slice.h"
#include "connector-worker/sink.h"

#define REDIS_SLOTS 16384u

struct redis_server {
	char host[256];
	uint16_t port;
};

/* "host:port", "[v6]:port", "host". */
bool redis_server_parse(struct slice text, uint16_t port,
    struct redis_server *s);
/* Several with commas; how many, 0: the text is wrong. */
size_t redis_servers_parse(const char *text, uint16_t port,
    struct redis_server *servers, size_t max);

/* What an error reply says of the record. */
enum sink_outcome redis_error_outcome(const char *text);
/* The server is no master any more: whoever else is has to be found. */
bool redis_error_is_demotion(const char *text);
/* XADD was given an id that is not above the last one of the stream. */
bool redis_error_is_old_id(const char *text);

/*
 * "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381". A host that is
 * left out is the one that answered.
 */
bool redis_redirect_parse(const char *text, const char *same_host,
    bool *is_ask, unsigned *slot, struct redis_server *s);

/* Of a key, or of what stands in its first {...} that is not empty. */
unsigned redis_key_slot(struct slice key);
/* Which argument of the command is its key. */
size_t redis_key_index(struct slice command);
/* Which argument of an XADD is the entry's id; 0: there is none. */
size_t redis_xadd_id(const struct slice *args, size_t count);
/* The command would change what later replies on its connection mean. */
bool redis_command_is_barred(struct slice command);

#endif
