#include "acceptor/websocket.h"

#include "base/mem.h"
#include "proto/http/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FRAME_MAX (64u << 10)	/* of a message to the client */
#define SUBPROTOCOL "mqtt"

struct websocket {
	const struct websocket_rules *rules;
	struct http_parser *upgrade;	/* NULL: done */
	struct ws_reader reader;
	uint8_t rest[WEBSOCKET_HELD_MAX];	/* of a frame that is not whole */
	uint16_t rest_len;
	bool is_closed;		/* our close frame was sent */
};

static const char *problem = "";

struct websocket *
websocket_new(const struct websocket_rules *rules)
{
	struct websocket *w = mem_zalloc(1, sizeof(*w));

	w->rules = rules;
	w->upgrade = mem_zalloc(1, sizeof(*w->upgrade));
	http_parser_init(w->upgrade);
	ws_reader_init(&w->reader, rules->message_max);
	return w;
}

static void
upgrade_done(struct websocket *w)
{
	if (w->upgrade != NULL)
		http_parser_fini(w->upgrade);
	free(w->upgrade);
	w->upgrade = NULL;
}

void
websocket_free(struct websocket *w)
{
	if (w == NULL)
		return;
	upgrade_done(w);
	free(w);
}

const char *
websocket_problem(void)
{
	return problem;
}

/* ---- the upgrade -------------------------------------------------------- */

/* Is token one of a comma-separated list, in any case? */
static bool
list_has(struct slice list, const char *token)
{
	size_t n = strlen(token), i = 0, end;

	while (i < list.len) {
		while (i < list.len && strchr(" \t,", list.p[i]) != NULL)
			i++;
		for (end = i; end < list.len && list.p[end] != ','; end++)
			;
		size_t len = end - i;

		while (len > 0 && strchr(" \t", list.p[i + len - 1]) != NULL)
			len--;
		if (len == n && strncasecmp((const char *)list.p + i, token,
		    n) == 0)
			return true;
		i = end;
	}
	return false;
}

static bool
origin_is_good(const struct websocket_rules *rules, struct slice origin)
{
	size_t i, n = rules->origins == NULL ? 0 :
	    json_object_array_length(rules->origins);

	/* Only browsers name one: nobody else can be misled by a page. */
	if (n == 0 || slice_is_null(origin))
		return true;
	for (i = 0; i < n; i++)
		if (slice_is(origin, json_object_get_string(
		    json_object_array_get_idx(rules->origins, i))))
			return true;
	return false;
}

/* The status to refuse with, 0 for none. */
static unsigned
upgrade_check(const struct websocket *w, const struct http_request *r,
    char accept[29])
{
	if (r->method != METHOD_GET || !slice_is(r->path, w->rules->path)) {
		problem = "another path";
		return 404;
	}
	if (!list_has(http_request_header(r, "upgrade"), "websocket") ||
	    !list_has(http_request_header(r, "connection"), "upgrade")) {
		problem = "no upgrade to WebSocket";
		return 426;
	}
	if (!slice_is(http_request_header(r, "sec-websocket-version"), "13")) {
		problem = "another version of WebSocket";
		return 426;
	}
	if (!origin_is_good(w->rules, http_request_header(r, "origin"))) {
		problem = "an origin that is not in `origins`";
		return 403;
	}
	/* [MQTT-6.0.0-3] */
	if (!list_has(http_request_header(r, "sec-websocket-protocol"),
	    SUBPROTOCOL)) {
		problem = "no subprotocol mqtt";
		return 400;
	}
	if (!ws_accept(http_request_header(r, "sec-websocket-key"), accept)) {
		problem = "a bad Sec-WebSocket-Key";
		return 400;
	}
	return 0;
}

static void
upgrade_refuse(unsigned status, struct buf *answer)
{
	buf_addf(answer, "HTTP/1.1 %u %s\r\nConnection: close\r\n"
	    "Content-Length: 0\r\n%s\r\n", status,
	    status == 404 ? "Not Found" : status == 403 ? "Forbidden" :
	    status == 426 ? "Upgrade Required" : "Bad Request",
	    status == 426 ? "Upgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\n" : "");
}

/* How many bytes the request took; *is_ended where it was refused. */
static size_t
upgrade_receive(struct websocket *w, struct slice in, struct buf *answer,
    bool *is_ended)
{
	enum http_progress progress;
	char accept[29];
	unsigned status = 400;
	size_t used;

	progress = http_parser_feed(w->upgrade, in, &used);
	if (progress == REQUEST_MORE)
		return in.len;
	if (progress == REQUEST_HEAD)
		status = upgrade_check(w, &w->upgrade->request, accept);
	else
		problem = "no HTTP request";
	if (status != 0) {
		upgrade_refuse(status, answer);
		*is_ended = w->is_closed = true;
		return in.len;
	}
	buf_addf(answer, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n"
	    "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\n\r\n", accept);
	upgrade_done(w);
	return used;
}

/* ---- frames ------------------------------------------------------------- */

static void
on_control(struct websocket *w, const struct ws_event *e, struct buf *answer,
    bool *is_ended)
{
	if (e->opcode == WS_PING)
		ws_put_control(answer, WS_PONG, e->payload);
	if (e->opcode != WS_CLOSE)
		return;
	/* RFC 6455, 5.5.1: a close is answered with its own status */
	websocket_end(w, e->status == WS_NO_STATUS ? WS_NORMAL : e->status,
	    answer);
	*is_ended = true;
}

/* Payloads move to the front of p; returns how many bytes they have. */
static size_t
frames_receive(struct websocket *w, uint8_t *p, size_t n, size_t at,
    struct buf *answer, bool *is_ended)
{
	struct ws_event e;
	enum ws_answer what;
	size_t out = 0, used;

	while (!*is_ended) {
		what = ws_read(&w->reader, p + at, n - at, &used, &e);
		at += used;
		if (what == WS_MORE)
			break;
		/* [MQTT-6.0.0-1] */
		if (what == WS_DATA && e.opcode != WS_BINARY) {
			what = WS_ERROR;
			e.status = WS_UNACCEPTABLE;
		}
		if (what == WS_ERROR) {
			problem = "a bad frame";
			websocket_end(w, e.status, answer);
			*is_ended = true;
			return out;
		}
		if (what == WS_CONTROL) {
			on_control(w, &e, answer, is_ended);
			continue;
		}
		memmove(p + out, e.payload.p, e.payload.len);
		out += e.payload.len;
	}
	/* A header or a control frame that is not whole, no more. */
	if (!*is_ended && n - at <= sizeof(w->rest)) {
		memcpy(w->rest, p + at, n - at);
		w->rest_len = (uint16_t)(n - at);
	}
	return out;
}

size_t
websocket_receive(struct websocket *w, uint8_t *p, size_t n,
    struct buf *answer, bool *is_ended)
{
	size_t at = 0;

	*is_ended = w->is_closed;
	if (w->is_closed)
		return 0;
	if (w->rest_len > 0) {
		memmove(p + w->rest_len, p, n);
		memcpy(p, w->rest, w->rest_len);
		n += w->rest_len;
		w->rest_len = 0;
	}
	if (w->upgrade != NULL)
		at = upgrade_receive(w, slice_of(p, n), answer, is_ended);
	if (*is_ended || w->upgrade != NULL)
		return 0;
	return frames_receive(w, p, n, at, answer, is_ended);
}

void
websocket_send(const struct websocket *w, struct slice plain, struct buf *out)
{
	uint8_t head[WS_HEADER_MAX];
	size_t n;

	/* Nothing follows a close; before the upgrade there is no frame. */
	if (w->is_closed || w->upgrade != NULL)
		return;
	while (plain.len > 0) {
		n = plain.len < FRAME_MAX ? plain.len : FRAME_MAX;
		buf_add(out, head, ws_put_header(head, WS_BINARY, n));
		buf_add(out, plain.p, n);
		plain.p += n;
		plain.len -= n;
	}
}

void
websocket_end(struct websocket *w, enum ws_status status, struct buf *out)
{
	if (!w->is_closed && w->upgrade == NULL)
		ws_put_close(out, status);
	w->is_closed = true;
}
