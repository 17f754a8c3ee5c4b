/*
 * cassandra_codec - frames of the CQL native protocol, version 4. Pure.
 *
 * Requests are appended to a buf; what a server sent is taken apart without
 * copies: slices point into the frame. Nothing is read beyond it, whatever
 * its counts and lengths claim.
 *
 * native_protocol_v4.spec, sections 2, 4, 6 and 9.
 */
#ifndef CONNECTOR_WORKER_SINKS_CASSANDRA_CODEC_H
#define CONNECTOR_WORKER_SINKS_CASSANDRA_CODEC_H

#include "base/buf.h"
#include "connector-worker/sink.h"

#define CQL_HEADER 9u
#define CQL_COLUMNS_MAX 256u
#define CQL_FRAME_MAX (8u << 20) /* of answers: they are small */

enum cql_opcode {
	CQL_ERROR = 0x00,
	CQL_STARTUP = 0x01,
	CQL_READY = 0x02,
	CQL_AUTHENTICATE = 0x03,
	CQL_OPTIONS = 0x05,
	CQL_SUPPORTED = 0x06,
	CQL_QUERY = 0x07,
	CQL_RESULT = 0x08,
	CQL_PREPARE = 0x09,
	CQL_EXECUTE = 0x0a,
	CQL_EVENT = 0x0c,
	CQL_BATCH = 0x0d,
	CQL_AUTH_CHALLENGE = 0x0e,
	CQL_AUTH_RESPONSE = 0x0f,
	CQL_AUTH_SUCCESS = 0x10,
};

enum cql_type {
	CQL_ASCII = 0x01,
	CQL_BIGINT = 0x02,
	CQL_BLOB = 0x03,
	CQL_BOOLEAN = 0x04,
	CQL_DOUBLE = 0x07,
	CQL_FLOAT = 0x08,
	CQL_INT = 0x09,
	CQL_TIMESTAMP = 0x0b,
	CQL_UUID = 0x0c,
	CQL_VARCHAR = 0x0d,
	CQL_TIMEUUID = 0x0f,
	CQL_DATE = 0x11,
	CQL_SMALLINT = 0x13,
	CQL_TINYINT = 0x14,
};

#define CQL_ERROR_BOOTSTRAPPING 0x1002u
#define CQL_ERROR_UNPREPARED 0x2500u

/* --- requests --------------------------------------------------------- */

/* The frame that begins here ends with cql_end of what begin returned. */
size_t cql_begin(struct buf *out, enum cql_opcode opcode, uint16_t stream);
void cql_end(struct buf *out, size_t begin);
void cql_options(struct buf *out, uint16_t stream);
void cql_startup(struct buf *out, uint16_t stream);
/* SASL PLAIN. */
void cql_login(struct buf *out, uint16_t stream, const char *username,
    const char *password);
void cql_query(struct buf *out, uint16_t stream, const char *text);
void cql_prepare(struct buf *out, uint16_t stream, struct slice text);
/* values: their number and they themselves, as cql_row_add leaves them. */
void cql_execute(struct buf *out, uint16_t stream, struct slice id,
    struct slice values, uint16_t consistency);
/* An unlogged batch of one prepared statement. */
size_t cql_batch_begin(struct buf *out, uint16_t stream, size_t rows);
void cql_batch_add(struct buf *out, struct slice id, struct slice values);
void cql_batch_end(struct buf *out, size_t begin, uint16_t consistency);

/* A [string] that is an identifier within a statement. */
void cql_identifier(struct buf *out, const char *name);

/* --- answers ---------------------------------------------------------- */

struct cql_frame {
	uint8_t opcode;
	int stream;        /* -1: an event */
	struct slice body; /* without tracing, warnings and payload */
	size_t size;       /* of the whole frame */
};

enum cql_answer { CQL_WHOLE, CQL_MORE, CQL_BAD };

/* BAD: *why says what is wrong with it. */
enum cql_answer cql_frame_get(
    struct slice in, struct cql_frame *f, const char **why);

struct cql_fault {
	uint32_t code;
	struct slice text;
};
bool cql_fault_get(struct slice body, struct cql_fault *fault);
/* What an error says of the record that it answers. */
enum sink_outcome cql_fault_outcome(uint32_t code);
/* Its name, "error" for one that is not known. */
const char *cql_fault_name(uint32_t code);

struct cql_column {
	struct slice name;
	uint16_t type;
};

struct cql_prepared {
	struct slice id;
	size_t count;
	struct cql_column columns[CQL_COLUMNS_MAX];
	size_t key_count;               /* 0: the server does not say */
	uint16_t keys[CQL_COLUMNS_MAX]; /* of the partition, in columns */
};

/* False: it is no such RESULT, or has more columns than we take. */
bool cql_prepared_get(struct slice body, struct cql_prepared *p);
/* The first value of the first row of a RESULT; null if there is none. */
bool cql_value_get(struct slice body, struct slice *value);

const char *cql_type_name(uint16_t type);
/* That cassandra_value can make values of it. */
bool cql_type_is_known(uint16_t type);

#endif
