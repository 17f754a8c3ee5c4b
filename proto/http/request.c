#include "proto/http/request.h"

#include "base/mem.h"

#include <llhttp.h>
#include <stdlib.h>
#include <strings.h>

enum { IN_HEAD, IN_BODY, AT_END };

struct http_machine {
	llhttp_t parser;
	llhttp_settings_t settings;
};

static enum http_progress
refuse(struct http_parser *p, unsigned status, const char *why)
{
	p->error_status = status;
	p->error = why;
	p->state = AT_END;
	return REQUEST_BAD;
}

/* ---- what llhttp calls ------------------------------------------------- */
static int
on_url(llhttp_t *m, const char *at, size_t n)
{
	struct http_parser *p = m->data;

	p->request.path = slice_of(at, n);
	return 0;
}

static int
on_field(llhttp_t *m, const char *at, size_t n)
{
	struct http_parser *p = m->data;
	struct http_request *r = &p->request;

	if (p->state != IN_HEAD)	/* trailers are read and forgotten */
		return 0;
	if (r->header_count == HTTP_HEADERS_MAX) {
		refuse(p, 431, "too many headers");
		return -1;
	}
	r->headers[r->header_count].name = slice_of(at, n);
	r->headers[r->header_count].value = SLICE_EMPTY;
	r->header_count++;
	return 0;
}

static int
on_value(llhttp_t *m, const char *at, size_t n)
{
	struct http_parser *p = m->data;
	struct http_request *r = &p->request;

	if (p->state == IN_HEAD && r->header_count > 0)
		r->headers[r->header_count - 1].value = slice_of(at, n);
	return 0;
}

static int
on_head(llhttp_t *m)
{
	(void)m;
	return HPE_PAUSED;
}

static int
on_body(llhttp_t *m, const char *at, size_t n)
{
	struct http_parser *p = m->data;

	if (n > p->body_max - buf_len(&p->body)) {
		refuse(p, 413, "the body is too large");
		return -1;
	}
	buf_add(&p->body, at, n);
	return 0;
}

static int
on_whole(llhttp_t *m)
{
	struct http_parser *p = m->data;

	p->state = AT_END;
	return HPE_PAUSED;
}

/* ---- the parser --------------------------------------------------------- */
void
http_parser_init(struct http_parser *p)
{
	struct http_machine *m = mem_zalloc(1, sizeof(*m));

	memset(p, 0, sizeof(*p));
	buf_init(&p->head);
	buf_init(&p->body);
	llhttp_settings_init(&m->settings);
	m->settings.on_url = on_url;
	m->settings.on_header_field = on_field;
	m->settings.on_header_value = on_value;
	m->settings.on_headers_complete = on_head;
	m->settings.on_body = on_body;
	m->settings.on_message_complete = on_whole;
	llhttp_init(&m->parser, HTTP_REQUEST, &m->settings);
	m->parser.data = p;
	p->machine = m;
	p->state = IN_HEAD;
}

void
http_parser_fini(struct http_parser *p)
{
	buf_fini(&p->head);
	buf_fini(&p->body);
	free(p->machine);
	p->machine = NULL;
}

bool
http_parser_is_begun(const struct http_parser *p)
{
	return buf_len(&p->head) > 0;
}

static bool
is_token(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* One header line without its CRLF: "Name: value". */
static const char *
check_line(const uint8_t *p, size_t n)
{
	size_t i = 0;

	if (p[0] == ' ' || p[0] == '\t')
		return "a folded header line";
	while (i < n && is_token(p[i]))
		i++;
	if (i == 0 || i == n || p[i] != ':')
		return "a header name that is none";
	for (; i < n; i++)
		if ((p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f)
			return "a control character in a header";
	return NULL;
}

static const char *
check_head(struct slice head)
{
	const uint8_t *p = head.p, *end = head.p + head.len - 2, *eol;
	const char *why;

	for (bool first = true; p < end; p = eol + 2, first = false) {
		eol = memmem(p, (size_t)(end + 2 - p), "\r\n", 2);
		if (eol == NULL)
			return "a line without an end";
		if (!first && (why = check_line(p, (size_t)(eol - p))) != NULL)
			return why;
	}
	return NULL;
}

static size_t
count_headers(const struct http_request *r, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < r->header_count; i++)
		n += r->headers[i].name.len == strlen(name) &&
		    strncasecmp((const char *)r->headers[i].name.p, name,
		    strlen(name)) == 0;
	return n;
}

static enum http_method
method_of(uint8_t m)
{
	switch (m) {
	case HTTP_GET:
		return METHOD_GET;
	case HTTP_HEAD:
		return METHOD_HEAD;
	case HTTP_POST:
		return METHOD_POST;
	case HTTP_PUT:
		return METHOD_PUT;
	case HTTP_DELETE:
		return METHOD_DELETE;
	case HTTP_PATCH:
		return METHOD_PATCH;
	case HTTP_OPTIONS:
		return METHOD_OPTIONS;
	default:
		return METHOD_OTHER;
	}
}

const char *
http_method_name(enum http_method m)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT",
	    "DELETE", "PATCH", "OPTIONS", "another"};

	return names[m];
}

/* What the head says, once llhttp has accepted it. */
static enum http_progress
finish_head(struct http_parser *p)
{
	struct http_request *r = &p->request;
	const llhttp_t *m = &p->machine->parser;
	struct slice expect;
	const uint8_t *mark;

	if (m->http_major != 1 || m->http_minor > 1)
		return refuse(p, 505, "only HTTP/1.0 and 1.1 are spoken");
	if (count_headers(r, "host") > 1 ||
	    (m->http_minor == 1 && count_headers(r, "host") != 1))
		return refuse(p, 400, "there must be one Host header");
	if (r->path.len == 0 || r->path.p[0] != '/')
		return refuse(p, 400, "the target must be a path");
	r->method = method_of(m->method);
	mark = memchr(r->path.p, '?', r->path.len);
	r->query = SLICE_EMPTY;
	if (mark != NULL) {
		r->query = slice_of(mark + 1,
		    r->path.len - (size_t)(mark + 1 - r->path.p));
		r->path.len = (size_t)(mark - r->path.p);
	}
	expect = http_request_header(r, "expect");
	if (!slice_is_null(expect)) {
		if (expect.len != 12 ||
		    strncasecmp((const char *)expect.p, "100-continue", 12) != 0)
			return refuse(p, 417, "an expectation that is unknown");
		r->wants_continue = m->http_minor == 1;
	}
	r->keep_alive = llhttp_should_keep_alive(m) != 0;
	p->state = IN_BODY;
	return REQUEST_HEAD;
}

static enum http_progress
parse_head(struct http_parser *p)
{
	llhttp_t *m = &p->machine->parser;
	struct slice head = buf_slice(&p->head);
	const char *why = check_head(head);
	llhttp_errno_t rc;

	if (why != NULL)
		return refuse(p, 400, why);
	rc = llhttp_execute(m, (const char *)head.p, head.len);
	if (p->error_status != 0)
		return REQUEST_BAD;
	if (rc == HPE_INVALID_METHOD)
		return refuse(p, 501, "the method is unknown");
	if (rc != HPE_PAUSED)
		return refuse(p, 400, "a malformed request");
	return finish_head(p);
}

/* Bytes up to the empty line go to the head; tells how many it took. */
static enum http_progress
gather_head(struct http_parser *p, struct slice in, size_t *consumed)
{
	const uint8_t *data;
	size_t have, i;

	while (buf_len(&p->head) == 0 && *consumed < in.len &&
	    (in.p[*consumed] == '\r' || in.p[*consumed] == '\n'))
		(*consumed)++;	/* RFC 9112, 2.2: empty lines before it */
	have = buf_len(&p->head);
	buf_add(&p->head, in.p + *consumed, in.len - *consumed);
	data = buf_data(&p->head);
	for (i = p->scanned; i < buf_len(&p->head); i++) {
		if (i >= HTTP_HEAD_MAX)
			return refuse(p, 431, "the head is too large");
		if (data[i] == '\0')
			return refuse(p, 400, "a NUL in the head");
		if (data[i] != '\n')
			continue;
		if (i == 0 || data[i - 1] != '\r')
			return refuse(p, 400, "a line feed without a return");
		if (i >= 3 && data[i - 2] == '\n')
			break;
	}
	p->scanned = i;
	if (i == buf_len(&p->head)) {
		*consumed = in.len;
		return REQUEST_MORE;
	}
	*consumed += i + 1 - have;
	p->head.len = p->head.off + i + 1;
	return parse_head(p);
}

/*
 * The pause at the end of the head may leave its last byte to be parsed
 * again: it goes in front of the body.
 */
static llhttp_errno_t
resume_head(struct http_parser *p)
{
	llhttp_t *m = &p->machine->parser;
	const char *at = llhttp_get_error_pos(m);
	const char *end = (const char *)buf_data(&p->head) + buf_len(&p->head);

	llhttp_resume(m);
	p->is_resumed = true;
	return llhttp_execute(m, at, (size_t)(end - at));
}

static enum http_progress
parse_body(struct http_parser *p, struct slice in, size_t *consumed)
{
	llhttp_t *m = &p->machine->parser;
	llhttp_errno_t rc = HPE_OK;

	if (!p->is_resumed) {
		if ((m->flags & F_CONTENT_LENGTH) != 0 &&
		    m->content_length > p->body_max)
			return refuse(p, 413, "the body is too large");
		rc = resume_head(p);
	}
	if (rc == HPE_OK && p->state == IN_BODY && in.len > 0) {
		rc = llhttp_execute(m, (const char *)in.p, in.len);
		*consumed = p->state == AT_END && p->error_status == 0 ?
		    (size_t)(llhttp_get_error_pos(m) - (const char *)in.p) :
		    in.len;
	}
	if (p->error_status != 0)
		return REQUEST_BAD;
	if (p->state == AT_END) {
		p->request.body = buf_slice(&p->body);
		return REQUEST_WHOLE;
	}
	return rc == HPE_OK ? REQUEST_MORE :
	    refuse(p, 400, "a malformed body");
}

enum http_progress
http_parser_feed(struct http_parser *p, struct slice in, size_t *consumed)
{
	*consumed = 0;
	return p->state == IN_HEAD ? gather_head(p, in, consumed) :
	    parse_body(p, in, consumed);
}

struct slice
http_request_header(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (r->headers[i].name.len == strlen(name) &&
		    strncasecmp((const char *)r->headers[i].name.p, name,
		    strlen(name)) == 0)
			return r->headers[i].value;
	return SLICE_NULL;
}
