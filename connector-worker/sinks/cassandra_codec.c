#include "connector-worker/sinks/cassandra_codec.h"

#define VERSION 4
#define IS_ANSWER 0x80
#define FLAG_TRACING 0x02
#define FLAG_PAYLOAD 0x04
#define FLAG_WARNING 0x08
#define FLAG_COMPRESSED 0x01
#define CONSISTENCY_ONE 1
#define QUERY_HAS_VALUES 0x01
#define BATCH_UNLOGGED 1
#define BATCH_PREPARED 1
#define RESULT_ROWS 2
#define RESULT_PREPARED 4
#define META_GLOBAL 0x01
#define META_PAGES 0x02
#define META_NONE 0x04
#define TYPE_DEPTH_MAX 8

/* ---- requests ------------------------------------------------------------ */

size_t
cql_begin(struct buf *out, enum cql_opcode opcode, uint16_t stream)
{
	size_t begin = buf_len(out);

	buf_add_u8(out, VERSION);
	buf_add_u8(out, 0);
	buf_add_be16(out, stream);
	buf_add_u8(out, (uint8_t)opcode);
	buf_add_be32(out, 0);
	return begin;
}

void
cql_end(struct buf *out, size_t begin)
{
	uint8_t *p = out->p + out->off + begin + CQL_HEADER - 4;
	size_t n = buf_len(out) - begin - CQL_HEADER;

	p[0] = (uint8_t)(n >> 24);
	p[1] = (uint8_t)(n >> 16);
	p[2] = (uint8_t)(n >> 8);
	p[3] = (uint8_t)n;
}

static void
add_string(struct buf *out, const char *text)
{
	buf_add_be16(out, (uint16_t)strlen(text));
	buf_add_str(out, text);
}

static void
add_short_bytes(struct buf *out, struct slice s)
{
	buf_add_be16(out, (uint16_t)s.len);
	buf_add_slice(out, s);
}

void
cql_options(struct buf *out, uint16_t stream)
{
	cql_end(out, cql_begin(out, CQL_OPTIONS, stream));
}

void
cql_startup(struct buf *out, uint16_t stream)
{
	size_t begin = cql_begin(out, CQL_STARTUP, stream);

	buf_add_be16(out, 1);
	add_string(out, "CQL_VERSION");
	add_string(out, "3.0.0");
	cql_end(out, begin);
}

void
cql_login(struct buf *out, uint16_t stream, const char *username,
    const char *password)
{
	size_t begin = cql_begin(out, CQL_AUTH_RESPONSE, stream);

	buf_add_be32(out, (uint32_t)(strlen(username) + strlen(password) + 2));
	buf_add_u8(out, 0);
	buf_add_str(out, username);
	buf_add_u8(out, 0);
	buf_add_str(out, password);
	cql_end(out, begin);
}

void
cql_query(struct buf *out, uint16_t stream, const char *text)
{
	size_t begin = cql_begin(out, CQL_QUERY, stream);

	buf_add_be32(out, (uint32_t)strlen(text));
	buf_add_str(out, text);
	buf_add_be16(out, CONSISTENCY_ONE);
	buf_add_u8(out, 0);
	cql_end(out, begin);
}

void
cql_prepare(struct buf *out, uint16_t stream, struct slice text)
{
	size_t begin = cql_begin(out, CQL_PREPARE, stream);

	buf_add_be32(out, (uint32_t)text.len);
	buf_add_slice(out, text);
	cql_end(out, begin);
}

void
cql_execute(struct buf *out, uint16_t stream, struct slice id,
    struct slice values, uint16_t consistency)
{
	size_t begin = cql_begin(out, CQL_EXECUTE, stream);

	add_short_bytes(out, id);
	buf_add_be16(out, consistency);
	buf_add_u8(out, QUERY_HAS_VALUES);
	buf_add_slice(out, values);
	cql_end(out, begin);
}

size_t
cql_batch_begin(struct buf *out, uint16_t stream, size_t rows)
{
	size_t begin = cql_begin(out, CQL_BATCH, stream);

	buf_add_u8(out, BATCH_UNLOGGED);
	buf_add_be16(out, (uint16_t)rows);
	return begin;
}

void
cql_batch_add(struct buf *out, struct slice id, struct slice values)
{
	buf_add_u8(out, BATCH_PREPARED);
	add_short_bytes(out, id);
	buf_add_slice(out, values);
}

void
cql_batch_end(struct buf *out, size_t begin, uint16_t consistency)
{
	buf_add_be16(out, consistency);
	buf_add_u8(out, 0);
	cql_end(out, begin);
}

void
cql_identifier(struct buf *out, const char *name)
{
	buf_add_u8(out, '"');
	for (; *name != '\0'; name++) {
		if (*name == '"')
			buf_add_u8(out, '"');
		buf_add_u8(out, (uint8_t)*name);
	}
	buf_add_u8(out, '"');
}

/* ---- reading ------------------------------------------------------------- */

/* What is left of a body; ok turns false for good when it ends too early. */
struct reader {
	struct slice in;
	bool ok;
};

static struct slice
take(struct reader *r, size_t n)
{
	struct slice s = slice_of(r->in.p, n);

	if (!r->ok || n > r->in.len) {
		r->ok = false;
		return SLICE_EMPTY;
	}
	r->in = slice_of(r->in.p + n, r->in.len - n);
	return s;
}

static uint16_t
take_short(struct reader *r)
{
	struct slice s = take(r, 2);

	if (s.len == 0)
		return 0;
	return (uint16_t)(s.p[0] << 8 | s.p[1]);
}

static uint32_t
take_int(struct reader *r)
{
	uint32_t high = take_short(r);

	return high << 16 | take_short(r);
}

static struct slice
take_string(struct reader *r)
{
	return take(r, take_short(r));
}

/* Null where its length is negative. */
static struct slice
take_bytes(struct reader *r)
{
	uint32_t n = take_int(r);

	return n > INT32_MAX ? SLICE_NULL : take(r, n);
}

/* ---- frames -------------------------------------------------------------- */

/* What may stand before the message proper (section 2.2). */
static void
skip_extras(struct reader *r, uint8_t flags)
{
	if (flags & FLAG_TRACING)
		take(r, 16);
	if (flags & FLAG_WARNING)
		for (size_t n = take_short(r); n > 0 && r->ok; n--)
			take_string(r);
	if (flags & FLAG_PAYLOAD)
		for (size_t n = take_short(r); n > 0 && r->ok; n--) {
			take_string(r);
			take_bytes(r);
		}
}

enum cql_answer
cql_frame_get(struct slice in, struct cql_frame *f, const char **why)
{
	struct reader r;
	uint8_t flags;
	size_t n;

	/* By its first byte already, or garbage would be waited for. */
	if (in.len > 0 && in.p[0] != (IS_ANSWER | VERSION)) {
		*why = (in.p[0] & IS_ANSWER) && (in.p[0] & 0x7f) < 16
			   ? "it speaks another version of CQL than 4"
			   : "it does not speak CQL";
		return CQL_BAD;
	}
	if (in.len < CQL_HEADER)
		return CQL_MORE;
	r = (struct reader){slice_of(in.p + 2, CQL_HEADER - 2), true};
	flags = in.p[1];
	f->stream = (int16_t)take_short(&r);
	f->opcode = take(&r, 1).p[0];
	n = take_int(&r);
	if (n > CQL_FRAME_MAX || (flags & FLAG_COMPRESSED)) {
		*why = n > CQL_FRAME_MAX ? "its answer is too large"
					 : "its answer is compressed";
		return CQL_BAD;
	}
	if (in.len - CQL_HEADER < n)
		return CQL_MORE;
	r = (struct reader){slice_of(in.p + CQL_HEADER, n), true};
	skip_extras(&r, flags);
	if (!r.ok) {
		*why = "its answer makes no sense";
		return CQL_BAD;
	}
	f->body = r.in;
	f->size = CQL_HEADER + n;
	return CQL_WHOLE;
}

/* ---- errors -------------------------------------------------------------- */

/*
 * Timeouts of the coordinator and too few replicas are the cluster's fault
 * and every record's: they wait. What says nothing is for the probe.
 */
static const struct {
	uint32_t code;
	enum sink_outcome outcome;
	const char *name;
} faults[] = {
    {0x0000, SINK_UNSURE, "server error"},
    {0x000a, SINK_UNSURE, "protocol error"},
    {0x0100, SINK_UNAVAILABLE, "bad credentials"},
    {0x1000, SINK_UNAVAILABLE, "unavailable"},
    {0x1001, SINK_UNAVAILABLE, "overloaded"},
    {CQL_ERROR_BOOTSTRAPPING, SINK_UNAVAILABLE, "is bootstrapping"},
    {0x1003, SINK_UNAVAILABLE, "truncate error"},
    {0x1100, SINK_UNAVAILABLE, "write timeout"},
    {0x1200, SINK_UNAVAILABLE, "read timeout"},
    {0x1300, SINK_UNSURE, "read failure"},
    {0x1400, SINK_UNSURE, "function failure"},
    {0x1500, SINK_UNSURE, "write failure"},
    {0x2000, SINK_REFUSED, "syntax error"},
    {0x2100, SINK_UNAVAILABLE, "unauthorized"},
    {0x2200, SINK_REFUSED, "invalid"},
    {0x2300, SINK_UNAVAILABLE, "config error"},
    {0x2400, SINK_REFUSED, "already exists"},
    {CQL_ERROR_UNPREPARED, SINK_UNAVAILABLE, "unprepared"},
};

bool
cql_fault_get(struct slice body, struct cql_fault *fault)
{
	struct reader r = {body, true};

	fault->code = take_int(&r);
	fault->text = take_string(&r);
	return r.ok;
}

enum sink_outcome
cql_fault_outcome(uint32_t code)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		if (faults[i].code == code)
			return faults[i].outcome;
	return SINK_UNSURE;
}

const char *
cql_fault_name(uint32_t code)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		if (faults[i].code == code)
			return faults[i].name;
	return "error";
}

/* ---- results ------------------------------------------------------------- */

static uint16_t take_type(struct reader *r, unsigned depth);

static void
skip_fields(struct reader *r, bool is_named, unsigned depth)
{
	for (size_t n = take_short(r); n > 0 && r->ok; n--) {
		if (is_named)
			take_string(r);
		take_type(r, depth);
	}
}

/* An [option]: the type's number; what is nested in it is skipped. */
static uint16_t
take_type(struct reader *r, unsigned depth)
{
	uint16_t type = take_short(r);

	if (depth == TYPE_DEPTH_MAX)
		r->ok = false;
	if (!r->ok)
		return 0;
	switch (type) {
	case 0x00: /* custom */
		take_string(r);
		break;
	case 0x21: /* map */
		take_type(r, depth + 1);
		/* FALLTHROUGH */
	case 0x20: /* list */
	case 0x22: /* set */
		take_type(r, depth + 1);
		break;
	case 0x30: /* user-defined */
		take_string(r);
		take_string(r);
		skip_fields(r, true, depth + 1);
		break;
	case 0x31: /* tuple */
		skip_fields(r, false, depth + 1);
		break;
	default:
		break;
	}
	return type;
}

static void
take_columns(
    struct reader *r, uint32_t flags, size_t count, struct cql_column *columns)
{
	struct cql_column ignored;

	if (flags & META_GLOBAL) {
		take_string(r);
		take_string(r);
	}
	for (size_t i = 0; i < count && r->ok; i++) {
		struct cql_column *c = columns == NULL ? &ignored : columns + i;

		if (!(flags & META_GLOBAL)) {
			take_string(r);
			take_string(r);
		}
		c->name = take_string(r);
		c->type = take_type(r, 0);
	}
}

bool
cql_prepared_get(struct slice body, struct cql_prepared *p)
{
	struct reader r = {body, true};
	uint32_t kind = take_int(&r), flags, count, keys;

	p->id = take_string(&r);
	flags = take_int(&r);
	count = take_int(&r);
	keys = take_int(&r);
	if (!r.ok || kind != RESULT_PREPARED || count > CQL_COLUMNS_MAX ||
	    keys > count)
		return false;
	for (size_t i = 0; i < keys; i++) {
		p->keys[i] = take_short(&r);
		if (p->keys[i] >= count)
			return false;
	}
	take_columns(&r, flags, count, p->columns);
	p->count = count;
	p->key_count = keys;
	return r.ok;
}

bool
cql_value_get(struct slice body, struct slice *value)
{
	struct reader r = {body, true};
	uint32_t kind = take_int(&r), flags = take_int(&r);
	uint32_t count = take_int(&r);

	*value = SLICE_NULL;
	if (!r.ok || kind != RESULT_ROWS)
		return false;
	if (flags & META_PAGES)
		take_bytes(&r);
	if (!(flags & META_NONE))
		take_columns(&r, flags, count, NULL);
	if (take_int(&r) > 0 && count > 0)
		*value = take_bytes(&r);
	return r.ok;
}

/* ---- types --------------------------------------------------------------- */

static const struct {
	uint16_t type;
	bool is_known;
	const char *name;
} types[] = {
    {0x00, false, "custom"},
    {CQL_ASCII, true, "ascii"},
    {CQL_BIGINT, true, "bigint"},
    {CQL_BLOB, true, "blob"},
    {CQL_BOOLEAN, true, "boolean"},
    {0x05, false, "counter"},
    {0x06, false, "decimal"},
    {CQL_DOUBLE, true, "double"},
    {CQL_FLOAT, true, "float"},
    {CQL_INT, true, "int"},
    {CQL_TIMESTAMP, true, "timestamp"},
    {CQL_UUID, true, "uuid"},
    {CQL_VARCHAR, true, "text"},
    {0x0e, false, "varint"},
    {CQL_TIMEUUID, true, "timeuuid"},
    {0x10, false, "inet"},
    {CQL_DATE, true, "date"},
    {0x12, false, "time"},
    {CQL_SMALLINT, true, "smallint"},
    {CQL_TINYINT, true, "tinyint"},
    {0x15, false, "duration"},
    {0x20, false, "list"},
    {0x21, false, "map"},
    {0x22, false, "set"},
    {0x30, false, "user-defined"},
    {0x31, false, "tuple"},
};

const char *
cql_type_name(uint16_t type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].type == type)
			return types[i].name;
	return "unknown";
}

bool
cql_type_is_known(uint16_t type)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].type == type)
			return types[i].is_known;
	return false;
}
