/*
 * frame - WebSocket frames, server side (RFC 6455, section 5).
 *
 * Pure: bytes in, frames out. ws_read takes one frame header after the other
 * out of what was received, unmasks the payload in place and keeps the rules
 * of a connection: clients mask, control frames are whole and at most 125
 * bytes, fragments do not interleave, nothing follows a close.
 *
 * Payloads are handed out piecewise, as they come: a frame larger than a
 * read needs no buffer. Only a control frame is waited for in whole.
 */
#ifndef PROTO_WS_FRAME_H
#define PROTO_WS_FRAME_H

#include "base/buf.h"

enum ws_opcode {
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
};

/* Status codes, RFC 6455, 7.4.1. */
enum ws_status {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_UNACCEPTABLE = 1003,
	WS_NO_STATUS = 1005,
	WS_POLICY = 1008,
	WS_TOO_BIG = 1009,
};

#define WS_CONTROL_MAX 125
#define WS_HEADER_MAX 10	/* of a frame that a server sends */

struct ws_reader {
	uint64_t left;		/* of the frame under way */
	uint64_t message;	/* bytes of the message under way */
	uint64_t message_max;	/* a longer one is refused, 0: no bound */
	uint8_t mask[4];
	uint8_t mask_at;
	uint8_t opcode;		/* of the frame under way */
	uint8_t message_opcode;	/* of the message under way, 0: none */
	bool is_final;		/* the frame under way ends its message */
	bool has_header;
	bool is_closed;
};

enum ws_answer {
	WS_MORE,	/* nothing whole is there */
	WS_DATA,	/* payload: a piece of a message */
	WS_CONTROL,	/* opcode and payload of a control frame */
	WS_ERROR,	/* status: close with it */
};

struct ws_event {
	enum ws_opcode opcode;	/* WS_DATA: of the message */
	struct slice payload;	/* points into the input, unmasked */
	bool is_message_end;	/* WS_DATA: the message ends with it */
	enum ws_status status;	/* WS_ERROR, or of a received WS_CLOSE */
};

void ws_reader_init(struct ws_reader *r, uint64_t message_max);

/*
 * Reads at p (which it unmasks); *used bytes are done with, also when the
 * answer is WS_MORE. Ask again with the rest until WS_MORE.
 */
enum ws_answer ws_read(struct ws_reader *r, uint8_t *p, size_t n,
    size_t *used, struct ws_event *event);

/* Writes the header of an unmasked, whole frame; returns its length. */
size_t ws_put_header(
    uint8_t p[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t len);
void ws_put_close(struct buf *b, enum ws_status status);
void ws_put_control(struct buf *b, enum ws_opcode opcode, struct slice payload);

/* Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2); out of 29 bytes. */
bool ws_accept(struct slice key, char out[29]);

#endif
