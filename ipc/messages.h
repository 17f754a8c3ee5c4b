/*
 * messages - structs, encoders and decoders of messages.def.
 *
 * Each message NAME has a struct ipc_name, ipc_put_name (appends the whole
 * frame, header included, to a buf) and ipc_get_name (reads a body; total,
 * bounds-checked, no allocation: slices and lists point into the body).
 * Each record has ipc_add_name (appends an item to a list under way) and
 * ipc_next_name (takes the next item of a list that was read).
 *
 * Architecture, section 2.
 */
#ifndef IPC_MESSAGES_H
#define IPC_MESSAGES_H

#include "base/buf.h"

enum ipc_kind {
	KIND_SUPERVISOR = 0,
	KIND_ROUTER = 1,
	KIND_ACCEPTOR = 2,
	KIND_WORKER = 3,
	KIND_ADMIN = 4,
	KIND_AUTH = 5,
	KIND_COUNT = 6,
};

#define IPC_FRAME_MAX (16u << 20)	/* bytes, a larger one ends the link */
#define IPC_BATCH_MAX (256u << 10)	/* bytes, where a batch is cut */
#define IPC_FDS_MAX 16
#define IPC_HEADER_LEN 8

/*
 * A list of records. Reading: ipc_next_RECORD takes items until it returns
 * 0 (end) or -1 (malformed: end the link). Writing: items are gathered with
 * ipc_add_RECORD in the buf, which stays the caller's.
 */
struct ipc_list {
	struct slice bytes;
	uint32_t count;
};

/* A list that is being gathered; zeroed is empty. */
struct ipc_batch {
	struct buf bytes;
	uint32_t count;
};

static inline struct ipc_list
ipc_batch_list(const struct ipc_batch *b)
{
	return (struct ipc_list){buf_slice(&b->bytes), b->count};
}

static inline void
ipc_batch_clear(struct ipc_batch *b)
{
	buf_clear(&b->bytes);
	b->count = 0;
}

#define IPC_C_u8 uint8_t
#define IPC_C_u16 uint16_t
#define IPC_C_u32 uint32_t
#define IPC_C_u64 uint64_t
#define IPC_C_i64 int64_t
#define IPC_C_str struct slice
#define IPC_C_bin struct slice
#define IPC_C_secret struct slice

/* Structs. */
#define F(type, name, lo, hi) IPC_C_##type name;
#define L(record, name) struct ipc_list name;
#define RECORD(name, fields) struct ipc_##name { fields };
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	struct ipc_##name { fields };
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
#undef F
#undef L

/* Numbers. */
enum ipc_type {
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	IPC_##NAME = number,
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
	IPC_TYPE_MAX = 255,
};

/* Encoders and decoders. */
#define RECORD(name, fields)                                                 \
	void ipc_add_##name(struct ipc_batch *, const struct ipc_##name *);  \
	int ipc_next_##name(struct ipc_list *, struct ipc_##name *);
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)       \
	void ipc_put_##name(struct buf *, const struct ipc_##name *);        \
	bool ipc_get_##name(struct slice, struct ipc_##name *);
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE

/* Any message, as the handlers of a link get it. */
union ipc_any {
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	struct ipc_##name name;
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

/* What the table says of a message; NULL for a number that is not in it. */
struct ipc_info {
	const char *name;
	const char *text;
	uint8_t type;
	uint8_t from, to;	/* bit sets of 1 << enum ipc_kind */
	bool is_data;
	uint8_t fds_max;
	bool (*get)(struct slice body, union ipc_any *);
	void (*put)(struct buf *, const union ipc_any *);
	void (*print)(struct buf *, const union ipc_any *);
};

const struct ipc_info *ipc_info(uint8_t type);
/* A hash of the whole table: builds that differ refuse each other. */
uint64_t ipc_table_hash(void);
const char *ipc_kind_name(enum ipc_kind kind);
/* Whether kind from may send this message to kind to. */
bool ipc_is_permitted(
    const struct ipc_info *info, enum ipc_kind from, enum ipc_kind to);

#endif
