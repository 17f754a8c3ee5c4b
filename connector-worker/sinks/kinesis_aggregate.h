/*
 * kinesis_aggregate - several records as one, in the format that the Kinesis
 * Producer Library writes and its consumers take apart.
 *
 * F3 89 9A C2, a protobuf message (partition_key_table = 1, records = 3 with
 * partition_key_index = 1 and data = 3), MD5 of the message. Records of one
 * partition key are a group, so they come to the shard that they would come
 * to alone. Pure.
 */
#ifndef CONNECTOR_WORKER_SINKS_KINESIS_AGGREGATE_H
#define CONNECTOR_WORKER_SINKS_KINESIS_AGGREGATE_H

#include "base/buf.h"

struct aggregate_group {
	struct buf key;
	struct buf records; /* as fields of the message */
};

/* Records of one request; begins as zero. */
struct aggregate {
	struct aggregate_group *groups;
	size_t groups_len, groups_cap;
	size_t total;   /* bytes */
	size_t *places; /* each record's group */
	size_t places_len, places_cap;
};

void aggregate_clear(struct aggregate *);
void aggregate_fini(struct aggregate *);
/*
 * False with *why NULL: the request has no room for it; else it is longer
 * than a record may be.
 */
bool aggregate_add(
    struct aggregate *, struct slice key, struct slice data, const char **why);
/* Appends group i as one record's data; its key, a loan. */
struct slice aggregate_put(const struct aggregate *, size_t i, struct buf *);
/* The groups of the records since clear, for the caller to free. */
size_t *aggregate_take_places(struct aggregate *);

#endif
