#include "ipc/messages.h"

#include "ipc/cursor.h"
#include "ipc/pack.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- encoding --------------------------------------------------------- */

static inline void
put_u(struct buf *b, uint64_t v)
{
	pack_uint64(b, v);
}

static inline void
put_str(struct buf *b, struct slice s)
{
	pack_str(b, s.len);
	buf_add_slice(b, s);
}

static inline void
put_bin(struct buf *b, struct slice s)
{
	if (s.p == NULL) {
		pack_nil(b);
		return;
	}
	pack_bin(b, s.len);
	buf_add_slice(b, s);
}

static inline void
put_list(struct buf *b, struct ipc_list l)
{
	pack_array(b, l.count);
	buf_add_slice(b, l.bytes);
}

#define PUT_u8(b, v) put_u(b, v)
#define PUT_u16(b, v) put_u(b, v)
#define PUT_u32(b, v) put_u(b, v)
#define PUT_u64(b, v) put_u(b, v)
#define PUT_i64(b, v) pack_int64(b, v)
#define PUT_str(b, v) put_str(b, v)
#define PUT_bin(b, v) put_bin(b, v)
#define PUT_secret(b, v) put_str(b, v)

/* How many fields. */
#define F(type, name, lo, hi) +1
#define L(record, name) +1
enum ipc_field_counts {
#define RECORD(name, fields) COUNT_record_##name = 0 fields,
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	COUNT_message_##name = 0 fields,
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};
#undef F
#undef L

static size_t
frame_begin(struct buf *b, uint8_t type)
{
	size_t at = buf_len(b);
	uint8_t *p = buf_reserve(b, IPC_HEADER_LEN);

	memset(p, 0, IPC_HEADER_LEN);
	p[4] = type;
	buf_commit(b, IPC_HEADER_LEN);
	return at;
}

static void
frame_end(struct buf *b, size_t at)
{
	uint8_t *p = b->p + b->off + at;
	size_t n = buf_len(b) - at - IPC_HEADER_LEN;

	p[0] = (uint8_t)(n >> 24);
	p[1] = (uint8_t)(n >> 16);
	p[2] = (uint8_t)(n >> 8);
	p[3] = (uint8_t)n;
}

#define F(type, name, lo, hi) PUT_##type(b, m->name);
#define L(record, name) put_list(b, m->name);
#define RECORD(name, fields)                                                \
	void ipc_add_##name(                                                \
	    struct ipc_batch *batch, const struct ipc_##name *m)            \
	{                                                                   \
		struct buf *b = &batch->bytes;                              \
									    \
		pack_array(b, COUNT_record_##name);                         \
		fields batch->count++;                                      \
	}
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)     \
	void ipc_put_##name(struct buf *b, const struct ipc_##name *m)      \
	{                                                                   \
		size_t at = frame_begin(b, number);                         \
									    \
		pack_array(b, COUNT_message_##name);                        \
		fields frame_end(b, at);                                    \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
#undef F
#undef L

/* ---- decoding --------------------------------------------------------- */

#define GET_UINT(bits)                                                      \
	static inline bool get_u##bits(                                     \
	    struct cursor *c, uint##bits##_t *v, uint64_t lo, uint64_t hi)  \
	{                                                                   \
		uint64_t x;                                                 \
									    \
		if (!cursor_get_uint(c, &x, lo, hi))                        \
			return false;                                       \
		*v = (uint##bits##_t)x;                                     \
		return true;                                                \
	}
GET_UINT(8)
GET_UINT(16)
GET_UINT(32)
GET_UINT(64)
#define get_str cursor_get_str
#define get_bin cursor_get_bin
#define get_secret cursor_get_str

/* The rest of the body: the items are checked as they are taken. */
static bool
get_list(struct cursor *c, struct ipc_list *l, bool is_last)
{
	const uint8_t *start;

	if (!cursor_get_array(c, &l->count))
		return false;
	start = c->p;
	if (is_last)
		c->p = c->end;
	else
		for (uint32_t i = 0; i < l->count; i++)
			if (!cursor_skip(c, 4))
				return false;
	l->bytes = slice_of(start, (size_t)(c->p - start));
	return true;
}

#define F(type, name, lo, hi)                                               \
	if (!get_##type(&c, &m->name, lo, hi))                              \
		return BAD;                                                 \
	left--;
#define L(record, name)                                                     \
	left--;                                                             \
	if (!get_list(&c, &m->name, left == 0))                             \
		return BAD;
#define BAD -1
#define RECORD(name, fields)                                                \
	int ipc_next_##name(struct ipc_list *l, struct ipc_##name *m)       \
	{                                                                   \
		struct cursor c = {l->bytes.p, l->bytes.p + l->bytes.len};  \
		uint32_t n;                                                 \
		int left = COUNT_record_##name;                             \
									    \
		if (l->count == 0)                                          \
			return l->bytes.len == 0 ? 0 : -1;                  \
		if (!cursor_get_array(&c, &n) || n != (uint32_t)left)       \
			return -1;                                          \
		fields(void) left;                                          \
		l->bytes = slice_of(c.p, (size_t)(c.end - c.p));            \
		l->count--;                                                 \
		return 1;                                                   \
	}
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
#undef BAD

#define BAD false
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)     \
	bool ipc_get_##name(struct slice body, struct ipc_##name *m)        \
	{                                                                   \
		struct cursor c = {body.p, body.p + body.len};              \
		uint32_t n;                                                 \
		int left = COUNT_message_##name;                            \
									    \
		if (!cursor_get_array(&c, &n) || n != (uint32_t)left)       \
			return false;                                       \
		fields(void) left;                                          \
		return c.p == c.end;                                        \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
#undef BAD
#undef F
#undef L

/* ---- printing --------------------------------------------------------- */

static void
print_bytes(struct buf *b, struct slice s)
{
	size_t n = s.len < 64 ? s.len : 64;

	if (s.p == NULL) {
		buf_add_str(b, "null");
		return;
	}
	buf_add_u8(b, '"');
	for (size_t i = 0; i < n; i++)
		if (s.p[i] >= 0x20 && s.p[i] < 0x7f && s.p[i] != '"')
			buf_add_u8(b, s.p[i]);
		else
			buf_addf(b, "\\x%02x", s.p[i]);
	buf_add_u8(b, '"');
	if (n < s.len)
		buf_addf(b, "+%zu", s.len - n);
}

#define PRINT_UINT(b, v) buf_addf(b, "%llu", (unsigned long long)(v))
#define PRINT_u8 PRINT_UINT
#define PRINT_u16 PRINT_UINT
#define PRINT_u32 PRINT_UINT
#define PRINT_u64 PRINT_UINT
#define PRINT_str print_bytes
#define PRINT_bin print_bytes
#define PRINT_secret(b, v) buf_add_str(b, (v).len == 0 ? "\"\"" : "***")
#define F(type, name, lo, hi)                                               \
	buf_add_str(b, " " #name "=");                                      \
	PRINT_##type(b, m->name);
#define L(record, name) buf_addf(b, " " #name "=[%u]", m->name.count);
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)     \
	static void print_##name(struct buf *b, const union ipc_any *any)   \
	{                                                                   \
		const struct ipc_##name *m = &any->name;                    \
									    \
		buf_add_str(b, #name);                                      \
		fields                                                      \
	}                                                                   \
	static bool get_any_##name(struct slice body, union ipc_any *any)   \
	{                                                                   \
		return ipc_get_##name(body, &any->name);                    \
	}                                                                   \
	static void put_any_##name(struct buf *b, const union ipc_any *any) \
	{                                                                   \
		ipc_put_##name(b, &any->name);                              \
	}
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
#undef F
#undef L

/* ---- the table -------------------------------------------------------- */

#define SUPERVISOR (1u << KIND_SUPERVISOR)
#define ROUTER (1u << KIND_ROUTER)
#define ACCEPTOR (1u << KIND_ACCEPTOR)
#define WORKER (1u << KIND_WORKER)
#define ADMIN (1u << KIND_ADMIN)
#define AUTH (1u << KIND_AUTH)
#define ANY (SUPERVISOR | ROUTER | ACCEPTOR | WORKER | ADMIN | AUTH)
#define CONTROL false
#define DATA true

static const struct ipc_info infos[IPC_TYPE_MAX + 1] = {
#define RECORD(name, fields)
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text)     \
	[number] = {#name, text, number, from, to, class, fds,              \
	    get_any_##name, put_any_##name, print_##name},
#include "ipc/messages.def"
#undef RECORD
#undef MESSAGE
};

const struct ipc_info *
ipc_info(uint8_t type)
{
	return infos[type].name == NULL ? NULL : &infos[type];
}

/* The table as text: whatever differs between two builds differs here. */
#define F(type, name, lo, hi) "F" #type #name #lo #hi
#define L(record, name) "L" #record #name
#define RECORD(name, fields) "R" #name fields,
#define MESSAGE(NAME, name, number, from, to, class, fds, fields, text) \
	"M" #name #number #from #to #class #fds fields,
static const char *const table_text[] = {BULKHEAD_VERSION,
#include "ipc/messages.def"
};
#undef RECORD
#undef MESSAGE
#undef F
#undef L

uint64_t
ipc_table_hash(void)
{
	uint64_t h = 0;

	for (size_t i = 0; i < sizeof(table_text) / sizeof(*table_text); i++)
		h = XXH3_64bits_withSeed(
		    table_text[i], strlen(table_text[i]), h);
	return h;
}

const char *
ipc_kind_name(enum ipc_kind kind)
{
	static const char *const names[KIND_COUNT] = {
	    "supervisor", "router", "acceptor", "worker", "admin", "auth"};

	return kind < KIND_COUNT ? names[kind] : "unknown";
}

bool
ipc_is_permitted(
    const struct ipc_info *info, enum ipc_kind from, enum ipc_kind to)
{
	return (info->from & 1u << from) != 0 && (info->to & 1u << to) != 0;
}
