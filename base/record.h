/*
 * record - one message with everything we know of it (connectors.md 2), and
 * how it stands in a record batch.
 *
 * In our own batches value = payload, key = the Kafka key; the topic is the
 * key unless the header bulkhead-topic says otherwise; what else there is
 * stands in the headers of base/record_headers.def; user properties follow
 * in order. In a Kafka client's batch the topic is the stream's name with
 * '.' as '/', and all headers are user properties.
 *
 * All slices are loans. An absent field is a null slice; an empty one is
 * kept as empty.
 */
#ifndef BASE_RECORD_H
#define BASE_RECORD_H

#include "base/record_batch.h"

struct record_header {
	struct slice name, value;
};

struct record {
	/* Where it stands: set by readers, ignored by record_put. */
	struct slice stream;
	uint64_t incarnation;	/* of the stream */
	uint32_t partition;
	uint64_t offset;

	struct slice topic;
	struct slice key;	/* null when putting: the topic */
	struct slice payload;	/* null stays null */
	int64_t timestamp_ms;	/* when the broker took it */
	uint64_t expires_ms;	/* since 1970, 0 = never */
	uint8_t qos;
	bool retain;
	bool has_null_key;	/* the key is null, not the topic */
	uint8_t format;		/* 1: the payload is UTF-8 */
	struct slice client_id;
	struct slice username;
	struct slice protocol;
	struct slice content_type;
	struct slice response_topic;
	struct slice correlation_data;
	struct slice queues;	/* $queue only, opaque here */
	uint64_t mid_session;	/* inbound QoS 2, with mid_packet */
	uint16_t mid_packet;	/* 0: none */
	const struct record_header *headers;	/* user properties, in order */
	size_t headers_len;
};

/* Memory for the headers of one decoded record; reused, freed by fini. */
struct record_space {
	struct record_header *headers;
	size_t cap;
};
void record_space_fini(struct record_space *space);

/* A bound, cheap to have: record_put never adds more bytes to a batch. */
size_t record_size(const struct record *r);
/* Appends r to an open batch. */
void record_put(struct record_batch_writer *w, const struct record *r);
/*
 * Decodes one record of batch b. topic is the one for batches that are not
 * ours. BAD: its headers cannot be read.
 */
enum record_answer record_get(const struct record_batch *b,
    const struct record_raw *raw, struct slice topic,
    struct record_space *space, struct record *r);

/* A copy on the heap in one piece: free(3) it. */
struct record *record_dup(const struct record *r);

/*
 * To and from the packed form of base/props.h (content type, response
 * topic, correlation, format, headers). get answers false when malformed;
 * it sets only those fields of r.
 */
bool record_props_get(struct slice props, struct record_space *space,
    struct record *r);
void record_props_put(const struct record *r, struct buf *out);

/* murmur2(key) mod n, as Kafka's clients choose a partition. */
uint32_t record_partition(struct slice key, uint32_t n);

#endif
