#include "admin-server/conn.h"

#include "admin-server/guard.h"
#include "admin-server/token.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/proc.h"
#include "proto/http/response.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_S 10.
#define BODY_S 60.
#define WRITE_S 30.
#define IDLE_S 75.
#define LINGER_S 1.
#define READ_SIZE 65536

static void conn_read_on(struct conn *c);

static void
conn_set_timer(struct conn *c, double seconds)
{
	ev_timer_stop(proc_loop(), &c->timer);
	if (seconds > 0) {
		ev_timer_set(&c->timer, seconds, 0.);
		ev_timer_start(proc_loop(), &c->timer);
	}
}

static void
conn_close_exchange(struct conn *c)
{
	json_object_put(c->x.args);
	memset(&c->x, 0, sizeof(c->x));
	c->has_exchange = false;
	c->is_streaming = false;
	server_count_body(c, 0);
}

static void
conn_leave_exchange(struct conn *c)
{
	void (*on_gone)(struct exchange *) = c->x.on_gone;

	c->x.on_gone = NULL;
	if (c->has_exchange && on_gone != NULL)
		on_gone(&c->x);
}

void
conn_end_stream(struct conn *c)
{
	if (!c->is_streaming)
		return;
	conn_leave_exchange(c);
	exchange_end(&c->x);
}

void
conn_free(struct conn *c)
{
	if (c->is_busy) {
		c->is_dead = true;
		return;
	}
	conn_leave_exchange(c);
	conn_close_exchange(c);
	ev_io_stop(proc_loop(), &c->reader);
	ev_io_stop(proc_loop(), &c->writer);
	ev_timer_stop(proc_loop(), &c->timer);
	close(c->fd);
	http_parser_fini(&c->parser);
	buf_fini(&c->in);
	buf_fini(&c->out);
	server_forget(c);
	free(c);
}

/* ---- answering ----------------------------------------------------------- */

static void
conn_put_head(struct conn *c, unsigned status, const char *type,
    size_t length, const char *allow)
{
	struct http_response r = {.status = status, .content_type = type,
	    .length = length, .allow = allow};

	if (c->is_eof || server_is_draining())
		c->closes = true;
	r.closes = c->closes;
	http_put_head(&c->out, &r);
}

/* The answer is complete: the next request may be read. */
static void
conn_finish(struct conn *c)
{
	conn_close_exchange(c);
	http_parser_fini(&c->parser);
	http_parser_init(&c->parser);
	c->state = c->closes ? CONN_CLOSING : CONN_IDLE;
	conn_set_timer(c, c->closes ? WRITE_S : IDLE_S);
	ev_io_start(proc_loop(), &c->writer);
}

static void
conn_answer(struct conn *c, unsigned status, const char *type,
    struct slice body, const char *allow)
{
	conn_put_head(c, status, type, body.len, allow);
	if (!c->is_head)
		buf_add_slice(&c->out, body);
	conn_finish(c);
}

static void
conn_answer_json(struct conn *c, unsigned status, struct json_object *body,
    const char *allow)
{
	const char *text = json_object_to_json_string_ext(body,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	conn_answer(c, status, "application/json", slice_str(text), allow);
	json_object_put(body);
}

static struct json_object *
error_new(const char *code, const char *message)
{
	struct json_object *body = json_object_new_object();
	struct json_object *error = json_object_new_object();

	json_add_str(error, "code", code);
	json_add_str(error, "message", message);
	json_object_object_add(error, "details", json_object_new_array());
	json_object_object_add(body, "error", error);
	return body;
}

static void
conn_refuse(struct conn *c, unsigned status, const char *code,
    const char *message)
{
	conn_answer_json(c, status, error_new(code, message), NULL);
}

void
exchange_json(struct exchange *x, unsigned status, struct json_object *body)
{
	if (body == NULL)
		conn_answer(x->conn, status == 200 ? 204 : status, NULL,
		    SLICE_EMPTY, NULL);
	else
		conn_answer_json(x->conn, status, body, NULL);
}

void
exchange_error(struct exchange *x, unsigned status, const char *code,
    const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	conn_refuse(x->conn, status, code, message);
}

void
exchange_fault(struct exchange *x, unsigned status, struct json_object *fault)
{
	struct json_object *body = json_object_new_object();
	struct json_object *error = json_object_new_object();
	struct json_object *details = json_member(fault, "details");

	json_add_str(error, "code", json_get_str(fault, "code", "failed"));
	json_add_str(error, "message",
	    json_get_str(fault, "message", "it failed"));
	json_object_object_add(error, "details",
	    json_object_is_type(details, json_type_array) ?
	    json_object_get(details) : json_object_new_array());
	json_object_object_add(body, "error", error);
	conn_answer_json(x->conn, status, body, NULL);
}

void
exchange_text(struct exchange *x, unsigned status, const char *type,
    struct slice text)
{
	conn_answer(x->conn, status, type, text, NULL);
}

void
exchange_begin(struct exchange *x, const char *type)
{
	struct conn *c = x->conn;

	c->is_streaming = true;
	conn_put_head(c, 200, type, HTTP_CHUNKED, NULL);
	ev_io_start(proc_loop(), &c->writer);
}

void
exchange_add(struct exchange *x, struct slice data)
{
	struct conn *c = x->conn;

	if (data.len == 0 || c->is_head)
		return;
	if (buf_len(&c->out) == 0)
		conn_set_timer(c, WRITE_S);
	http_put_chunk(&c->out, data);
	ev_io_start(proc_loop(), &c->writer);
}

void
exchange_end(struct exchange *x)
{
	struct conn *c = x->conn;

	if (!c->is_head)
		http_put_last_chunk(&c->out);
	conn_finish(c);
}

size_t
exchange_backlog(const struct exchange *x)
{
	return buf_len(&x->conn->out);
}

/* ---- a request ------------------------------------------------------------ */

static bool
conn_expect_token(struct conn *c, const struct route *route)
{
	const struct http_request *r = &c->parser.request;
	const char *name;
	enum token_role role = token_check(
	    http_request_header(r, "authorization"), &name);

	if (role >= token_needed(route) && role != ROLE_NONE) {
		if (route->method != METHOD_GET)
			log_info("api: %s %.*s by the token %s",
			    http_method_name(r->method), SLICE_ARG(r->path),
			    name);
		return true;
	}
	c->closes = true;
	if (role == ROLE_NONE)
		conn_refuse(c, 401, "unauthorized", "beyond loopback a bearer "
		    "token of admin.tokens is needed");
	else
		conn_refuse(c, 403, "forbidden",
		    "the token's role does not allow this");
	return false;
}

/* Who may ask, before anything of the body is read. */
static bool
conn_admit(struct conn *c, const struct route *route)
{
	const struct http_request *r = &c->parser.request;
	const char *why;

	if (c->is_public && strncmp(route->path, "/health/", 8) != 0 &&
	    !conn_expect_token(c, route))
		return false;
	if (!c->is_unix && (why = guard_check(r, c->is_public)) != NULL) {
		c->closes = true;
		conn_refuse(c, 403, "forbidden", why);
		return false;
	}
	return true;
}

static bool
conn_on_head(struct conn *c)
{
	struct http_request *r = &c->parser.request;
	struct route_match m;
	unsigned status;

	c->is_head = r->method == METHOD_HEAD;
	c->closes = !r->keep_alive;
	status = route_find(server_routes(), r->method, r->path, &m);
	if (status != 0) {
		c->closes = true;	/* a body may follow, unread */
		conn_answer_json(c, status,
		    error_new(status == 404 ? "not_found" : "method_not_allowed",
		    status == 404 ? "there is nothing here; see "
		    "/api/v1/openapi.json" : "this path has other methods"),
		    status == 405 ? m.allow : NULL);
		return false;
	}
	if (!conn_admit(c, m.route))
		return false;
	c->parser.body_max = route_body_max(m.route);
	c->state = CONN_BODY;
	conn_set_timer(c, BODY_S);
	if (r->wants_continue) {
		conn_put_head(c, 100, NULL, 0, NULL);
		ev_io_start(proc_loop(), &c->writer);
	}
	return true;
}

static void
conn_refuse_args(struct conn *c, const struct route_fault *f)
{
	struct json_object *body = error_new("invalid", f->message);
	struct json_object *error = json_member(body, "error");
	struct json_object *detail = json_object_new_object();
	char message[256];

	snprintf(message, sizeof(message), "%s%s%s", f->path,
	    f->path[0] != '\0' ? " " : "", f->message);
	json_add_str(error, "message", message);
	json_add_str(detail, "path", f->path);
	json_add_str(detail, "message", f->message);
	json_object_array_add(json_member(error, "details"), detail);
	conn_answer_json(c, f->status, body, NULL);
}

static void
conn_on_whole(struct conn *c)
{
	struct http_request *r = &c->parser.request;
	struct route_fault fault;
	struct route_match m;
	struct json_object *args;

	if (server_is_draining()) {
		conn_refuse(c, 503, "stopping", "the tree is stopping");
		return;
	}
	/* Found before, when the head was read. */
	route_find(server_routes(), r->method, r->path, &m);
	args = route_args(&m, r, &fault);
	if (args == NULL) {
		conn_refuse_args(c, &fault);
		return;
	}
	c->x = (struct exchange){.conn = c, .route = m.route, .args = args};
	c->has_exchange = true;
	c->state = CONN_SERVING;
	conn_set_timer(c, 0);
	server_count_request();
	m.route->serve(&c->x);
}

static void
conn_on_bad(struct conn *c)
{
	c->closes = true;
	conn_refuse(c, c->parser.error_status, "bad_request", c->parser.error);
}

/* Parses what was read, until a request is being served. */
static void
conn_parse(struct conn *c)
{
	enum http_progress got;
	size_t used;

	while (c->state <= CONN_BODY && buf_len(&c->out) < EXCHANGE_BACKLOG) {
		if (c->state == CONN_IDLE && buf_len(&c->in) > 0) {
			c->state = CONN_HEAD;
			conn_set_timer(c, HEAD_S);
		}
		got = http_parser_feed(&c->parser, buf_slice(&c->in), &used);
		buf_consume(&c->in, used);
		if (!server_count_body(c, buf_len(&c->parser.body))) {
			c->closes = true;
			conn_refuse(c, 503, "busy", "too many large requests at "
			    "once: try again");
			return;
		}
		if (got == REQUEST_BAD) {
			conn_on_bad(c);
			return;
		}
		if (got == REQUEST_MORE)
			return;
		if (got == REQUEST_HEAD && !conn_on_head(c))
			return;
		if (got == REQUEST_WHOLE)
			conn_on_whole(c);
	}
}

/* ---- input and output ------------------------------------------------------ */

/* Runs what may end the connection, then ends it if it is dead. */
static void
conn_guarded(struct conn *c, void (*work)(struct conn *))
{
	c->is_busy = true;
	work(c);
	c->is_busy = false;
	if (c->is_dead)
		conn_free(c);
}

static void
conn_on_eof(struct conn *c)
{
	c->is_eof = true;
	ev_io_stop(proc_loop(), &c->reader);
	/* Who asked and then shut its side down still gets an answer. */
	if (c->is_streaming ||
	    (c->state != CONN_SERVING && buf_len(&c->out) == 0))
		c->is_dead = true;
	else
		c->closes = true;
}

static void
conn_read(struct conn *c)
{
	ssize_t n = read(c->fd, buf_reserve(&c->in, READ_SIZE), READ_SIZE);

	if (n == -1) {
		if (errno != EAGAIN && errno != EINTR)
			c->is_dead = true;
		return;
	}
	if (n == 0) {
		conn_on_eof(c);
		return;
	}
	if (c->state == CONN_CLOSING)
		return;		/* read so that the answer is not cut by RST */
	buf_commit(&c->in, (size_t)n);
	conn_read_on(c);
}

/*
 * Parses on. Bytes are left in `in` only while a request is served or too
 * much is unsent: then nothing more is read.
 */
static void
conn_read_on(struct conn *c)
{
	conn_parse(c);
	if (buf_len(&c->in) > 0)
		ev_io_stop(proc_loop(), &c->reader);
	else if (!c->is_eof)
		ev_io_start(proc_loop(), &c->reader);
}

/* Closed at once with input unread, the client might never see the answer. */
static void
conn_linger(struct conn *c)
{
	if (c->is_eof || shutdown(c->fd, SHUT_WR) == -1) {
		c->is_dead = true;
		return;
	}
	conn_set_timer(c, LINGER_S);
	ev_io_start(proc_loop(), &c->reader);
}

static void
conn_write(struct conn *c)
{
	void (*drain)(struct exchange *);
	ssize_t n;

	if (buf_len(&c->out) > 0) {
		n = send(c->fd, buf_data(&c->out), buf_len(&c->out),
		    MSG_NOSIGNAL);
		if (n == -1) {
			c->is_dead = errno != EAGAIN && errno != EINTR;
			return;
		}
		buf_consume(&c->out, (size_t)n);
		c->kernel_left = INT_MAX;
		if (c->state >= CONN_SERVING)
			conn_set_timer(c, WRITE_S);
	}
	if (c->is_streaming && buf_len(&c->out) < EXCHANGE_BACKLOG / 2 &&
	    (drain = c->x.on_drain) != NULL)
		drain(&c->x);
	if (buf_len(&c->out) > 0)
		return;
	buf_trim(&c->out, EXCHANGE_BACKLOG);
	ev_io_stop(proc_loop(), &c->writer);
	if (c->state == CONN_CLOSING)
		conn_linger(c);
	else if (c->state == CONN_SERVING)
		conn_set_timer(c, 0);
	else if (c->is_eof)
		c->is_dead = true;
	else
		conn_read_on(c);	/* what was sent meanwhile */
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	conn_guarded(w->data, conn_read);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	conn_guarded(w->data, conn_write);
}

/*
 * A full socket is writable again only when a third of it is: that the
 * client reads, slowly, is seen in what the kernel still holds.
 */
static bool
conn_still_reads(struct conn *c)
{
	int left, before = c->kernel_left;

	if (buf_len(&c->out) == 0 || ioctl(c->fd, SIOCOUTQ, &left) == -1)
		return false;
	c->kernel_left = left;
	return left < before;
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct conn *c = w->data;

	(void)loop;
	(void)events;
	if (conn_still_reads(c))
		conn_set_timer(c, WRITE_S);
	else
		conn_free(c);
}

struct conn *
conn_new(struct listener *l, int fd, bool is_unix, bool is_public)
{
	struct conn *c = mem_zalloc(1, sizeof(*c));

	c->listener = l;
	c->fd = fd;
	c->is_unix = is_unix;
	c->is_public = is_public;
	http_parser_init(&c->parser);
	buf_init(&c->in);
	buf_init(&c->out);
	ev_io_init(&c->reader, on_readable, fd, EV_READ);
	ev_io_init(&c->writer, on_writable, fd, EV_WRITE);
	ev_timer_init(&c->timer, on_timer, HEAD_S, 0.);
	c->reader.data = c->writer.data = c->timer.data = c;
	ev_io_start(proc_loop(), &c->reader);
	ev_timer_start(proc_loop(), &c->timer);
	return c;
}
