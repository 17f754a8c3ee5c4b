#include "proto/ws/frame.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define BIT_FINAL 0x80
#define BITS_RESERVED 0x70
#define BITS_OPCODE 0x0f
#define BIT_MASK 0x80
#define BITS_LENGTH 0x7f
#define KEY_LEN 24	/* base64 of 16 bytes */

void
ws_reader_init(struct ws_reader *r, uint64_t message_max)
{
	*r = (struct ws_reader){.message_max = message_max};
}

static bool
is_control(uint8_t opcode)
{
	return (opcode & 0x8) != 0;
}

static enum ws_answer
ws_fail(struct ws_event *event, enum ws_status status)
{
	event->status = status;
	return WS_ERROR;
}

/* 0 when the opcode may stand here, else the status to close with. */
static enum ws_status
ws_check_opcode(const struct ws_reader *r, uint8_t opcode, bool is_final)
{
	switch (opcode) {
	case WS_CONTINUATION:
		return r->message_opcode == 0 ? WS_PROTOCOL_ERROR : 0;
	case WS_TEXT:
	case WS_BINARY:
		return r->message_opcode != 0 ? WS_PROTOCOL_ERROR : 0;
	case WS_CLOSE:
	case WS_PING:
	case WS_PONG:
		return is_final ? 0 : WS_PROTOCOL_ERROR;
	default:
		return WS_PROTOCOL_ERROR;
	}
}

/* The length of the header at p, 0: more is needed. */
static size_t
ws_header_len(const uint8_t *p, size_t n)
{
	size_t len = 2 + 4;

	if (n < 2)
		return 0;
	if ((p[1] & BITS_LENGTH) == 126)
		len += 2;
	else if ((p[1] & BITS_LENGTH) == 127)
		len += 8;
	return n < len ? 0 : len;
}

static uint64_t
ws_payload_len(const uint8_t *p)
{
	uint64_t v = p[1] & BITS_LENGTH;
	size_t n = v == 126 ? 2 : v == 127 ? 8 : 0;

	if (n == 0)
		return v;
	v = 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[2 + i];
	return v;
}

static enum ws_status
ws_take_header(struct ws_reader *r, const uint8_t *p, size_t len)
{
	uint8_t opcode = p[0] & BITS_OPCODE;
	bool is_final = (p[0] & BIT_FINAL) != 0;
	uint64_t n = ws_payload_len(p);
	enum ws_status status;

	if ((p[0] & BITS_RESERVED) != 0)
		return WS_PROTOCOL_ERROR;
	if ((status = ws_check_opcode(r, opcode, is_final)) != 0)
		return status;
	/* The shortest form is the only one (5.2). */
	if (((p[1] & BITS_LENGTH) == 126 && n < 126) ||
	    ((p[1] & BITS_LENGTH) == 127 && (n < 65536 || n > INT64_MAX)))
		return WS_PROTOCOL_ERROR;
	if (is_control(opcode)) {
		if (n > WS_CONTROL_MAX)
			return WS_PROTOCOL_ERROR;
	} else {
		if (opcode != WS_CONTINUATION) {
			r->message_opcode = opcode;
			r->message = 0;
		}
		if (r->message_max > 0 &&
		    n > r->message_max - r->message)
			return WS_TOO_BIG;
		r->message += n;
	}
	memcpy(r->mask, p + len - 4, 4);
	r->mask_at = 0;
	r->opcode = opcode;
	r->is_final = is_final;
	r->left = n;
	r->has_header = true;
	return 0;
}

static void
ws_unmask(struct ws_reader *r, uint8_t *p, size_t n)
{
	uint8_t key[8];
	uint64_t wide, word;
	size_t i = 0;

	for (size_t k = 0; k < 8; k++)
		key[k] = r->mask[(r->mask_at + k) & 3];
	memcpy(&wide, key, 8);
	for (; i + 8 <= n; i += 8) {
		memcpy(&word, p + i, 8);
		word ^= wide;
		memcpy(p + i, &word, 8);
	}
	for (; i < n; i++)
		p[i] ^= key[i & 7];
	r->mask_at = (uint8_t)((r->mask_at + n) & 3);
}

/* RFC 6455, 7.4: which codes a peer may send. */
static bool
is_status_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) ||
	    (code >= 1007 && code <= 1011) || (code >= 3000 && code <= 4999);
}

static enum ws_answer
ws_control(struct ws_reader *r, struct ws_event *event)
{
	unsigned code;

	event->opcode = (enum ws_opcode)r->opcode;
	if (r->opcode != WS_CLOSE)
		return WS_CONTROL;
	r->is_closed = true;
	event->status = WS_NO_STATUS;
	if (event->payload.len == 0)
		return WS_CONTROL;
	if (event->payload.len == 1)
		return ws_fail(event, WS_PROTOCOL_ERROR);
	code = (unsigned)event->payload.p[0] << 8 | event->payload.p[1];
	if (!is_status_valid(code))
		return ws_fail(event, WS_PROTOCOL_ERROR);
	event->status = (enum ws_status)code;
	return WS_CONTROL;
}

static enum ws_answer
ws_payload(struct ws_reader *r, uint8_t *p, size_t n, struct ws_event *event)
{
	ws_unmask(r, p, n);
	event->payload = slice_of(p, n);
	r->left -= n;
	if (r->left == 0)
		r->has_header = false;
	if (is_control(r->opcode))
		return ws_control(r, event);
	event->opcode = (enum ws_opcode)r->message_opcode;
	event->is_message_end = r->left == 0 && r->is_final;
	if (event->is_message_end)
		r->message_opcode = 0;
	return WS_DATA;
}

enum ws_answer
ws_read(struct ws_reader *r, uint8_t *p, size_t n, size_t *used,
    struct ws_event *event)
{
	enum ws_answer answer;
	enum ws_status status;
	size_t len = 0, take;

	*event = (struct ws_event){0};
	*used = 0;
	if (r->is_closed) {
		/* What follows a close is not read (5.5.1). */
		*used = n;
		return WS_MORE;
	}
	if (!r->has_header) {
		/* Without its mask the header ends sooner. */
		if (n >= 2 && (p[1] & BIT_MASK) == 0)
			return ws_fail(event, WS_PROTOCOL_ERROR);
		len = ws_header_len(p, n);
		if (len == 0)
			return WS_MORE;
		if ((status = ws_take_header(r, p, len)) != 0)
			return ws_fail(event, status);
		*used = len;
	}
	take = n - len < r->left ? n - len : (size_t)r->left;
	if (take < r->left && (take == 0 || is_control(r->opcode))) {
		if (!is_control(r->opcode))
			return WS_MORE;
		/* A control frame comes in whole: its header stays too. */
		r->has_header = false;
		*used = 0;
		return WS_MORE;
	}
	answer = ws_payload(r, p + len, take, event);
	*used = len + take;
	return answer;
}

size_t
ws_put_header(uint8_t p[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t len)
{
	size_t n = len < 126 ? 0 : len < 65536 ? 2 : 8;

	p[0] = (uint8_t)(BIT_FINAL | opcode);
	p[1] = (uint8_t)(n == 0 ? len : n == 2 ? 126 : 127);
	for (size_t i = 0; i < n; i++)
		p[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
	return 2 + n;
}

void
ws_put_control(struct buf *b, enum ws_opcode opcode, struct slice payload)
{
	uint8_t head[WS_HEADER_MAX];

	buf_add(b, head, ws_put_header(head, opcode, payload.len));
	buf_add_slice(b, payload);
}

void
ws_put_close(struct buf *b, enum ws_status status)
{
	uint8_t code[2] = {(uint8_t)((unsigned)status >> 8), (uint8_t)status};

	ws_put_control(b, WS_CLOSE, slice_of(code, sizeof(code)));
}

bool
ws_accept(struct slice key, char out[29])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t text[KEY_LEN + sizeof(guid) - 1], digest[SHA_DIGEST_LENGTH];

	if (key.len != KEY_LEN)
		return false;
	memcpy(text, key.p, KEY_LEN);
	memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
	if (EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
	return true;
}
