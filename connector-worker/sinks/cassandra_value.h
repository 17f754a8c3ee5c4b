/*
 * cassandra_value - a text as a value of a CQL type, and addresses of nodes.
 * Pure.
 *
 * native_protocol_v4.spec, section 6.
 */
#ifndef CONNECTOR_WORKER_SINKS_CASSANDRA_VALUE_H
#define CONNECTOR_WORKER_SINKS_CASSANDRA_VALUE_H

#include "connector-worker/sinks/cassandra_codec.h"

/*
 * Appends a [value]: its length and bytes. False: the text is no such
 * value, *why says why (a constant); nothing is appended.
 *
 * Integers in decimal, within their range. timestamp: milliseconds since
 * 1970, or ISO 8601 (UTC without a zone). date: YYYY-MM-DD. boolean: true,
 * false, 1, 0.
 */
bool cql_value_add(
    struct buf *out, uint16_t type, struct slice text, const char **why);
/* A [value] that leaves the column as it is: no tombstone. */
void cql_value_add_unset(struct buf *out);
void cql_value_add_bigint(struct buf *out, int64_t v);

struct cql_node {
	char host[256];
	uint16_t port;
};

/*
 * "host", "host:port", "[v6]:port", "v6", with commas between; how many,
 * 0: the text is wrong.
 */
size_t cql_nodes_parse(
    const char *text, uint16_t port, struct cql_node *nodes, size_t max);

#endif
